"""WebShop met on plain pages, as a task of its own: a policy, a recording or a result is of one of the two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rl_recsys.core.decision import MAX_CHOICES
from rl_recsys.core.example_sessions import ExampleSession, example_session
from rl_recsys.core.task import Baseline
from rl_recsys.core.trajectory import Trajectory
from rl_recsys.webshop.goals.goal import Goal
from rl_recsys.webshop.observe.decisions import MAX_STEPS
from rl_recsys.webshop.observe.plain_pages import PLAIN_FORMAT, PlainKind, PlainSession
from rl_recsys.webshop.shoppers import PLAIN_SCRIPTED, plain_shopper
from rl_recsys.webshop.task import WebShop


class PlainWebShop(WebShop):
    """A compiled shop as published agents meet it: see ``PlainSession``. Its rules and rewards are ``WebShop``'s.

    Of the baselines only the rule goes by nothing but the page.
    """

    name = "webshop-plain"
    kinds = tuple(kind.name.lower() for kind in PlainKind)
    decision_format = PLAIN_FORMAT
    baselines = {"rule": WebShop.baselines["rule"]}
    demonstrator = Baseline(plain_shopper, PLAIN_SCRIPTED)

    def session(
        self,
        goal: int | Goal | Mapping,
        *,
        max_steps: int | None = None,
        max_choices: int | None = None,
        **options: Any,
    ) -> PlainSession:
        """``options``: those of ``ChoiceSession``."""
        return PlainSession(
            self.shop.session(goal), max_steps=max_steps or MAX_STEPS, max_choices=max_choices or MAX_CHOICES, **options
        )

    def example(self, episode: Trajectory, *, quote: bool) -> ExampleSession:
        """See ``rl_recsys.core.example_sessions``."""
        return example_session(episode, self.kinds, quote=quote)
