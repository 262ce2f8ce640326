"""What groups of episodes ask of a worker. A file of its own: not every worker needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from algorithms.rollouts.published_weights import Weights
from rl_recsys.core.trajectory import Trajectory


class GroupWorker(Protocol):
    """A Ray actor that ``RolloutGroups`` can be given: one that plays, or one that is only as slow as that."""

    def trajectories(
        self,
        policy: str,
        goals: Sequence[int],
        draws: Sequence[int],
        greedy: bool,
        seed: int,
        weights: Weights | None = None,
    ) -> list[Trajectory]:
        """The episodes of these goals, in their order; with ``weights`` of ``policy``'s architecture, if given."""
