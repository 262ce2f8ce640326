"""Groups of episodes with the probabilities that they were sampled with: by workers, or by this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import ray

from algorithms.rollouts.goal_sampler import GoalsInTurn
from algorithms.rollouts.groups import RolloutGroups
from policies.base import Policy
from policies.module_state import load_module_state
from policies.play import SampledEpisode, sampled_episodes
from rl_recsys.core.task import Task
from rl_recsys.core.trajectory import Trajectory


class SampledGroups(RolloutGroups):
    """The groups of ``RolloutGroups`` as ``SampledEpisode``s, at a temperature."""

    def __init__(self, workers: Sequence, policy: str, goals: GoalsInTurn, size: int, seed: int, temperature: float):
        super().__init__(workers, policy, goals, size, seed)
        self._temperature = temperature

    def _play(self, worker: Any, goal: int, seed: int) -> ray.ObjectRef:
        goals, draws = [goal] * self._size, range(self._size)
        return worker.sampled.remote(self._policy, goals, draws, seed, self._temperature, self._weights)

    def _own(self, group: list[SampledEpisode]) -> list[Trajectory]:
        return [episode.trajectory for episode in group]


class LocalGroups(SampledGroups):
    """The same groups, played one after the other in this process, by ``player``. Needs no Ray."""

    def __init__(self, player: Policy, task: Task, goals: GoalsInTurn, *, size: int, seed: int, temperature: float):
        super().__init__([self], player.name, goals, size, seed, temperature)
        self._player, self._task = player, task
        player.share_encodings()

    def publish(self, state: dict[str, np.ndarray]) -> None:
        """What is asked for from now on is played with these weights."""
        load_module_state(self._player, state)

    def _play(self, worker: Any, goal: int, seed: int) -> list[SampledEpisode]:
        return list(
            sampled_episodes(
                self._player, self._task, [goal] * self._size, author=self._policy, draws=range(self._size), seed=seed,
                temperature=self._temperature,
            )
        )  # fmt: skip

    def _played(self, episodes: list[SampledEpisode]) -> list[SampledEpisode]:
        return episodes

    def close(self) -> None:
        """Nothing is under way."""
