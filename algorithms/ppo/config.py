"""The config of PPO."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.algorithm_config import NotProvided
from ray.rllib.algorithms.ppo import PPOConfig as RLlibPPOConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from algorithms.common.config import InRange, check_learner_settings, set_given
from algorithms.common.learner import HEAD_RATE, LEARNER_DEFAULTS
from algorithms.common.start_policy import space_from_policy
from algorithms.ppo.env_runner import FailFast, WatchedEnvRunner, log_success
from algorithms.ppo.learner import PPOLearner
from algorithms.rollouts.watchdog import HANG_S
from envs import CHOICE_ID, REQUIRED, register_with_ray
from policies.base import read_architecture
from policies.rllib import module_spec


class PPOConfig(InRange, RLlibPPOConfig):
    """RLlib's PPOConfig with this project's environment, learner and defaults; ``policy`` is where it starts.

    Paper: clip 0.2 and gamma 0.98 are ours (it names none, and WebShop's own reinforcement learning has gamma 0.9); the
    imitation checkpoint is the start.
    """

    def __init__(self, algo_class: type | None = None):
        from algorithms.ppo.algorithm import PPO  # which needs this config

        super().__init__(algo_class=algo_class or PPO)
        self.policy: str | None = None
        self.kl_weight, self.imitation_weight = 0.0, 0.0
        self.trajectories: str | None = None
        self.minimum_reward = 1.0
        self.env = CHOICE_ID
        self.env_runner_cls = WatchedEnvRunner
        self.gamma, self.lambda_ = 0.98, 0.95
        self.clip_param, self.entropy_coeff = 0.2, 0.0
        self.doubt, self.average_weights = 0.01, True
        self.use_kl_loss = False
        self.train_batch_size_per_learner, self.minibatch_size, self.num_epochs = 512, 32, 2
        self.grad_clip, self.grad_clip_by = 1.0, "global_norm"
        # RLlib's "complete_episodes" keeps the first episodes to end and throws away those under way, at every call:
        # short episodes, which buy too early, are then most of what is learnt from (success 36 % where it is 62 %).
        self.batch_mode = "truncate_episodes"
        self.num_envs_per_env_runner = 8
        self.sample_timeout_s = 3600.0  # RLlib drops later samples in silence, and its default is a minute
        self.restart_failed_env_runners = True
        self.hang_s = HANG_S
        self.learner_config_dict = LEARNER_DEFAULTS | {HEAD_RATE: 10.0}
        self.callbacks(FailFast, on_episode_end=log_success)

    def training(
        self,
        *,
        policy: str = NotProvided,
        kl_weight: float = NotProvided,
        imitation_weight: float = NotProvided,
        doubt: float = NotProvided,
        average_weights: bool = NotProvided,
        trajectories: str | None = NotProvided,
        minimum_reward: float = NotProvided,
        hang_s: float = NotProvided,
        **kwargs: Any,
    ) -> PPOConfig:
        """``policy``: folder of the policy to start from; the rest as RLlib's.

        ``hang_s``: seconds for a step of its environments after which a rollout worker is replaced.

        ``kl_weight`` of the divergence from that policy. ``imitation_weight`` of the imitation loss on
        ``trajectories`` with at least ``minimum_reward``. ``doubt``: pages where the policy left less
        probability to all but one action are not learnt from; 0 keeps all, as do ``kl_weight`` and ``entropy_coeff``,
        whose terms are of every page. ``average_weights``: the policy that is evaluated and written has the average of
        the iterations' weights instead of the last ones.

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
        return module_spec(read_architecture(self.policy))

    def get_default_learner_class(self) -> type:
        """``PPOLearner``."""
        return PPOLearner
