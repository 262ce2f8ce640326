"""Every private, old-stack or undocumented name of Ray that this project needs, each once and with the reason.

Checked with Ray 2.60.0. tests/compat/test_rllib.py has a canary for each, which says what broke and who needs it, and
holds the rest of the project to public names.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.utils.deterministic
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.connectors.learner import LearnerConnectorPipeline
from ray.rllib.core import COMPONENT_LEARNER_GROUP, COMPONENT_METRICS_LOGGER, DEFAULT_MODULE_ID
from ray.rllib.core.learner import Learner
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from ray.rllib.utils.checkpoints import Checkpointable
from ray.rllib.utils.torch_utils import convert_to_torch_tensor
from ray.tune.result import TRAINING_ITERATION

if TYPE_CHECKING:
    from ray.actor import ActorHandle
    from ray.rllib.env.env_runner_group import EnvRunnerGroup
    from ray.rllib.env.single_agent_episode import SingleAgentEpisode
    from ray.tune.experiment import Trial
    from ray.tune.logger import LoggerCallback

#: Variables for Tune. Its state is written every 2 s: with its ten a kill would lose trials that had begun since, and
#: ``CheckpointConfig`` has no such setting. And none of its boxes, which name a folder for TensorBoard that is gone
#: with the job: ``verbose=0`` leaves them out only where the older of Tune's two outputs is chosen.
TUNE_VARIABLES = {"TUNE_GLOBAL_CHECKPOINT_S": "2", "RAY_AIR_NEW_OUTPUT": "0"}

#: The class of a remote learner's actor: Ray Train's, which RLlib puts its learners into.
REMOTE_LEARNER = "_WrappedExecutable"
_ACTOR_TITLE = re.compile(r"ray::([A-Za-z_]\w*)")


@contextmanager
def seeding_without_compiler() -> Iterator[None]:
    """What RLlib seeds in this block is repeatable on a CPU, and its process stays without torch's compiler.

    A seed makes RLlib call ``torch.use_deterministic_algorithms`` where torch was built without CUDA. That imports the
    compiler (1.4 s and 70 MB a process) to tell it as well, and nothing here is compiled. Fresh memory is not filled
    with nan, which is no part of repeating and takes 3 % of an update.
    """
    public = torch.use_deterministic_algorithms

    def without_compiler(mode: bool, *, warn_only: bool = False) -> None:
        torch.set_deterministic_debug_mode(("warn" if warn_only else "error") if mode else "default")
        torch.utils.deterministic.fill_uninitialized_memory = False

    torch.use_deterministic_algorithms = without_compiler
    try:
        yield
    finally:
        torch.use_deterministic_algorithms = public


class SeedsLightly(Algorithm):
    """An algorithm whose process, with its local learner and rollout worker, stays without torch's compiler."""

    def setup(self, config: Any) -> None:
        """RLlib's."""
        with seeding_without_compiler():
            super().setup(config)


class LogsAside(Algorithm):
    """An algorithm that needs no home. RLlib makes ~/ray_results for each, and a container's home may be read-only.

    There is no setting for it: ``logger_creator`` is of the old logger, and RLlib warns of it.
    """

    def _setup_logdir(self) -> None:
        if self._storage:  # Tune's
            super()._setup_logdir()
        else:
            self._logdir = tempfile.mkdtemp(prefix="rl-recsys-")


class WithoutEnvRunners(Algorithm):
    """An algorithm whose config has ``is_online`` False. RLlib's ``set_state`` and ``restore_from_path`` would sync
    environment runners, and fail where there are none."""

    def set_state(self, state: dict[str, Any]) -> None:
        """The learners' state, that of the metrics, and how many iterations were made."""
        if COMPONENT_LEARNER_GROUP in state:
            self.learner_group.set_state(state[COMPONENT_LEARNER_GROUP])
        if COMPONENT_METRICS_LOGGER in state:
            self.metrics.set_state(state[COMPONENT_METRICS_LOGGER])
        if TRAINING_ITERATION in state:
            self._iteration = state[TRAINING_ITERATION]  # ``iteration`` cannot be set

    def restore_from_path(self, path: Any, *args: Any, **kwargs: Any) -> None:
        """What every ``Checkpointable`` does."""
        Checkpointable.restore_from_path(self, path, *args, **kwargs)


class PassesOverOwnRows(Learner):
    """A learner that goes ``num_epochs`` times over the rows that its connectors left it.

    RLlib's ``PPO`` tells each of several learners how many minibatches all sampled steps make, and one with fewer rows
    would go over these more often. Only the batches' iterator knows, and the method that makes it is private.
    """

    def _create_iterator_if_necessary(self, **kwargs: Any) -> Any:
        return super()._create_iterator_if_necessary(**kwargs | {"num_total_minibatches": 0})


class ColumnsOnHost(TorchLearner):
    """A learner that leaves some columns of its batches on the host.

    RLlib moves a whole batch to the learner's device, by a method that is private. What says where in it things are
    would have to come back in each update, which waits for the GPU.
    """

    def columns_on_host(self, module_id: str) -> Collection[str]:
        """Those of a module's batches that stay there."""
        raise NotImplementedError

    def _convert_batch_type(self, batch: MultiAgentBatch, *args: Any, **kwargs: Any) -> MultiAgentBatch:
        kept, moved = {}, {}
        for module_id, columns in batch.policy_batches.items():
            stay = self.columns_on_host(module_id)
            kept[module_id] = {name: column for name, column in columns.items() if name in stay}
            moved[module_id] = SampleBatch({name: column for name, column in columns.items() if name not in stay})
        converted = super()._convert_batch_type(MultiAgentBatch(moved, batch.env_steps()), *args, **kwargs)
        for module_id, columns in convert_to_torch_tensor(kept, device="cpu").items():
            converted.policy_batches[module_id].update(columns)
        return converted


def connectors_of(learner: Learner) -> LearnerConnectorPipeline:
    """The connectors of a learner that was built. The config's ``learner_connector`` puts its own before RLlib's; those
    of PPO belong behind the advantages."""
    return learner._learner_connector


def is_asked_for(
    learner: Learner, part: str, components: str | Sequence[str] | None, not_components: str | Sequence[str] | None
) -> bool:
    """Whether ``get_state`` with these arguments is to have a part. RLlib has this rule for subclasses to call, yet
    under a private name."""
    return learner._check_component(part, components, not_components)


def train_batch(columns: Mapping[str, Any], *, rows: int) -> MultiAgentBatch:
    """What ``LearnerGroup.update`` takes for the only module: RLlib has no batch of its new stack yet."""
    return MultiAgentBatch({DEFAULT_MODULE_ID: SampleBatch(columns)}, env_steps=rows)


def unhealthy_env_runners(group: EnvRunnerGroup) -> dict[int, ActorHandle]:
    """Number -> actor of the remote environment runners that a call failed on. ``foreach_env_runner`` would swallow
    what they say, or raise it, as the config has it for their samples."""
    manager = group._worker_manager
    return {index: actor for index, actor in manager.actors().items() if not manager.is_actor_healthy(index)}


def sample_all_env_runners(
    group: EnvRunnerGroup, *, steps: int, timeout_s: float | None = None
) -> tuple[list[SingleAgentEpisode], list[dict]]:
    """Episodes of at least so many steps, as PPO's ``training_step`` samples them, which offers the sampling alone not;
    and each runner's metrics."""
    from ray.rllib.execution.rollout_ops import synchronous_parallel_sample

    return synchronous_parallel_sample(
        worker_set=group, max_env_steps=steps, sample_timeout_s=timeout_s, _uses_new_env_runners=True,
        _return_metrics=True,
    )  # fmt: skip


def available_resources_per_node() -> dict[str, dict[str, float]]:
    """Node -> what is free on it; the public ``ray.available_resources`` has only the sum over all nodes."""
    from ray._private import state

    return state.available_resources_per_node()


def actors_and_store(address: str) -> tuple[int, int]:
    """Living actors, and bytes in use in the object store, of the Ray at ``address``, asked as `ray memory` asks.

    The state API goes through the dashboard, which a Ray on one machine does not have. Raises what gRPC raises.
    """
    from ray._private.internal_api import get_memory_info_reply, get_state_from_address

    state = get_state_from_address(address)
    try:  # a connection a look: one that is open when Ray ends would end this process as well
        actors = state.actor_table(None, actor_state_name="ALIVE")
        return len(actors), get_memory_info_reply(state).store_stats.object_store_bytes_used
    finally:
        state.disconnect()


def titled_class(command: str) -> str | None:
    """The class of the actor in a process with this command line ("IDLE": none yet); None of any other process.

    Ray gives no way from a process that it started to its actor but the title that it gives to it.
    """
    title = _ACTOR_TITLE.match(command)
    return title.group(1) if title else None


def trial_number(trial: Trial) -> int:
    """From 1 on, in the order in which trials were begun; Tune has it only at the head of the trial's tag."""
    return int(trial.experiment_tag.partition("_")[0])


@dataclass(frozen=True, eq=False)
class RunAsTrial:
    """A run as Ray's callbacks for experiment trackers see a trial: they are made for Tune's, and there is no other
    way to use them."""

    trial_id: str
    experiment_dir_name: str
    local_path: str
    config: dict
    checkpoint: None = None

    def __str__(self) -> str:
        return f"{self.experiment_dir_name}/{self.trial_id}"


def tracker_callback(name: str, project: str) -> LoggerCallback:
    """Ray's callback for "wandb" or "mlflow", in the ray.air that Ray is about to empty.

    Raises ImportError or RuntimeError where the tracker is not installed.
    """
    if name == "wandb":
        from ray.air.integrations.wandb import WandbLoggerCallback

        return WandbLoggerCallback(project=project)
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    return MLflowLoggerCallback(experiment_name=project)
