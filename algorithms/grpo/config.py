"""The configs of GRPO and GiGPO."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.algorithm_config import NotProvided

from algorithms.common.config import set_given
from algorithms.common.driver_fed import DriverFedConfig
from algorithms.common.learner import LAST_UPDATE
from algorithms.common.settings import NUM_WORKERS
from algorithms.grpo.learner import GRPOLearner
from algorithms.grpo.settings import GiGPOSettings, GRPOSettings


class GRPOConfig(DriverFedConfig):
    """The config of ``GRPO``; its defaults, and what they do, are in ``GRPOSettings``."""

    settings = GRPOSettings

    def __init__(self, algo_class: type | None = None):
        from algorithms.grpo.algorithm import GRPO  # which needs this config

        super().__init__(algo_class=algo_class or GRPO)
        self.task: str | None = None
        self.rollout_workers, self.rollout_gpus = NUM_WORKERS, 0.0

    def _take(self, given: dict[str, Any]) -> None:
        self.learner_config_dict[LAST_UPDATE] = given.pop("updates")
        super()._take(given)

    def training(
        self,
        *,
        task: str = NotProvided,
        groups: int = NotProvided,
        group_size: int = NotProvided,
        temperature: float = NotProvided,
        standardise: bool = NotProvided,
        clip_param: float = NotProvided,
        kl_weight: float = NotProvided,
        entropy_coeff: float = NotProvided,
        doubt: float = NotProvided,
        average_weights: bool = NotProvided,
        rollout_workers: int = NotProvided,
        rollout_gpus: float = NotProvided,
        **kwargs: Any,
    ) -> GRPOConfig:
        """``GRPOSettings`` explains them; the rest is RLlib's, ``minibatch_size`` and ``num_epochs`` for example.

        ``task``: see ``open_task``. ``rollout_workers``: processes that play, and share ``rollout_gpus``; with 0 the
        driver plays.
        """
        super().training(**kwargs)
        return set_given(
            self,
            task=task,
            groups=groups,
            group_size=group_size,
            temperature=temperature,
            standardise=standardise,
            clip_param=clip_param,
            kl_weight=kl_weight,
            entropy_coeff=entropy_coeff,
            doubt=doubt,
            average_weights=average_weights,
            rollout_workers=rollout_workers,
            rollout_gpus=rollout_gpus,
        )

    def validate(self) -> None:
        """Raises ValueError for settings that do not go together, or not with the policy."""
        super().validate()
        if not self.task:
            raise ValueError("task is not set: .training(task='webshop:FOLDER')")

    def get_default_learner_class(self) -> type:
        """``GRPOLearner``."""
        return GRPOLearner


class GiGPOConfig(GRPOConfig):
    """The config of ``GiGPO``; its defaults, and what they do, are in ``GiGPOSettings``. RLlib's ``gamma`` is the
    discount."""

    settings = GiGPOSettings

    def __init__(self, algo_class: type | None = None):
        from algorithms.grpo.algorithm import GiGPO  # which needs this config

        super().__init__(algo_class=algo_class or GiGPO)

    def training(self, *, step_weight: float = NotProvided, **kwargs: Any) -> GiGPOConfig:
        """``step_weight``: see ``GiGPOSettings``; the rest is GRPO's."""
        super().training(**kwargs)
        return set_given(self, step_weight=step_weight)
