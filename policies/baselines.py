"""The arms without a model, and what came of an episode of any arm. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from rl_recsys.webshop import Shop
from rl_recsys.webshop.shoppers import (
    Shopper,
    comparing_shopper,
    full_instruction,
    heuristic_shopper,
    play,
    rule_shopper,
)

Mode = Literal["greedy", "sampled"]  # the policy's best action, or one drawn from it
MODES: tuple[Mode, ...] = get_args(Mode)
RULE = "rule"


@dataclass(frozen=True, slots=True)
class Baseline:
    """An arm without a model: what plays it, what it searches for (None: as a policy does), and a version, which is
    raised when it plays otherwise, so that what it played before is not taken for its own."""

    shopper: Shopper
    queries: Callable[[str], Sequence[str]] | None
    version: int


BASELINES = {
    RULE: Baseline(rule_shopper, full_instruction, 1),
    "heuristic": Baseline(heuristic_shopper, None, 1),
    "comparing": Baseline(comparing_shopper, None, 1),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one episode ended. ``reward`` in [0, 1], 0 without a purchase; ``parts`` is WebShop's breakdown."""

    goal: int
    reward: float
    steps: int
    bought: bool
    parts: dict[str, float | bool]

    @property
    def success(self) -> bool:
        """WebShop's success: a reward of exactly 1."""
        return self.reward == 1.0


def baseline_episodes(shop: Shop, goals: Sequence[int], name: str) -> Iterator[Outcome]:
    """One of ``BASELINES`` on these goals, in order."""
    baseline = BASELINES[name]
    for goal in goals:
        episode = play(shop, goal, baseline.shopper, source="scripted", author=name, seed=0, queries=baseline.queries)
        yield Outcome(goal, episode.reward, len(episode.steps), episode.done, episode.reward_parts)
