"""The frozen policy that a policy in training is measured against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from algorithms.common.offline import encode_steps
from policies.base import MASKED, Policy
from policies.logits import require_finite
from rl_recsys.core.trajectory import Step

REFERENCE_LOGITS = "reference_logits"  # a column [rows, A] of its logits, of the actions that the row's observation has
SCORED_AT_ONCE = 64  # steps


class Reference:
    """A policy that stays as it is; scored in float32."""

    def __init__(self, policy: Policy):
        self.policy, self.encoder = policy.eval(), policy.decision_encoder
        self.policy.precision = torch.float32  # a margin is the difference of two logits, and is computed once

    def logits(self, steps: Sequence[Step]) -> np.ndarray:
        """Logits [N, A] of steps, A the encoder's choices; ``MASKED`` where there is none."""
        found = np.full((len(steps), self.encoder.choices), MASKED, np.float32)
        for start in range(0, len(steps), SCORED_AT_ONCE):
            logits = self.score(encode_steps(self.encoder, steps[start : start + SCORED_AT_ONCE]))
            found[start : start + SCORED_AT_ONCE, : logits.shape[1]] = logits
        return found

    def score(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        """Logits [N, A] of an observation's arrays. Raises ``PolicyError`` where one is no finite number."""
        with torch.no_grad():
            logits, _ = self.policy({key: torch.as_tensor(value) for key, value in observation.items()})
        return require_finite(logits, self.policy.name).numpy()
