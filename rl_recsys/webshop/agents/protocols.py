"""Which goals an agent is scored on: ours, and how verl-agent and its followers draw theirs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from rl_recsys.webshop.goals.winning import BestPurchase
from rl_recsys.webshop.shop import Shop

VERL_GOALS = 128  # of a validation


@dataclass(frozen=True)
class Protocol:
    """``validations``: the goals of each, in their order."""

    name: str
    validations: Sequence[Sequence[int]]

    @property
    def goals(self) -> list[int]:
        """Those of all validations, one after the other."""
        return [goal for goals in self.validations for goal in goals]


def split_goals(shop: Shop, split: str, number: int) -> Protocol:
    """The first goals of a split, each once. Raises ``ShopError`` for a split that there is not."""
    return Protocol(split, [list(shop.split(split))[:number]])


def verl_goals(shop: Shop, validations: int, seed: int) -> Protocol:
    """What verl-agent and its forks call validation: 128 goals, drawn anew for each from all that the shop has.

    Their 128 environments shuffle the goals each by a seed of its own, so draws are with replacement, and nothing keeps
    a goal of training out (docs/results.md).
    """
    drawn = [
        random.Random(f"{seed}:{number}").choices(range(shop.goal_count), k=VERL_GOALS) for number in range(validations)
    ]
    return Protocol("verl-128", drawn)


def seen_share(shop: Shop, goals: Sequence[int]) -> float:
    """The share of goals that are goals of training here."""
    training = set(shop.split("train"))
    return sum(goal in training for goal in goals) / len(goals)


def winnable_share(shop: Shop, goals: Sequence[int]) -> float:
    """The share of goals whose own product can earn the whole reward by the shop's rule: a ceiling of success, but for
    other products that can."""
    best: dict[str, BestPurchase] = {}
    won = 0
    for index in goals:
        goal = shop.goal(index)
        purchase = best.setdefault(goal.asin, BestPurchase(shop.product(goal.asin)))
        won += purchase.reward(goal, shop.goal_nouns(goal), shop.rules.reward) == 1.0
    return won / len(goals)
