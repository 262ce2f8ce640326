"""Imitation: cross-entropy over the available actions of recorded decisions (WebShop's choice imitation)."""

from __future__ import annotations

from algorithms.common.offline import OfflineAlgorithm, decisions_to_learn
from algorithms.imitation.config import ImitationConfig
from algorithms.imitation.demonstrations import Demonstrations
from policies.base import Policy


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
