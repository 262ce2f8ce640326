"""The learner of imitation."""

from __future__ import annotations

from typing import Any

from ray.rllib.core.columns import Columns
from torch import Tensor

from algorithms.common.figures import MEAN
from algorithms.common.learner import PolicyLearner
from algorithms.common.losses import imitation_loss


class ImitationLearner(PolicyLearner):
    """Minimises ``imitation_loss``; reports it and the share of decisions where the policy's best is the taken one."""

    def compute_loss_for_module(self, *, module_id: str, config: Any, batch: dict, fwd_out: dict) -> Tensor:
        """The batch's loss."""
        logits, taken = fwd_out[Columns.ACTION_DIST_INPUTS], batch[Columns.ACTIONS]
        loss = imitation_loss(logits, taken)
        agreement = (logits.argmax(-1) == taken).float().mean()
        self.metrics.log_dict({"imitation_loss": loss.detach(), "agreement": agreement}, key=module_id, reduce=MEAN)
        return loss
