"""The config of DPO."""

from __future__ import annotations

from typing import Any, get_args

from ray.rllib.algorithms.algorithm_config import NotProvided

from algorithms.common.config import set_given
from algorithms.common.offline import OfflineConfig
from algorithms.common.ranges import Pairing, Preferences, Ties
from algorithms.dpo.learner import DPOLearner


class DPOConfig(OfflineConfig):
    """The config of ``DPO``.

    ``preferences``: "recorded" (trajectories), "rollouts" (episodes that workers sample from the current policy while
    it learns), or "mixed", in turn. ``pairing``: by "decision", by "trajectory" (sums over an episode's decisions), or,
    of rollouts, by "branch": the policy's greedy episode against what becomes of it with one other action.
    ``beta`` scales the implicit reward, ``label_smoothing`` is the share of doubted pairs, ``imitation_weight`` that of
    the imitation loss of the preferred actions, which keeps them from falling together with the rejected ones.
    """

    def __init__(self, algo_class: type | None = None):
        from algorithms.dpo.algorithm import DPO  # which needs this config

        super().__init__(algo_class=algo_class or DPO)
        self.beta = 1.0  # the paper's 0.1 is for sequences of tokens; a decision is one action (docs/learning.md)
        self.label_smoothing = 0.0
        self.imitation_weight = 0.0
        self.preferences: Preferences = "recorded"
        self.pairing: Pairing = "decision"
        self.ties: Ties = "skip"
        self.task: str | None = None
        self.group_size, self.pair_uses = 8, 1
        self.rollout_workers, self.rollout_gpus = 2, 0.0
        self.refresh_reference_every = 0

    def training(
        self,
        *,
        beta: float = NotProvided,
        label_smoothing: float = NotProvided,
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
        """The loss and where its pairs come from; what numbers may be is in ``algorithms.common.ranges``.

        ``beta`` is typically 0.5 to 2 for single actions. With an ``imitation_weight`` of 0 only the two actions of a
        pair are encoded, and updates are faster.
        ``train_batch_size_per_learner`` counts pairs. ``ties``: what becomes of a recorded action that the reference
        draws itself: "skip" or "resample" (it draws again among the others). For rollouts: the ``task`` (see
        ``open_task``), ``group_size`` episodes of each goal, ``pair_uses`` updates for each pair of them, and
        ``rollout_workers`` processes that share ``rollout_gpus``.
        ``refresh_reference_every``: iterations after which the current policy becomes the reference; 0 keeps the one
        that the run starts from.
        """
        super().training(**kwargs)
        return set_given(
            self,
            beta=beta,
            label_smoothing=label_smoothing,
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
    def needs_trajectories(self) -> bool:
        """Rollouts alone need none."""
        return self.preferences != "rollouts"

    def get_default_learner_class(self) -> type:
        """``DPOLearner``."""
        return DPOLearner
