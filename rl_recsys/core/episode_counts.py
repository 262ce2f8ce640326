"""How many episodes there are, and how they went."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rl_recsys.core.trajectory import Trajectory


@dataclass(slots=True)
class EpisodeCounts:
    """Sums over episodes. The means are defined once there is one."""

    episodes: int = 0
    successes: int = 0
    steps: int = 0
    reward: float = 0.0

    @classmethod
    def of(cls, trajectories: Iterable[Trajectory]) -> EpisodeCounts:
        """The sums over these."""
        counts = cls()
        for trajectory in trajectories:
            counts.add(trajectory)
        return counts

    def add(self, trajectory: Trajectory) -> None:
        """Count one more."""
        self.episodes += 1
        self.successes += trajectory.success
        self.steps += len(trajectory.steps)
        self.reward += trajectory.reward

    @property
    def success_rate(self) -> float:
        """The share of episodes that succeeded, in [0, 1]."""
        return self.successes / self.episodes

    @property
    def mean_steps(self) -> float:
        """Steps an episode."""
        return self.steps / self.episodes

    @property
    def mean_reward(self) -> float:
        """Reward an episode, in [0, 1]."""
        return self.reward / self.episodes
