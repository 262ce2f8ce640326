"""Where an algorithm's process logs when no search tells it: in a folder of its own, not in the user's home."""

from __future__ import annotations

import tempfile

from ray.rllib.algorithms.algorithm import Algorithm


class LogsAside(Algorithm):
    """An algorithm that needs no home. RLlib makes ~/ray_results for each, and a container's home may be read-only."""

    def _setup_logdir(self) -> None:
        if self._storage:  # Tune's
            super()._setup_logdir()
        else:
            self._logdir = tempfile.mkdtemp(prefix="rl-recsys-")
