"""RLlib's PPO for the choice policy: its learner without phantom rows, its rollout workers with honest failures."""

from __future__ import annotations

import time
import traceback
from typing import Any

import ray
import torch
import tree
from ray.exceptions import GetTimeoutError, RayActorError
from ray.rllib.algorithms.algorithm_config import NotProvided
from ray.rllib.algorithms.ppo import PPO as RLlibPPO
from ray.rllib.algorithms.ppo import PPOConfig as RLlibPPOConfig
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.evaluation.postprocessing import Postprocessing
from torch import Tensor

from algorithms.configuration import refuse_negative, set_given
from algorithms.figures import log_episode
from algorithms.imitation import Demonstrations
from algorithms.learner import HEAD_RATE, LEARNER_DEFAULTS, ChoiceLearner
from algorithms.losses import imitation_loss, kl_divergence, ppo_loss
from algorithms.memory import release_memory
from algorithms.offline import decisions_to_learn
from algorithms.seconds import count_seconds
from algorithms.spaces import space_from_policy, start_from_policy
from algorithms.watchdog import HANG_S, exit_on_hang
from envs import CHOICE_ID
from policies.choice_model import ChoiceModel, decision_encoder, read_config
from policies.choice_module import ChoiceModule, module_spec
from rl_recsys.errors import UserError
from rl_recsys.progress import format_seconds
from rl_recsys.trajectories.record import TrajectoryError, read_trajectories

REFERENCE_LOGITS = "reference_logits"
REFERENCE_ROWS = 64  # rows that the reference scores at once
PATIENCE_S = 1800.0  # without a sample, before the run is given up: a node may take minutes to be replaced
FAILURE_PATIENCE_S = 10.0  # how long a worker that was marked unhealthy is asked why


class WorkerFailure(UserError):
    """A rollout worker's code raised; the message holds the worker's traceback."""


class KeepDecisions(ConnectorV2):
    """Drops the rows that are no decision, then standardises the advantages of the rest.

    RLlib adds one bootstrap row to each episode: masked in its loss, yet computed in every epoch and counted in the
    advantages' mean. Rows with a single available action have nothing to learn for the policy either.
    """

    def __call__(self, *, rl_module: Any, batch: dict, episodes: list, **kwargs: Any) -> dict:
        """The batch with only the rows of real choices."""
        for module_id, columns in batch.items():
            keep = columns[Columns.OBS]["mask"].sum(-1) > 1
            if Columns.LOSS_MASK in columns:
                keep &= columns.pop(Columns.LOSS_MASK).bool()
            kept = tree.map_structure(
                lambda value, keep=keep: value[keep] if torch.is_tensor(value) else value, columns
            )
            advantages = kept[Postprocessing.ADVANTAGES]
            spread = advantages.std().clamp(min=1e-4) if len(advantages) > 1 else 1.0
            kept[Postprocessing.ADVANTAGES] = (advantages - advantages.mean()) / spread
            batch[module_id] = kept
        return batch


class AddReference(ConnectorV2):
    """Adds to each row the logits of the frozen policy that the run started from."""

    def __init__(self, policy: str):
        super().__init__()
        self._model = ChoiceModel.from_pretrained(policy)

    def __call__(self, *, rl_module: Any, batch: dict, **kwargs: Any) -> dict:
        """The batch with the column."""
        for columns in batch.values():
            observation = columns[Columns.OBS]
            self._model.to(observation["mask"].device)
            places = torch.arange(len(observation["mask"]), device=observation["mask"].device).split(REFERENCE_ROWS)
            with torch.no_grad():
                scored = [self._model({key: value[rows] for key, value in observation.items()})[0] for rows in places]
            columns[REFERENCE_LOGITS] = torch.cat(scored)
        return batch


class PPOLearner(ChoiceLearner, PPOTorchLearner):
    """Minimises ``ppo_loss`` on the kept decisions, with the terms that hold the policy near what was demonstrated.

    These are ``kl_weight`` times the divergence from the policy that the run started from, and ``imitation_weight``
    times the imitation loss of as many demonstrated decisions as the minibatch has.
    """

    def build(self) -> None:
        """RLlib's learner with this project's connectors after its advantage computation."""
        super().build()
        self._learner_connector.append(KeepDecisions())
        if self.config.kl_weight:
            self._learner_connector.append(AddReference(self.config.policy))
        if self.config.imitation_weight:
            found = read_trajectories(self.config.trajectories, minimum_reward=self.config.minimum_reward)
            self._demonstrations = Demonstrations(
                decisions_to_learn(found),
                decision_encoder(self.config.policy),
                batch_size=self.config.minibatch_size,
                seed=self.config.seed or 0,
            )

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's state and the place in the demonstrations."""
        state = super().get_state(*args, **kwargs)
        if self.config.imitation_weight:
            state["demonstrations"] = self._demonstrations.get_state()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of ``get_state``."""
        super().set_state(state)
        if "demonstrations" in state:
            self._demonstrations.set_state(state["demonstrations"])

    def _imitation_loss(self, module: ChoiceModule) -> Tensor:
        columns = self._demonstrations.next_batch()
        observation = {key: torch.as_tensor(value, device=self.device) for key, value in columns[Columns.OBS].items()}
        taken = torch.as_tensor(columns[Columns.ACTIONS], device=self.device)
        return imitation_loss(module.forward_train({Columns.OBS: observation})[Columns.ACTION_DIST_INPUTS], taken)

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """The last minibatches of an iteration are learnt from in it."""
        self.step_with_what_is_gathered()
        super().after_gradient_based_update(timesteps=timesteps)

    def compute_loss_for_module(self, *, module_id: str, config: Any, batch: dict, fwd_out: dict) -> Tensor:
        """The minibatch's loss."""
        module = self.module[module_id].unwrapped()
        terms = ppo_loss(
            fwd_out[Columns.ACTION_DIST_INPUTS],
            batch[Columns.ACTIONS],
            batch[Columns.ACTION_LOGP],
            batch[Postprocessing.ADVANTAGES],
            module.compute_values(batch, embeddings=fwd_out[Columns.EMBEDDINGS]),
            batch[Postprocessing.VALUE_TARGETS],
            clip=config.clip_param,
            value_weight=config.vf_loss_coeff,
            entropy_weight=self.entropy_coeff_schedulers_per_module[module_id].get_current_value(),
        )
        logged, total = (
            {
                "policy_loss": terms.policy,
                "vf_loss": terms.value,
                "entropy": terms.entropy,
                "clipped_share": terms.clipped,
            },
            terms.total,
        )
        if config.kl_weight:
            logged["kl"] = kl_divergence(fwd_out[Columns.ACTION_DIST_INPUTS], batch[REFERENCE_LOGITS])
            total = total + config.kl_weight * logged["kl"]
        if config.imitation_weight:
            logged["imitation_loss"] = self._imitation_loss(module)
            total = total + config.imitation_weight * logged["imitation_loss"]
        self.metrics.log_dict({name: value.detach() for name, value in logged.items()}, key=module_id, window=20)
        return total


class ShopEnvRunner(SingleAgentEnvRunner):
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
        manager = algorithm.env_runner_group._worker_manager
        for index, actor in manager.actors().items():
            if manager.is_actor_healthy(index):
                continue
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


class PPOConfig(RLlibPPOConfig):
    """RLlib's PPOConfig with this project's environment, learner and defaults; ``policy`` is where it starts.

    Paper: clip 0.2 and gamma 0.9 are ours (it names none); the imitation checkpoint is the start.
    """

    def __init__(self, algo_class: type | None = None):
        super().__init__(algo_class=algo_class or PPO)
        self.policy: str | None = None
        self.kl_weight, self.imitation_weight = 0.0, 0.0
        self.trajectories: str | None = None
        self.minimum_reward = 1.0
        self.env = CHOICE_ID
        self.env_runner_cls = ShopEnvRunner
        self.gamma, self.lambda_ = 0.9, 0.95
        self.clip_param, self.vf_loss_coeff, self.entropy_coeff = 0.2, 0.5, 0.0
        self.use_kl_loss = False
        self.train_batch_size_per_learner, self.minibatch_size, self.num_epochs = 512, 32, 1
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
        trajectories: str | None = NotProvided,
        minimum_reward: float = NotProvided,
        hang_s: float = NotProvided,
        **kwargs: Any,
    ) -> PPOConfig:
        """``policy``: folder of the policy to start from; the rest as RLlib's.

        ``hang_s``: seconds for a step of its environments after which a rollout worker is replaced.

        ``kl_weight`` >= 0 of the divergence from that policy. ``imitation_weight`` >= 0 of the imitation loss on
        ``trajectories`` with at least ``minimum_reward``.
        """
        super().training(**kwargs)
        return set_given(
            self,
            policy=policy,
            kl_weight=kl_weight,
            imitation_weight=imitation_weight,
            trajectories=trajectories,
            minimum_reward=minimum_reward,
            hang_s=hang_s,
        )

    def validate(self) -> None:
        """Raises ValueError where the policy is not named, or a weight cannot be."""
        if not self.policy:
            self._value_error("policy is not set: .training(policy=FOLDER)")
        refuse_negative(self, "kl_weight", "imitation_weight")
        if self.imitation_weight and not self.trajectories:
            self._value_error("the imitation term needs demonstrations: .training(trajectories=FOLDER)")
        space_from_policy(self)
        super().validate()

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """The architecture of the policy to start from."""
        return module_spec(read_config(self.policy))

    def get_default_learner_class(self) -> type:
        """``PPOLearner``."""
        return PPOLearner


class PPO(RLlibPPO):
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
