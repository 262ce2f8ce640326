"""GRPO and GiGPO: policy gradients whose baseline is what other episodes of a goal earned."""

from __future__ import annotations

from typing import Any

import numpy as np
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.utils.metrics import (
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    OFFLINE_SAMPLING_TIMER,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
)
from ray.tune import PlacementGroupFactory

from algorithms.common.driver_fed import DriverFedAlgorithm
from algorithms.common.figures import MEAN
from algorithms.common.iteration_learner import least_doubt
from algorithms.common.learner import PRECISION
from algorithms.common.reference import Reference
from algorithms.common.rllib_compat import MultiAgentBatch, train_batch
from algorithms.grpo.config import GiGPOConfig, GRPOConfig
from algorithms.grpo.steps import (
    Group,
    advantages_by_episode,
    advantages_by_state,
    columns_of,
    rows_to_learn,
)
from algorithms.rollouts.episode_metrics import log_rollouts
from algorithms.rollouts.goal_sampler import BARREN_GROUPS, GoalsInTurn
from algorithms.rollouts.pool import RolloutPool, with_rollout_workers
from algorithms.rollouts.sampled_groups import LocalGroups, SampledGroups
from policies.base import Policy, load_policy, precision_to_play
from policies.play import SampledEpisode
from rl_recsys.core.encoding import fitting_goals
from rl_recsys.core.preferences import earn_differently
from rl_recsys.core.task import open_task
from rl_recsys.errors import UserError


class NothingToCompare(UserError):
    """All episodes of a goal earn alike, goal after goal; the message names the remedy."""


class GRPO(DriverFedAlgorithm):
    """Group-relative policy optimisation (Shao et al. 2024).

    An iteration plays ``groups`` goals, each ``group_size`` times, with the policy as it is, and learns from all steps
    of an episode by how much more or less it earned than the others of its goal. Groups in which all earn alike say
    nothing: they drop out, and the figure ``unequal_share`` is the share of those that stay.
    """

    @classmethod
    def get_default_config(cls) -> GRPOConfig:
        """A ``GRPOConfig``."""
        return GRPOConfig()

    @classmethod
    def default_resource_request(cls, config: GRPOConfig | dict) -> PlacementGroupFactory:
        """RLlib's, and the rollout workers."""
        if isinstance(config, dict):  # Tune's
            config = cls.get_default_config().update_from_dict(config)
        return with_rollout_workers(super().default_resource_request(config), config)

    def begin(self, policy: Policy) -> None:
        """Start who plays; ``policy`` is the reference, where one is asked for."""
        config = self.config
        self._encoder = policy.decision_encoder
        self._reference = Reference(policy) if config.kl_weight else None
        self._barren = 0
        self._pool: RolloutPool | None = None
        self._groups = self._rollouts()
        self._publish()

    def _rollouts(self) -> SampledGroups:
        config, seed = self.config, self.config.seed or 0
        task, precision = open_task(config.task), config.learner_config_dict[PRECISION]
        goals = GoalsInTurn(fitting_goals(task, task.split("train"), self._encoder).goals, seed)
        asked = {"size": config.group_size, "seed": seed, "temperature": config.temperature}
        if not config.rollout_workers:
            player = load_policy(config.policy)
            player.precision = precision_to_play(precision)
            return LocalGroups(player, task, goals, **asked)
        self._pool = RolloutPool(
            task, num_workers=config.rollout_workers, num_gpus=config.rollout_gpus, precision=precision
        )
        return self._pool.sampled_groups(config.policy, goals, **asked)

    def advantages(self, groups: list[Group]) -> np.ndarray:
        """Of all steps of all episodes of these groups, in their order [N]."""
        return advantages_by_episode(groups, standardise=self.config.standardise)

    def training_step(self) -> None:
        """Play the groups, learn from those whose episodes earned differently, and give the workers the weights."""
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            groups = self._groups.of_now(self.config.groups)
        log_rollouts(self.metrics, self._groups.taken())
        with self.metrics.log_time((TIMERS, OFFLINE_SAMPLING_TIMER)):
            batches = self._batches(groups)
        if not batches:
            return
        self.learn(
            batches,
            # Schedules go by iterations: how many steps one has is not known before.
            {NUM_ENV_STEPS_SAMPLED_LIFETIME: self.iteration + 1},
            num_epochs=1,  # the batches have each row as often as there are epochs
            minibatch_size=min(self.config.minibatch_size, batches[0].env_steps()),
            shuffle_batch_per_epoch=False,
        )
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
            self._publish()

    def _batches(self, groups: list[list[SampledEpisode]]) -> list[MultiAgentBatch]:
        """A batch for each learner, of equally many rows; none where there is nothing to learn from."""
        played = [[episode.trajectory for episode in group] for group in groups]
        differ = [earn_differently(group) for group in played]
        self._log("unequal_share", np.mean(differ))
        self._count_barren(differ)
        groups = [group for group, unequal in zip(groups, differ, strict=True) if unequal]
        if not groups:
            return []
        episodes = [episode for group in groups for episode in group]
        advantages = self.advantages([group for group, unequal in zip(played, differ, strict=True) if unequal])
        decisions = rows_to_learn(episodes, doubt=0.0)
        rows = rows_to_learn(episodes, doubt=least_doubt(self.config))
        self._log("kept_share", len(rows) / max(1, len(decisions)))
        if not len(rows):
            return []
        columns = {"temperature": self.config.temperature, "reference": self._reference}
        return [
            train_batch(columns_of(episodes, share, advantages, self._encoder, **columns), rows=len(share))
            for share in self._shares(rows)
        ]

    def _shares(self, rows: np.ndarray) -> list[np.ndarray]:
        """The rows of each learner: each row once an epoch, in an order of its own; learners have equally many."""
        learners = max(1, self.config.num_learners)
        rng = np.random.default_rng((self.config.seed or 0, self.iteration))
        each = -(-len(rows) // learners)
        epochs = [np.resize(rng.permutation(rows), (learners, each)) for _ in range(self.config.num_epochs)]
        return list(np.concatenate(epochs, 1))

    def _count_barren(self, differ: list[bool]) -> None:
        for unequal in differ:
            self._barren = 0 if unequal else self._barren + 1
        if self._barren >= BARREN_GROUPS:
            raise NothingToCompare(
                f"in {self._barren} groups one after the other all episodes earned alike: the policy always does the "
                "same or always fails; train it by imitation first, or take a larger --group-size or --temperature"
            )

    def _log(self, name: str, value: float) -> None:
        self.metrics.log_value((LEARNER_RESULTS, DEFAULT_MODULE_ID, name), float(value), reduce=MEAN)

    def _publish(self) -> None:
        self._groups.publish(self.learner_group.get_weights()[DEFAULT_MODULE_ID])

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The learners' state and the place in the goals."""
        return super().get_state(*args, **kwargs) | {"groups": self._groups.get_state(), "barren": self._barren}

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of ``get_state``."""
        super().set_state(state)
        if "groups" in state:
            self._groups.set_state(state["groups"])
            self._barren = state["barren"]
        self._publish()

    def cleanup(self) -> None:
        """End the workers."""
        super().cleanup()
        self._groups.close()
        if self._pool is not None:
            self._pool.close()


class GiGPO(GRPO):
    """Group-in-group policy optimisation (Feng et al. 2025): GRPO, and steps that left one state are compared too."""

    @classmethod
    def get_default_config(cls) -> GiGPOConfig:
        """A ``GiGPOConfig``."""
        return GiGPOConfig()

    def advantages(self, groups: list[Group]) -> np.ndarray:
        """Of all steps of all episodes of these groups, in their order [N]."""
        return advantages_by_state(
            groups,
            discount=self.config.gamma,
            step_weight=self.config.step_weight,
            standardise=self.config.standardise,
        )
