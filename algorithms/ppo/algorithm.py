"""RLlib's PPO for the choice policy, its rollout workers with honest failures."""

from __future__ import annotations

import time
import traceback
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError
from ray.rllib.algorithms.algorithm_config import NotProvided
from ray.rllib.algorithms.ppo import PPO as RLlibPPO
from ray.rllib.algorithms.ppo import PPOConfig as RLlibPPOConfig
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

from algorithms.common.config import InRange, check_learner_settings, set_given
from algorithms.common.iteration_timing import count_seconds
from algorithms.common.learner import HEAD_RATE, LEARNER_DEFAULTS
from algorithms.common.malloc import release_memory
from algorithms.common.rllib_compat import LogsAside, unhealthy_env_runners
from algorithms.common.start_policy import space_from_policy, start_from_policy
from algorithms.ppo.learner import PPOLearner
from algorithms.rollouts.episode_metrics import log_episode
from algorithms.rollouts.watchdog import HANG_S, exit_on_hang
from envs import CHOICE_ID, REQUIRED, register_with_ray
from policies.base import read_architecture
from policies.rllib import module_spec
from rl_recsys.console.progress import format_seconds
from rl_recsys.core.trajectory import TrajectoryError, read_trajectories
from rl_recsys.errors import UserError

PATIENCE_S = 1800.0  # without a sample, before the run is given up: a node may take minutes to be replaced
FAILURE_PATIENCE_S = 10.0  # how long a worker that was marked unhealthy is asked why


class WorkerFailure(UserError):
    """A rollout worker's code raised; the message holds the worker's traceback."""


class WatchedEnvRunner(SingleAgentEnvRunner):
    """A rollout worker that keeps the traceback of what went wrong. RLlib's own exits and takes it along.

    One whose environments take more than the config's ``hang_s`` for a step ends its process: another takes its place.
    """

    _failure: str | None = None

    def make_env(self) -> None:
        """RLlib's environments, with a watch on each step of theirs."""
        super().make_env()
        if self.env is not None and self.worker_index:  # the driver must not end with an environment of its own
            step, hang_s = self.env.step, self.config.hang_s

            def watched(actions: Any) -> Any:
                with exit_on_hang(hang_s):
                    return step(actions)

            self.env.step = watched

    def sample(self, **kwargs: Any) -> Any:
        """RLlib's, and free memory goes back to the system."""
        episodes = super().sample(**kwargs)
        release_memory()
        return episodes

    def apply(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        """Call ``func`` on this worker; an exception is remembered and raised, and the process stays."""
        try:
            return func(self, *args, **kwargs)
        except Exception:
            self._failure = traceback.format_exc()
            raise

    def failure(self) -> str | None:
        """The traceback of the last exception, or None."""
        return self._failure


class FailFast(RLlibCallback):
    """Stops the run when a worker's code has failed. RLlib would go on without samples, reporting nan for ever.

    A worker whose process is gone is another matter: it is started again and training goes on, but not for ever
    without a single sample.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sampled, self._last = 0.0, time.monotonic()

    def on_train_result(self, *, algorithm: Any, metrics_logger: Any = None, result: dict, **kwargs: Any) -> None:
        """Ask each unhealthy worker why."""
        for index, actor in unhealthy_env_runners(algorithm.env_runner_group).items():
            try:
                failure = ray.get(actor.failure.remote(), timeout=FAILURE_PATIENCE_S)
            except (RayActorError, GetTimeoutError):
                continue
            if failure:
                raise WorkerFailure(f"rollout worker {index} failed:\n{failure}")
        sampled = result.get("env_runners", {}).get("num_env_steps_sampled_lifetime", 0.0)
        if sampled > self._sampled:
            self._sampled, self._last = sampled, time.monotonic()
        elif time.monotonic() - self._last > PATIENCE_S:
            raise WorkerFailure(
                f"no environment step was sampled in {format_seconds(PATIENCE_S)}: the rollout workers do not come "
                "back; was the machine out of memory? Fewer --num-workers or --environments need less"
            )


def log_success(*, episode: Any, metrics_logger: Any, **kwargs: Any) -> None:
    """Episode callback: what ``log_episode`` logs."""
    log_episode(metrics_logger, (), episode.get_return(), episode.get_infos(-1).get("reward_parts", {}))


class PPOConfig(InRange, RLlibPPOConfig):
    """RLlib's PPOConfig with this project's environment, learner and defaults; ``policy`` is where it starts.

    Paper: clip 0.2 and gamma 0.98 are ours (it names none, and WebShop's own reinforcement learning has gamma 0.9); the
    imitation checkpoint is the start.
    """

    def __init__(self, algo_class: type | None = None):
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
