"""The config of PPO."""

from __future__ import annotations

from typing import Any, Self

from ray.rllib.algorithms.algorithm_config import NotProvided
from ray.rllib.algorithms.ppo import PPOConfig as RLlibPPOConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from algorithms.common.config import SettingsConfig, check_learner_settings, set_given
from algorithms.common.learner import LAST_UPDATE, PRECISION
from algorithms.common.settings import NUM_WORKERS
from algorithms.common.start_policy import space_from_policy
from algorithms.ppo.env_runner import FailFast, WatchedEnvRunner, log_begun, log_success
from algorithms.ppo.learner import PPOLearner
from algorithms.ppo.settings import PPOSettings
from algorithms.rollouts.watchdog import HANG_S
from envs import CHOICE_ID, REQUIRED, register_with_ray
from policies.base import read_architecture
from policies.rllib import module_spec


class PPOConfig(SettingsConfig, RLlibPPOConfig):
    """RLlib's PPOConfig with this project's environment, learner and defaults; ``policy`` is where it starts.

    Its defaults, and what they do, are in ``PPOSettings``.
    """

    settings = PPOSettings

    def __init__(self, algo_class: type | None = None):
        from algorithms.ppo.algorithm import PPO  # which needs this config

        super().__init__(algo_class=algo_class or PPO)
        self.policy: str | None = None
        self.trajectories: str | None = None
        self.env = CHOICE_ID
        self.env_runner_cls = WatchedEnvRunner
        self.apply_settings(self.settings())
        self.num_env_runners = NUM_WORKERS
        self.use_kl_loss = False
        # RLlib's "complete_episodes" keeps the first episodes to end and throws away those under way, at every call:
        # short episodes, which buy too early, are then most of what is learnt from (success 36 % where it is 62 %).
        self.batch_mode = "truncate_episodes"
        self.sample_timeout_s = 3600.0  # RLlib drops later samples in silence, and its default is a minute
        self.restart_failed_env_runners = True
        self.hang_s = HANG_S
        self.callbacks(FailFast, on_episode_start=log_begun, on_episode_end=log_success)

    def apply_settings(self, settings: PPOSettings, *, num_learners: int = 1) -> Self:
        """Take over every hyper-parameter of ``settings``; each of several learners has its share of the steps."""
        super().apply_settings(settings, num_learners=num_learners)
        self.train_batch_size_per_learner = settings.steps_of_learner(num_learners)
        return self

    def _take(self, given: dict[str, Any]) -> None:
        del given["rollout_steps"]
        self.learner_config_dict[LAST_UPDATE] = given.pop("updates")
        if variations := given.pop("variations"):
            self.env_config = {**self.env_config, "variations": variations}
        super()._take(given)

    def training(
        self,
        *,
        policy: str = NotProvided,
        kl_weight: float = NotProvided,
        imitation_weight: float = NotProvided,
        doubt: float = NotProvided,
        average_weights: bool = NotProvided,
        sample_ahead: bool = NotProvided,
        trajectories: str | None = NotProvided,
        minimum_reward: float = NotProvided,
        hang_s: float = NotProvided,
        **kwargs: Any,
    ) -> PPOConfig:
        """``policy``: folder of the policy to start from. ``PPOSettings`` explains the others; the rest is RLlib's.

        ``hang_s``: seconds for a step of its environments after which a rollout worker is replaced.

        RLlib's ``vf_loss_coeff``, ``vf_clip_param`` and ``vf_share_layers`` have no meaning here: see ``ValueFit``.
        """
        super().training(**kwargs)
        return set_given(
            self,
            policy=policy,
            kl_weight=kl_weight,
            imitation_weight=imitation_weight,
            doubt=doubt,
            average_weights=average_weights,
            sample_ahead=sample_ahead,
            trajectories=trajectories,
            minimum_reward=minimum_reward,
            hang_s=hang_s,
        )

    def validate(self) -> None:
        """Raises ValueError for settings that do not go together, or not with the policy."""
        if not self.policy:
            raise ValueError("policy is not set: .training(policy=FOLDER)")
        if self.imitation_weight and not self.trajectories:
            raise ValueError("the imitation term needs demonstrations: .training(trajectories=FOLDER)")
        if self.env in REQUIRED:
            missing = [name for name in REQUIRED[self.env] if not (self.env_config or {}).get(name)]
            if missing:
                raise ValueError(f"env_config lacks {' and '.join(missing)}: .environment(env_config={{...: ...}})")
            register_with_ray()  # here: a worker that does not know the environment ends without saying so
        space_from_policy(self)
        super().validate()
        check_learner_settings(self)

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """The architecture of the policy to start from."""
        return module_spec(read_architecture(self.policy), self.learner_config_dict[PRECISION])

    def get_default_learner_class(self) -> type:
        """``PPOLearner``."""
        return PPOLearner
