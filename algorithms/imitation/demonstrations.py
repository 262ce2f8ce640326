"""Batches of demonstrated decisions."""

from __future__ import annotations

from typing import Any

import numpy as np
from ray.rllib.core.columns import Columns

from algorithms.common.offline import DecisionData, encode_steps


class Demonstrations(DecisionData):
    """Decisions with the action that was taken, of those that the episode did not undo knowing no more."""

    def next_batch(self) -> dict[str, Any]:
        """Observations and the taken actions' indices."""
        steps = [self.steps[row] for row in self.batches.next()]
        taken = np.array([step.chosen for step in steps], np.int64)
        return {Columns.OBS: encode_steps(self.encoder, steps), Columns.ACTIONS: taken}
