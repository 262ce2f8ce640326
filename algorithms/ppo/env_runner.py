"""PPO's rollout workers, with honest failures: what went wrong in one is known, and one that hangs is replaced."""

from __future__ import annotations

import secrets
import time
import traceback
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

from algorithms.common.malloc import release_memory
from algorithms.common.rllib_compat import seeding_without_compiler, unhealthy_env_runners
from algorithms.rollouts.episode_metrics import log_episode, log_goal
from algorithms.rollouts.goal_sampler import later_seed
from algorithms.rollouts.watchdog import exit_on_hang
from envs.choice import SIBLING
from rl_recsys.console.progress import format_seconds
from rl_recsys.console.ranges import LARGEST
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

    def __init__(self, *, config: AlgorithmConfig, **kwargs: Any) -> None:
        if _is_replaced():
            # With the seed of the one that was lost it would deal that one's first goals again.
            config = config.copy(copy_frozen=False)
            config.debugging(seed=later_seed(config.seed or 0, secrets.randbelow(LARGEST)))
        with seeding_without_compiler():
            super().__init__(config=config, **kwargs)

    def make_env(self) -> None:
        """RLlib's environments, with a watch on each step of theirs."""
        super().make_env()
        if self.env is not None and hasattr(self.env.unwrapped, "set_attr"):  # gymnasium's own have it, others need not
            self.env.unwrapped.set_attr(SIBLING, [(number, self.num_envs) for number in range(self.num_envs)])
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


def _is_replaced() -> bool:
    """Whether this process was started in the place of an actor's that was lost."""
    if not ray.is_initialized():
        return False
    context = ray.get_runtime_context()
    return context.get_actor_id() is not None and context.was_current_actor_reconstructed


def log_begun(*, episode: Any, metrics_logger: Any, **kwargs: Any) -> None:
    """Episode callback: what ``log_goal`` logs."""
    instruction = episode.get_infos(0).get("instruction_text")
    if instruction is not None:  # an environment of somebody's own need not tell
        log_goal(metrics_logger, (), instruction)


def log_success(*, episode: Any, metrics_logger: Any, prev_episode_chunks: Sequence[Any] = (), **kwargs: Any) -> None:
    """Episode callback: what ``log_episode`` logs.

    Where a sample ended in the middle of an episode, it was cut, and what came before is in the earlier chunks.
    """
    chunks = [*prev_episode_chunks, episode]
    log_episode(
        metrics_logger,
        (),
        reward=sum(chunk.get_return() for chunk in chunks),
        parts=episode.get_infos(-1).get("reward_parts", {}),
        steps=episode.t,  # of all chunks: a learner in this process adds a step to each that it was given
    )
