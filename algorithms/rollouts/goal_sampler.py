"""Which goals are rolled out next, and how far apart the seeds are that they are played with."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from rl_recsys.console.ranges import LARGEST

#: Groups in a row whose episodes all earned alike, before a run that learns from groups ends. Where a click in 60
#: recommendations is all the reward, one group in 50 has a difference, and hundreds without one happen by chance.
BARREN_GROUPS = 1000
SEED_STRIDE = 1_000_003  # between the seeds of two parts of a run: no seed of another run


def later_seed(seed: int, parts: int) -> int:
    """The seed of what is played after so many parts of a run, however many: one that RLlib and numpy take."""
    return (seed + SEED_STRIDE * parts) % (LARGEST + 1)


class Shuffled:
    """Endless items: each one once, then all again in another order that the seed decides.

    Raises ValueError where there is none.
    """

    def __init__(self, items: Sequence[int], seed: int):
        if not len(items):
            raise ValueError("nothing to shuffle: there is no item")
        self._items, self._seed = list(items), seed
        self._given, self._epoch, self._order = 0, -1, self._items

    def __next__(self) -> int:
        epoch, place = divmod(self._given, len(self._items))
        if epoch != self._epoch:
            order = random.Random(f"{self._seed}:{epoch}")
            self._epoch, self._order = epoch, order.sample(self._items, len(self._items))
        self._given += 1
        return self._order[place]

    def get_state(self) -> dict[str, Any]:
        """How many were given."""
        return {"given": self._given}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on after them."""
        self._given = state["given"]


class NextGoal(NamedTuple):
    """A goal, and whether it came in turn: only those that did say how well a policy does."""

    goal: int
    in_turn: bool = True


class GoalsInTurn(Shuffled):
    """All goals alike, whatever comes of them."""

    def __next__(self) -> NextGoal:
        return NextGoal(super().__next__())

    def played(self, goal: int, unequal: bool) -> None:
        """Called with each goal whose episodes have ended, and whether they had different rewards."""


class ContestedGoals(GoalsInTurn):
    """Goals in turn, and between them, every other time, one whose last episodes had different rewards.

    A policy that succeeds nine times in ten does so on nearly the same goals each time: of a group of episodes of a
    goal chosen at random there is mostly nothing to learn. A contested goal comes again until its episodes end alike;
    the one that waited longest comes first. Where few are contested each of them comes often, with the weights that
    were learnt meanwhile.
    """

    def __init__(self, goals: Sequence[int], seed: int):
        super().__init__(goals, seed)
        self._contested: deque[int] = deque()
        self._again = False

    def __next__(self) -> NextGoal:
        self._again = not self._again
        if self._again and self._contested:
            return NextGoal(self._contested.popleft(), in_turn=False)
        return super().__next__()

    def played(self, goal: int, unequal: bool) -> None:
        """Remember a goal that is worth playing again, and forget one that is not any more."""
        if unequal != (goal in self._contested):
            (self._contested.append if unequal else self._contested.remove)(goal)

    def get_state(self) -> dict[str, Any]:
        """How many goals came in turn, which are contested, and whether one of those is next."""
        return super().get_state() | {"contested": list(self._contested), "again": self._again}

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of ``get_state``."""
        super().set_state(state)
        self._contested, self._again = deque(state["contested"]), state["again"]
