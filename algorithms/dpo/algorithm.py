"""Direct preference optimisation of a choice policy: on recorded actions, on recorded outcomes, and on rollouts."""

from __future__ import annotations

from typing import Any

from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.utils.metrics import TIMERS
from ray.tune import PlacementGroupFactory

from algorithms.common.iteration_timing import ROLLOUT_WAIT_TIMER
from algorithms.common.learner import PRECISION
from algorithms.common.offline import OfflineAlgorithm, decisions_to_learn
from algorithms.common.reference import Reference
from algorithms.dpo.config import DPOConfig
from algorithms.dpo.preferences import (
    EpisodeGroups,
    MixedPreferences,
    NoPreferences,
    OutcomePreferences,
    PreferenceSource,
    RecordedGroups,
    RecordedPreferences,
)
from algorithms.rollouts.episode_metrics import log_rollouts
from algorithms.rollouts.goal_sampler import ContestedGoals
from algorithms.rollouts.pool import RolloutPool, with_rollout_workers
from policies.base import Policy
from policies.module_state import load_module_state, module_state
from rl_recsys.core.encoding import fitting_goals
from rl_recsys.core.task import open_task

#: Times that a batch may have the same recorded episode: more of it teaches nothing and takes ever longer to collect.
REPEATS = 16


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
        return own if config.preferences == "recorded" else with_rollout_workers(own, config)

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
            self._pool = RolloutPool(
                config.task,
                num_workers=config.rollout_workers,
                num_gpus=config.rollout_gpus,
                precision=config.learner_config_dict[PRECISION],
            )
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
            "whole_pages": self.config.whole_pages,
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
