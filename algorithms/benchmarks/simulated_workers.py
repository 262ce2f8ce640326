"""Rollout workers without a shop or a policy: they sleep as long as a real one plays, and return what it played.

How many workers a driver can feed is only seen with more of them than a machine has room for. Neither this file nor
what it imports needs torch, RLlib or Java, so that a worker takes some tens of megabytes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence

import ray

from algorithms.rollouts.published_weights import Weights
from rl_recsys.core.trajectory import Trajectory


@ray.remote(num_cpus=0)
class SimulatedWorker:
    """A ``GroupWorker`` that returns recorded groups of episodes. ``groups``: by their goal."""

    def __init__(self, groups: Mapping[int, list[Trajectory]]):
        self._groups = groups
        self._seconds: Mapping[int, float] = {}
        self._version: str | None = None

    def pace(self, seconds: Mapping[int, float]) -> None:
        """How long each goal's group takes from now on; 0 by default."""
        self._seconds = seconds

    def trajectories(
        self,
        policy: str,
        goals: Sequence[int],
        draws: Sequence[int],
        greedy: bool,
        seed: int,
        weights: Weights | None = None,
    ) -> list[Trajectory]:
        """The group of the goal that all ``goals`` are, after its time; of no goals none, at once.

        Weights that are new are copied before, as a real worker copies them into its model.
        """
        if weights is not None and weights.version != self._version:
            for array in ray.get(weights.state).values():
                array.copy()
            self._version = weights.version
        if not goals:
            return []
        time.sleep(self._seconds.get(goals[0], 0.0))
        return self._groups[goals[0]]

    def imported(self) -> list[str]:
        """The modules of this process."""
        return sorted(sys.modules)
