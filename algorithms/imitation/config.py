"""The config of imitation."""

from __future__ import annotations

from algorithms.common.offline import OfflineConfig
from algorithms.imitation.learner import ImitationLearner
from algorithms.imitation.settings import ImitationSettings


class ImitationConfig(OfflineConfig):
    """The config of ``Imitation``; its defaults, and what they do, are in ``ImitationSettings``."""

    settings = ImitationSettings

    def __init__(self, algo_class: type | None = None):
        from algorithms.imitation.algorithm import Imitation  # which needs this config

        super().__init__(algo_class=algo_class or Imitation)

    def get_default_learner_class(self) -> type:
        """``ImitationLearner``."""
        return ImitationLearner
