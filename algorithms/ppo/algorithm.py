"""RLlib's PPO for a policy of choices."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import ray
from ray.rllib.algorithms.ppo import PPO as RLlibPPO
from ray.rllib.core import ALL_MODULES, COMPONENT_LEARNER, COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_MODULE_STEPS_TRAINED_LIFETIME,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
    WEIGHTS_SEQ_NO,
)

from algorithms.common.iteration_timing import ROLLOUT_WAIT_TIMER, count_seconds
from algorithms.common.rllib_compat import LogsAside, SeedsLightly, sample_all_env_runners
from algorithms.common.start_policy import start_from_policy
from algorithms.ppo.config import PPOConfig
from rl_recsys.core.trajectory import TrajectoryError, read_trajectories


class PPO(SeedsLightly, LogsAside, RLlibPPO):
    """RLlib's PPO, started from a policy folder.

    With the config's ``sample_ahead`` the rollout workers sample while the learners learn: an iteration learns from
    steps of the policy before the last update. Their probabilities were kept when they were sampled, so the ratio is
    that to the policy that played. Nobody samples between two iterations.
    """

    _sampler: ThreadPoolExecutor | None = None
    _ahead: Future | None = None  # of what the next iteration learns from

    @classmethod
    def get_default_config(cls) -> PPOConfig:
        """A ``PPOConfig``."""
        return PPOConfig()

    def setup(self, config: PPOConfig) -> None:
        """Build workers and learners, and give all of them the policy's weights."""
        if config.imitation_weight:
            found = read_trajectories(config.trajectories, minimum_reward=config.minimum_reward)
            if next(found, None) is None:
                raise TrajectoryError(
                    f"{config.trajectories}: no trajectory has a reward of at least {config.minimum_reward}"
                )
        super().setup(config)
        if config.sample_ahead and self.env_runner_group.num_remote_workers():
            self._sampler = ThreadPoolExecutor(1, thread_name_prefix="sampling ahead")
        count_seconds(self.metrics)
        start_from_policy(self)
        self._sync()

    def training_step(self) -> None:
        """One iteration: what was sampled is learnt from, and the workers get the weights."""
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            ahead, self._ahead = self._ahead, None
            episodes, sampled = ahead.result() if ahead else self._sample()
        if not episodes:  # every worker failed; those that are started again sample in the next iteration
            return
        self.metrics.aggregate(sampled, key=ENV_RUNNER_RESULTS)
        if self._sampler:
            self._ahead = self._sampler.submit(self._sample)
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            trained = (LEARNER_RESULTS, ALL_MODULES, NUM_MODULE_STEPS_TRAINED_LIFETIME)
            learnt = self.learner_group.update(
                episodes=episodes,
                timesteps={
                    NUM_ENV_STEPS_SAMPLED_LIFETIME: self.metrics.peek(
                        (ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME)
                    ),
                    NUM_MODULE_STEPS_TRAINED_LIFETIME: self.metrics.peek(trained, default=0),
                },
                num_epochs=self.config.num_epochs,
                minibatch_size=self.config.minibatch_size,
                shuffle_batch_per_epoch=self.config.shuffle_batch_per_epoch,
            )
            self.metrics.aggregate(learnt, key=LEARNER_RESULTS)
        if self._ahead:
            with self.metrics.log_time((TIMERS, ROLLOUT_WAIT_TIMER)):
                self._ahead.result()
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
            self.env_runner_group.sync_weights(
                from_worker_or_learner_group=self.learner_group, policies={DEFAULT_MODULE_ID}, inference_only=True
            )

    def _sample(self) -> tuple[list, list[dict]]:
        return sample_all_env_runners(
            self.env_runner_group, steps=self.config.total_train_batch_size, timeout_s=self.config.sample_timeout_s
        )

    def cleanup(self) -> None:
        """RLlib's; what is sampled ahead is not waited for."""
        if self._sampler:
            self._sampler.shutdown(wait=False, cancel_futures=True)
        super().cleanup()

    def restore_from_path(self, path: Any, *args: Any, **kwargs: Any) -> None:
        """RLlib's restore, then a sync that is sure to arrive."""
        super().restore_from_path(path, *args, **kwargs)
        self._sync()

    def set_state(self, state: dict[str, Any]) -> None:
        """RLlib's, then a sync that is sure to arrive."""
        super().set_state(state)
        self._sync()

    def _sync(self) -> None:
        """Give the learners' weights to all who play with them.

        RLlib's ``sync_weights`` is dropped while another is under way, and a runner takes none whose number is not
        above that of its own: where the learners went back, it would go on with those that were dropped.
        """
        self._ahead = None  # played with other weights
        weights = f"{COMPONENT_LEARNER}/{COMPONENT_RL_MODULE}"
        state = self.learner_group.get_state(components=weights, inference_only=True)[COMPONENT_LEARNER]
        given = ray.put({COMPONENT_RL_MODULE: state[COMPONENT_RL_MODULE]})

        def take(runner: Any, given: Any = given, number: int = state[WEIGHTS_SEQ_NO]) -> None:
            weights = ray.get(given)
            runner.set_state(weights)  # without a number: whatever its own is
            runner.set_state(weights | {WEIGHTS_SEQ_NO: number})

        for group in filter(None, (self.env_runner_group, self.eval_env_runner_group)):
            group.foreach_env_runner(take)
