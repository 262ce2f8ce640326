"""Which goals are rolled out next."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from typing import Any


class ShuffledGoals:
    """Endless goals: each one once, then all again in another order."""

    def __init__(self, goals: Sequence[int], seed: int):
        self._goals, self._seed = list(goals), seed
        self._given = 0

    def __next__(self) -> int:
        epoch, place = divmod(self._given, len(self._goals))
        if place == 0:
            self._order = self._shuffled(epoch)
        self._given += 1
        return self._order[place]

    def _shuffled(self, epoch: int) -> list[int]:
        return random.Random(f"{self._seed}:{epoch}").sample(self._goals, len(self._goals))

    def played(self, goal: int, unequal: bool) -> None:
        """What came of a goal that was given: whether its episodes had different rewards. Changes nothing here."""

    def get_state(self) -> dict[str, Any]:
        """How many goals were given."""
        return {"given": self._given}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on after them."""
        self._given = state["given"]
        self._order = self._shuffled(self._given // len(self._goals))


class ContestedGoals(ShuffledGoals):
    """The same, but every other goal is one whose last episodes had different rewards, as long as there are such.

    A policy that succeeds nine times in ten does so on nearly the same goals each time: of a group of episodes of a
    goal chosen at random there is mostly nothing to learn. A contested goal comes up until its episodes end alike, the
    one that waited longest first.
    """

    def __init__(self, goals: Sequence[int], seed: int):
        super().__init__(goals, seed)
        self._contested: deque[int] = deque()
        self._again = False

    def __next__(self) -> int:
        self._again = not self._again
        return self._contested.popleft() if self._again and self._contested else super().__next__()

    def played(self, goal: int, unequal: bool) -> None:
        """Remember a goal that is worth playing again."""
        if unequal and goal not in self._contested:
            self._contested.append(goal)

    def get_state(self) -> dict[str, Any]:
        """How many goals were given in turn, which are contested, and whose turn it is."""
        return super().get_state() | {"contested": list(self._contested), "again": self._again}

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of ``get_state``."""
        super().set_state(state)
        self._contested, self._again = deque(state["contested"]), state["again"]
