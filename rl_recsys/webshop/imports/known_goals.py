"""Which of a shop's goals a recorded goal is: recordings know the original's price limits, or words alone."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from rl_recsys.core.trajectory import Trajectory, TrajectoryError
from rl_recsys.storage.locations import Place
from rl_recsys.webshop.data.table import ShopError
from rl_recsys.webshop.goals.goal import Goal, digest, without_price_clause
from rl_recsys.webshop.goals.splits import split_names
from rl_recsys.webshop.shop import Shop


class _Goals:
    """Goals by the digest of something that they have: two numbers a goal."""

    def __init__(self, digests: array):
        every = np.asarray(digests, np.uint64)
        self._goals = np.argsort(every, kind="stable")
        self._digests = every[self._goals]

    def of(self, what: object) -> list[int]:
        """The goals that have it, in their order."""
        key = np.uint64(digest(what))
        first, end = (np.searchsorted(self._digests, key, side=side) for side in ("left", "right"))
        return self._goals[first:end].tolist()


class KnownGoals:
    """A shop's goals by what they ask for.

    Price limits are left out of it: the original draws them anew in each process.
    """

    def __init__(self, shop: Shop):
        self._shop = shop
        words, wishes = array("Q"), array("Q")
        for index in range(shop.goal_count):
            goal = shop.goal(index)
            words.append(digest(without_price_clause(goal.instruction_text)))
            wishes.append(digest(goal.wish))
        self._words, self._wishes = _Goals(words), _Goals(wishes)

    def alike(self, goal: Mapping[str, Any]) -> list[int]:
        """The goals that ask for the same product, attributes and options, in whatever order and price limit.

        Of a goal that is known by its instruction alone: those in these words.
        """
        try:
            return self._wishes.of(Goal.from_mapping(goal).wish)
        except ValueError:
            return self._words.of(without_price_clause(goal["instruction_text"]))

    def index(self, goal: Mapping[str, Any]) -> int:
        """The first goal in the same words and, where it is known, about the same product; -1 where there is none.

        -1 as well where such goals are in several splits: training could not be told from test.
        """
        product = goal.get("asin")
        indices = [
            index
            for index in self._words.of(without_price_clause(goal["instruction_text"]))
            if product is None or self._shop.goal(index).asin == product
        ]
        return indices[0] if len({self._split(index) for index in indices}) == 1 else -1

    def of(self, trajectory: Trajectory) -> list[int]:
        """The goals that an episode is about. Raises ``TrajectoryError`` for an episode of another shop's goal."""
        own = [goal_of(trajectory, self._shop)] if trajectory.goal_index >= 0 else []
        return sorted({*self.alike(trajectory.goal), *own})

    def _split(self, index: int) -> str | None:
        """None for a goal that no split has."""
        return next((name for name, goals in self._splits.items() if index in goals), None)

    @cached_property
    def _splits(self) -> dict[str, frozenset[int]]:
        splits = {}
        for name in split_names(self._shop.rules.protocol):
            with suppress(ShopError):  # the shop is too small for it
                splits[name] = frozenset(self._shop.split(name))
        return splits


def goal_of(trajectory: Trajectory, shop: Shop) -> int:
    """The index that an episode says. Raises ``TrajectoryError`` where the shop has another goal there."""
    index, said = trajectory.goal_index, trajectory.goal["instruction_text"]
    if 0 <= index < shop.goal_count:
        here = shop.goal(index).instruction_text
        if without_price_clause(here) == without_price_clause(said):
            return index
    raise TrajectoryError(
        f"an episode of goal {index} ({said!r}) was recorded in another shop than {shop.folder}; "
        "name the shop that it was recorded in, or record again"
    )


class SplitFilter:
    """Tells whether an episode's goal is of a split of a shop; ``unknown`` counts the episodes that name no goal."""

    def __init__(self, shop: Place, split: str):
        """Raises ``ShopError`` for a folder that is no shop, and for a split that it does not have."""
        self.unknown = 0
        self._shop = Shop.open(shop)
        self._goals = frozenset(self._shop.split(split))

    def __call__(self, trajectory: Trajectory) -> bool:
        """Raises ``TrajectoryError`` for an episode of another shop."""
        if trajectory.goal_index < 0:
            self.unknown += 1
            return False
        return goal_of(trajectory, self._shop) in self._goals


@lru_cache(maxsize=2)
def known_goals(shop: Shop) -> KnownGoals:
    """The same, made once for a shop."""
    return KnownGoals(shop)
