"""Imitation: cross-entropy over the available actions of recorded decisions (WebShop's choice imitation)."""

from __future__ import annotations

from typing import Any

import numpy as np
from ray.rllib.core.columns import Columns
from torch import Tensor

from algorithms.common.learner import PolicyLearner
from algorithms.common.losses import imitation_loss
from algorithms.common.offline import DecisionData, OfflineAlgorithm, OfflineConfig, decisions_to_learn, encode_steps
from policies.base import Policy


class Demonstrations(DecisionData):
    """Decisions with the action that was taken, of those that the episode did not undo knowing no more."""

    def next_batch(self) -> dict[str, Any]:
        """Observations and the taken actions' indices."""
        steps = [self.steps[row] for row in self.batches.next()]
        taken = np.array([step.chosen for step in steps], np.int64)
        return {Columns.OBS: encode_steps(self.encoder, steps), Columns.ACTIONS: taken}


class ImitationLearner(PolicyLearner):
    """Minimises ``imitation_loss``; reports it and the share of decisions where the policy's best is the taken one."""

    def compute_loss_for_module(self, *, module_id: str, config: Any, batch: dict, fwd_out: dict) -> Tensor:
        """The batch's loss."""
        logits, taken = fwd_out[Columns.ACTION_DIST_INPUTS], batch[Columns.ACTIONS]
        loss = imitation_loss(logits, taken)
        agreement = (logits.argmax(-1) == taken).float().mean()
        self.metrics.log_dict({"imitation_loss": loss.detach(), "agreement": agreement}, key=module_id, window=50)
        return loss


class ImitationConfig(OfflineConfig):
    """The config of ``Imitation``."""

    def __init__(self, algo_class: type | None = None):
        super().__init__(algo_class=algo_class or Imitation)

    def get_default_learner_class(self) -> type:
        """``ImitationLearner``."""
        return ImitationLearner


class Imitation(OfflineAlgorithm):
    """Supervised learning of the demonstrated choices."""

    @classmethod
    def get_default_config(cls) -> ImitationConfig:
        """An ``ImitationConfig``."""
        return ImitationConfig()

    def batch_source(self, policy: Policy) -> Demonstrations:
        """The decisions with the demonstrated actions."""
        return Demonstrations(
            decisions_to_learn(self.recorded_trajectories()),
            policy.decision_encoder,
            batch_size=self.config.train_batch_size_per_learner,
            seed=self.config.seed or 0,
        )
