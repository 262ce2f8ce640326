"""The config of DPO."""

from __future__ import annotations

from typing import Any, get_args

from ray.rllib.algorithms.algorithm_config import NotProvided

from algorithms.common.config import set_given
from algorithms.common.offline import OfflineConfig
from algorithms.common.ranges import Pairing, Preferences, Ties
from algorithms.common.settings import NUM_WORKERS
from algorithms.dpo.learner import DPOLearner
from algorithms.dpo.loss_by_name import preference_loss
from algorithms.dpo.settings import DPOSettings
from rl_recsys.core.registry import RegistryError


class DPOConfig(OfflineConfig):
    """The config of ``DPO``; its defaults, and what they do, are in ``DPOSettings``."""

    settings = DPOSettings

    def __init__(self, algo_class: type | None = None):
        from algorithms.dpo.algorithm import DPO  # which needs this config

        super().__init__(algo_class=algo_class or DPO)
        self.task: str | None = None
        self.rollout_workers, self.rollout_gpus = NUM_WORKERS, 0.0

    def training(
        self,
        *,
        loss: str = NotProvided,
        beta: float = NotProvided,
        label_smoothing: float = NotProvided,
        simpo_gamma: float = NotProvided,
        lambda_d: float = NotProvided,
        lambda_u: float = NotProvided,
        imitation_weight: float = NotProvided,
        preferences: Preferences = NotProvided,
        pairing: Pairing = NotProvided,
        ties: Ties = NotProvided,
        task: str = NotProvided,
        group_size: int = NotProvided,
        pair_uses: int = NotProvided,
        rollout_workers: int = NotProvided,
        rollout_gpus: float = NotProvided,
        refresh_reference_every: int = NotProvided,
        **kwargs: Any,
    ) -> DPOConfig:
        """The loss and where its pairs come from, as ``DPOSettings`` explains them.

        For rollouts also the ``task`` (see ``open_task``), and ``rollout_workers`` processes that share
        ``rollout_gpus``. ``train_batch_size_per_learner`` counts pairs. ``simpo_gamma`` is the setting
        ``gamma``: RLlib's own of that name is a discount.
        """
        super().training(**kwargs)
        return set_given(
            self,
            loss=loss,
            beta=beta,
            label_smoothing=label_smoothing,
            simpo_gamma=simpo_gamma,
            lambda_d=lambda_d,
            lambda_u=lambda_u,
            imitation_weight=imitation_weight,
            preferences=preferences,
            pairing=pairing,
            ties=ties,
            task=task,
            group_size=group_size,
            pair_uses=pair_uses,
            rollout_workers=rollout_workers,
            rollout_gpus=rollout_gpus,
            refresh_reference_every=refresh_reference_every,
        )

    def validate(self) -> None:
        """Raises ValueError for settings that do not go together, or not with the policy."""
        super().validate()
        try:
            loss = preference_loss(self.loss)
        except RegistryError as error:
            raise ValueError(str(error)) from None
        loss.require_only_own(self)
        for name, known in (("preferences", Preferences), ("pairing", Pairing), ("ties", Ties)):
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name} is {getattr(self, name)!r}, choose one of {', '.join(get_args(known))}")
        if self.pairing == "branch" and self.preferences != "rollouts":
            raise ValueError("pairing by branch needs rollouts: recorded episodes have no branches")
        if self.preferences != "recorded" and not self.task:
            raise ValueError(
                f"{self.preferences} preferences need a task to roll out in: .training(task='webshop:FOLDER')"
            )
        if self.preferences != "recorded" and not self.rollout_workers:
            raise ValueError(f"{self.preferences} preferences need rollout workers: .training(rollout_workers=1)")
        if self.pair_uses > 1 and self.preferences == "recorded":
            raise ValueError("pair_uses is for pairs from rollouts; recorded ones come again by themselves")

    @property
    def whole_pages(self) -> bool:
        """Whether all actions of a page are encoded, and not only the two of a pair."""
        return self.imitation_weight > 0 or preference_loss(self.loss).whole_pages

    @property
    def needs_trajectories(self) -> bool:
        """Rollouts alone need none."""
        return self.preferences != "rollouts"

    def get_default_learner_class(self) -> type:
        """``DPOLearner``."""
        return DPOLearner
