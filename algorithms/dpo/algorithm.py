"""Direct preference optimisation of a choice policy: on recorded actions, on recorded outcomes, and on rollouts."""

from __future__ import annotations

from typing import Any, get_args

from ray.rllib.algorithms.algorithm_config import NotProvided
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.utils.metrics import TIMERS
from ray.tune import PlacementGroupFactory
from torch import Tensor

from algorithms.common.config import set_given
from algorithms.common.iteration_timing import ROLLOUT_WAIT_TIMER
from algorithms.common.learner import PolicyLearner
from algorithms.common.losses import dpo_loss, imitation_loss
from algorithms.common.offline import OfflineAlgorithm, OfflineConfig, decisions_to_learn
from algorithms.common.ranges import Pairing, Preferences, Ties
from algorithms.dpo.preferences import (
    EpisodeGroups,
    MixedPreferences,
    NoPreferences,
    OutcomePreferences,
    PreferenceSource,
    RecordedGroups,
    RecordedPreferences,
)
from algorithms.dpo.reference import PAIR, PAIRS, REFERENCE_LOGP, REFERENCE_MARGIN, SIGN, Reference
from algorithms.rollouts.episode_metrics import log_rollouts
from algorithms.rollouts.goal_sampler import ContestedGoals
from algorithms.rollouts.pool import RolloutPool, worker_bundles
from policies.base import Policy
from policies.module_state import load_module_state, module_state
from rl_recsys.core.encoding import fitting_goals
from rl_recsys.core.task import open_task

#: Times that a batch may have the same recorded episode: more of it teaches nothing and takes ever longer to collect.
REPEATS = 16


class DPOLearner(PolicyLearner):
    """Minimises ``dpo_loss``, plus ``imitation_weight`` times the imitation loss of the preferred actions.

    Reports both, the reward margin beta h, and how often the preferred action leads.
    """

    def compute_loss_for_module(self, *, module_id: str, config: Any, batch: dict, fwd_out: dict) -> Tensor:
        """The batch's loss."""
        logits = fwd_out[Columns.ACTION_DIST_INPUTS]
        margin, reference = episode_margins(logits, batch) if PAIR in batch else _action_margins(logits, batch)
        loss = dpo_loss(margin, reference, config.beta, config.label_smoothing)
        logged = {
            "dpo_loss": loss.detach(),
            "reward_margin": (config.beta * (margin - reference)).mean().detach(),
            "preference_accuracy": (margin > reference).float().mean(),
            "preferred_leads": (margin > 0).float().mean(),
        }
        if config.imitation_weight:
            imitation = imitation_loss(*_preferred(logits, batch))
            logged["imitation_loss"] = imitation.detach()
            loss = loss + config.imitation_weight * imitation
        self.metrics.log_dict(logged, key=module_id, window=50)
        return loss


def _action_margins(logits: Tensor, batch: dict) -> tuple[Tensor, Tensor]:
    """Of each pair of actions of a page: log pi(w) - log pi(l) [B], and the reference's."""
    preferred, rejected = logits.gather(1, batch[PAIRS].long()).unbind(1)
    return preferred - rejected, batch[REFERENCE_MARGIN]


def episode_margins(logits: Tensor, batch: dict) -> tuple[Tensor, Tensor]:
    """Of each pair of episodes: the sum of log pi over the better's decisions less that over the worse's, twice."""
    pair, sign = batch[PAIR].long(), batch[SIGN]
    logp = logits.log_softmax(-1).gather(1, batch[Columns.ACTIONS].long().unsqueeze(1)).squeeze(1)
    count = int(pair.max()) + 1
    margin = logp.new_zeros(count).index_add(0, pair, sign * logp)
    return margin, logp.new_zeros(count).index_add(0, pair, sign * batch[REFERENCE_LOGP])


def _preferred(logits: Tensor, batch: dict) -> tuple[Tensor, Tensor]:
    """Logits and actions of the rows whose action is preferred."""
    if PAIR not in batch:
        return logits, batch[PAIRS][:, 0]
    better = batch[SIGN] > 0
    return logits[better], batch[Columns.ACTIONS][better]


class DPOConfig(OfflineConfig):
    """The config of ``DPO``.

    ``preferences``: "recorded" (trajectories), "rollouts" (episodes that workers sample from the current policy while
    it learns), or "mixed", in turn. ``pairing``: by "decision", by "trajectory" (sums over an episode's decisions), or,
    of rollouts, by "branch": the policy's greedy episode against what becomes of it with one other action.
    ``beta`` scales the implicit reward, ``label_smoothing`` is the share of doubted pairs, ``imitation_weight`` that of
    the imitation loss of the preferred actions, which keeps them from falling together with the rejected ones.
    """

    def __init__(self, algo_class: type | None = None):
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


class DPO(OfflineAlgorithm):
    """Learns from pairs of actions, or of episodes, without a model of the reward."""

    @classmethod
    def get_default_config(cls) -> DPOConfig:
        """A ``DPOConfig``."""
        return DPOConfig()

    @classmethod
    def default_resource_request(cls, config: DPOConfig | dict) -> PlacementGroupFactory:
        """RLlib's, and the rollout workers."""
        if isinstance(config, dict):  # Tune's
            config = cls.get_default_config().update_from_dict(config)
        own = super().default_resource_request(config)
        if config.preferences == "recorded":
            return own
        workers = worker_bundles(config.rollout_workers, config.rollout_gpus)
        return PlacementGroupFactory(own.bundles + workers, strategy=config.placement_strategy)

    def batch_source(self, policy: Policy) -> PreferenceSource:
        """The preferences that the config names, against the frozen policy that the run starts from."""
        config = self.config
        self._reference = Reference(policy)
        self._pool: RolloutPool | None = None
        self._groups = None
        sources: dict[str, PreferenceSource] = {}
        if config.preferences != "rollouts":
            sources["recorded"] = self._recorded()
        if config.preferences != "recorded":
            self._pool = RolloutPool(config.task, num_workers=config.rollout_workers, num_gpus=config.rollout_gpus)
            seed = config.seed or 0
            task = open_task(config.task)
            training = fitting_goals(task, task.split("train"), policy.decision_encoder).goals
            goals = ContestedGoals(training, seed)
            self._groups = self._pool.groups(
                config.policy, goals, size=config.group_size, seed=seed, branching=config.pairing == "branch"
            )
            self._publish()
            sources["rollouts"] = self._outcomes(self._groups, uses=config.pair_uses)
        return MixedPreferences(**sources) if config.preferences == "mixed" else sources[config.preferences]

    def _recorded(self) -> PreferenceSource:
        """By decision as in the paper: against what the reference does instead. By trajectory: failed episodes too."""
        if self.config.pairing == "trajectory":
            recorded = self.recorded_trajectories(0.0)
            self._require_enough(len(recorded), "episodes", repeats=REPEATS)
            return self._outcomes(RecordedGroups(recorded, seed=self.config.seed or 0), uses=1)
        episodes = decisions_to_learn(self.recorded_trajectories())
        self._require_enough(sum(map(len, episodes)), "decisions")
        return RecordedPreferences(episodes, self._reference, ties=self.config.ties, **self._of_batches())

    def _require_enough(self, found: int, what: str, *, repeats: int = 1) -> None:
        """Raise ``NoPreferences`` where a batch has more pairs than there is to make them of: none would be full.

        ``repeats``: how often a batch may have the same, where they come again.
        """
        pairs = self.config.train_batch_size_per_learner
        if pairs > repeats * found:
            raise NoPreferences(
                f"{self.config.trajectories}: a batch of {pairs} pairs is asked for, {found} {what} are there; take a "
                "smaller batch or record more"
            )

    def _outcomes(self, groups: EpisodeGroups, *, uses: int) -> OutcomePreferences:
        pairing = self.config.pairing
        return OutcomePreferences(groups, self._reference, pairing=pairing, uses=uses, **self._of_batches())

    def _of_batches(self) -> dict[str, Any]:
        return {
            "pairs": self.config.train_batch_size_per_learner,
            "whole_pages": self.config.imitation_weight > 0,
            "seed": self.config.seed or 0,
        }

    def _weights(self) -> dict[str, Any]:
        return self.learner_group.get_weights()[DEFAULT_MODULE_ID]

    def _publish(self) -> None:
        if self._groups is not None:
            self._groups.publish(self._weights())

    def training_step(self) -> None:
        """The updates; then the workers get the new weights, and the reference where its time has come."""
        waited = self._groups.waited if self._groups else 0.0
        super().training_step()
        if self._groups is not None:
            self.metrics.log_value((TIMERS, ROLLOUT_WAIT_TIMER), self._groups.waited - waited, reduce="sum")
            log_rollouts(self.metrics, self._groups.taken())
        self._publish()
        every = self.config.refresh_reference_every
        if every and (self.iteration + 1) % every == 0:
            load_module_state(self._reference.policy, self._weights())
            self.source.reference_changed()

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The state of the batches, and the reference where it is not the policy that the run started from."""
        state = super().get_state(*args, **kwargs)
        if self.config.refresh_reference_every:
            state["reference"] = module_state(self._reference.policy)
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of ``get_state``."""
        super().set_state(state)
        if "reference" in state:
            load_module_state(self._reference.policy, state["reference"])
            self.source.reference_changed()
        self._publish()

    def cleanup(self) -> None:
        """End the workers."""
        super().cleanup()
        if self._pool is not None:
            self._groups.close()
            self._pool.close()
