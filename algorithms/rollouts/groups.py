"""Groups of episodes, each of one goal, that are played while the learner learns from the last ones."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import ray

from algorithms.rollouts.goal_sampler import GoalsInTurn, NextGoal, later_seed
from algorithms.rollouts.published_weights import Weights
from rl_recsys.core.preferences import earn_differently
from rl_recsys.core.trajectory import Trajectory

TASKS_AHEAD = 2  # groups each worker has to play, so that it never waits for the learner
CALL_OFF_S = 30.0  # for tasks that nobody waits for any more to end


class RolloutGroups:
    """Groups of sampled episodes that are played while the last ones are learnt from, each of the next of ``goals``.

    ``workers``: handles of actors, each a ``GroupWorker``. Every one has ``TASKS_AHEAD`` tasks. Groups come in the
    order in which they were asked for, so which weights played which does not depend on how fast the workers are.
    """

    def __init__(self, workers: Sequence, policy: str, goals: GoalsInTurn, size: int, seed: int):
        self._workers, self._policy, self._goals, self._size, self._seed = workers, policy, goals, size, seed
        self._pending: deque[tuple[NextGoal, ray.ObjectRef]] = deque()  # goals and their episodes
        self._asked, self.waited = 0, 0.0  # seconds for which groups were waited for
        self._repeated: deque[NextGoal] = deque()  # what a run that was stopped had asked for and not taken
        self._weights: Weights | None = None
        self._taken: list[Trajectory] = []

    def publish(self, state: dict[str, np.ndarray]) -> None:
        """Tasks that are begun from now on are played with these weights."""
        self._weights = Weights(ray.put(state))

    def __next__(self) -> list[Trajectory]:
        while len(self._pending) < TASKS_AHEAD * len(self._workers):
            self._ask()
        group = self._take()
        self._ask()
        return group

    def of_now(self, count: int) -> list[list]:
        """So many groups, all of them played with the weights that were published last: none is asked for ahead."""
        while len(self._pending) < count:
            self._ask()
        return [self._take() for _ in range(count)]

    def taken(self) -> list[Trajectory]:
        """The episodes of goals in turn that were taken since this was last asked."""
        taken, self._taken = self._taken, []
        return taken

    def get_state(self) -> dict[str, Any]:
        """How many groups were taken, which were asked for besides, and what the order of the goals is after them."""
        asked = [*(goal for goal, _ in self._pending), *self._repeated]
        return {
            "taken": self._asked - len(self._pending),
            "asked": list(map(tuple, asked)),
            "goals": self._goals.get_state(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on where another was; before the first group is taken."""
        self._asked, self._repeated = state["taken"], deque(NextGoal(*goal) for goal in state["asked"])
        self._goals.set_state(state["goals"])

    def close(self) -> None:
        """Call off what nobody waits for any more; a task that is under way is played to its end."""
        call_off(episodes for _, episodes in self._pending)

    def _take(self) -> list:
        start = time.monotonic()
        (goal, in_turn), episodes = self._pending.popleft()
        group = self._played(episodes)
        self.waited += time.monotonic() - start
        self._goals.played(goal, self._contested(group))
        self._taken += self._own(group) if in_turn else ()
        return group

    def _ask(self) -> None:
        following = self._repeated.popleft() if self._repeated else next(self._goals)
        worker = self._workers[self._asked % len(self._workers)]
        seed = later_seed(self._seed, self._asked)  # a goal that comes again is drawn for anew
        self._pending.append((following, self._play(worker, following.goal, seed)))
        self._asked += 1

    def _play(self, worker: Any, goal: int, seed: int) -> ray.ObjectRef:
        goals, draws = [goal] * self._size, range(self._size)
        return worker.trajectories.remote(self._policy, goals, draws, False, seed, self._weights)

    def _played(self, episodes: ray.ObjectRef) -> list:
        """The group that ``_play`` began to play."""
        return ray.get(episodes)

    def _contested(self, group: list[Trajectory]) -> bool:
        """Whether the goal is worth playing again soon."""
        return earn_differently(self._own(group))

    def _own(self, group: list[Trajectory]) -> list[Trajectory]:
        """The episodes that say how well the policy does."""
        return group


class BranchGroups(RolloutGroups):
    """The same of greedy episodes with their branches, ``size`` together at most.

    A goal is contested where a branch earned more: the policy has something to learn there.
    """

    def _play(self, worker: Any, goal: int, seed: int) -> ray.ObjectRef:
        return worker.branches.remote(self._policy, goal, self._size, seed, self._weights)

    def _contested(self, group: list[Trajectory]) -> bool:
        return any(branch.reward > group[0].reward for branch in group[1:])

    def _own(self, group: list[Trajectory]) -> list[Trajectory]:
        return group[:1]


def call_off(tasks: Iterable[ray.ObjectRef]) -> None:
    """Cancel tasks. Of those of a worker that is killed Ray would say that it plays them again."""
    tasks = list(tasks)
    for task in tasks:
        ray.cancel(task)
    if tasks:
        ray.wait(tasks, num_returns=len(tasks), timeout=CALL_OFF_S)
