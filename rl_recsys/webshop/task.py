"""WebShop as a task: its shops, sessions and baselines as algorithms and jobs know them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from rl_recsys.core.decision import MAX_CHOICES
from rl_recsys.core.example_sessions import ExampleSession
from rl_recsys.core.task import Baseline, ReportWords, Task, TaskError
from rl_recsys.core.trajectory import Trajectory
from rl_recsys.webshop.goals.goal import Goal
from rl_recsys.webshop.goals.variations import GoalVariations
from rl_recsys.webshop.imports.known_goals import known_goals
from rl_recsys.webshop.observe.decisions import DECISION_FORMAT, MAX_STEPS, ChoiceKind, ChoiceSession
from rl_recsys.webshop.observe.example_sessions import example_session
from rl_recsys.webshop.play.reward import REWARD_PARTS
from rl_recsys.webshop.recommending import RequestDesk
from rl_recsys.webshop.rules import ShopRules
from rl_recsys.webshop.shop import Shop, shared_shop
from rl_recsys.webshop.shoppers import (
    SCRIPTED,
    comparing_shopper,
    full_instruction,
    heuristic_shopper,
    rule_shopper,
    scripted_shopper,
)


@lru_cache(maxsize=4)
def _variations(shop: Shop, seed: int) -> GoalVariations:
    """Reads all goals of a shop, so once for all sessions of a process."""
    return GoalVariations(shop, seed=seed)


class WebShop(Task):
    """Shopping for somebody in a compiled shop (Yao et al. 2022), met as a choice among each page's actions."""

    name = "webshop"
    kinds = tuple(kind.name.lower() for kind in ChoiceKind)
    decision_format = DECISION_FORMAT
    reward_parts = dict(zip(REWARD_PARTS, ("type", "attributes", "options", "price"), strict=True))
    max_steps = MAX_STEPS
    session_type: ClassVar[type[ChoiceSession]] = ChoiceSession
    baselines = {
        "rule": Baseline(rule_shopper, 1, {"queries": full_instruction}),
        "heuristic": Baseline(heuristic_shopper, 1),
        "comparing": Baseline(comparing_shopper, 1),
    }
    demonstrator = Baseline(scripted_shopper, SCRIPTED)
    words = ReportWords(
        agents="shopping agents",
        world="shop",
        cluster="product",
        ended="episodes with a purchase",
        unquoted="The catalogue's words are left out: products stand as their numbers.",
    )

    def __init__(self, shop: Shop):
        self.shop = shop

    @classmethod
    def open(cls, place: str) -> WebShop:
        """``place``: the folder of a shop, or its URI. Raises ``ShopError``."""
        return cls(shared_shop(place))

    @property
    def spec(self) -> str:
        """Raises ``TaskError`` for a shop that was opened with other rules than it was prepared with."""
        prepared = ShopRules(**self.shop.manifest["rules"])
        if self.shop.rules != prepared:
            raise TaskError(
                f"{self.shop.place} is open with {self.shop.rules}, it was prepared with {prepared}: another process "
                "would open it with these; prepare a shop with the rules that are wanted"
            )
        return f"{self.name}:{self.shop.place}"

    @property
    def fingerprint(self) -> str:
        """See ``Shop.fingerprint``."""
        return self.shop.fingerprint

    def split(self, name: str) -> Sequence[int]:
        """See ``Shop.split``."""
        return self.shop.split(name)

    def goal(self, index: int) -> Mapping[str, Any]:
        """A goal by the original's keys."""
        return asdict(self.shop.goal(index))

    def session(
        self,
        goal: int | Goal | Mapping,
        *,
        max_steps: int | None = None,
        max_choices: int | None = None,
        **options: Any,
    ) -> ChoiceSession:
        """``options``: those of ``ChoiceSession``."""
        return self.session_type(
            self.shop.session(goal), max_steps=max_steps or MAX_STEPS, max_choices=max_choices or MAX_CHOICES, **options
        )

    def cluster(self, goal: int) -> str:
        """The product that a goal is about."""
        return self.shop.goal(goal).asin

    def instruction(self, goal: int | Goal | Mapping) -> str:
        """A goal in words."""
        goal = self.shop.goal(goal) if isinstance(goal, int) else goal
        return goal.instruction_text if isinstance(goal, Goal) else goal["instruction_text"]

    def instruction_bytes(self, goals: Sequence[int]) -> np.ndarray:
        """See ``Shop.instruction_bytes``."""
        return self.shop.instruction_bytes(goals)

    def variation(self, number: int, *, seed: int = 0) -> Mapping[str, Any]:
        """See ``GoalVariations``."""
        return asdict(_variations(self.shop, seed).goal(number))

    def example(self, episode: Trajectory, *, quote: bool) -> ExampleSession:
        """See ``example_session``."""
        return example_session(episode, quote=quote)

    def request_desk(self) -> RequestDesk:
        """Requests in free words about this shop's products."""
        return RequestDesk(self.shop)

    def goals_of(self, trajectory: Trajectory) -> Sequence[int]:
        """See ``KnownGoals.of``."""
        return known_goals(self.shop).of(trajectory)
