"""RLlib's PPO for a policy of choices."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.ppo import PPO as RLlibPPO

from algorithms.common.iteration_timing import count_seconds
from algorithms.common.rllib_compat import LogsAside
from algorithms.common.start_policy import start_from_policy
from algorithms.ppo.config import PPOConfig
from rl_recsys.core.trajectory import TrajectoryError, read_trajectories


class PPO(LogsAside, RLlibPPO):
    """RLlib's PPO, started from a policy folder."""

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
        count_seconds(self.metrics)
        start_from_policy(self)
        self._sync()

    def restore_from_path(self, path: Any, *args: Any, **kwargs: Any) -> None:
        """RLlib's restore, then a sync that is sure to arrive: RLlib drops one while another is under way."""
        super().restore_from_path(path, *args, **kwargs)
        self._sync()

    def set_state(self, state: dict[str, Any]) -> None:
        """RLlib's, then a sync that is sure to arrive."""
        super().set_state(state)
        self._sync()

    def _sync(self) -> None:
        self.env_runner_group.foreach_env_runner(lambda runner: None)  # waits for what is under way
        self.env_runner_group.sync_weights(from_worker_or_learner_group=self.learner_group, inference_only=True)
        self.env_runner_group.foreach_env_runner(lambda runner: None)
