"""What rllib_compat and the project's subclasses assume of Ray, asked of Ray itself."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import time
from dataclasses import fields

import gymnasium
import numpy as np
import psutil
import pytest
import ray
import torch
from gymnasium import spaces
from ray.rllib.algorithms.ppo import PPO, PPOConfig
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.connectors.learner import GeneralAdvantageEstimation
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.tune.experiment import Experiment
from ray.tune.search import ConcurrencyLimiter, SearchGenerator
from ray.tune.search.optuna import OptunaSearch

from algorithms.common import rllib_compat as compat
from algorithms.ppo.env_runner import WatchedEnvRunner
from algorithms.rollouts.watchdog import HANG_S
from policies.rllib import PolicyModule
from tests.compat.canary import Canaries
from tests.compat.public_names import (
    DOCUMENTED_HOOKS,
    foreign_bases,
    private,
    private_attributes,
    private_imports,
    private_names,
    project_files,
    subclasses,
    used_on_itself,
)

canary = Canaries("ray", "2.60.0", "algorithms/common/rllib_compat.py")
SPACES = {
    "observation_space": spaces.Box(-1, 1, (3,), np.float32),
    "action_space": spaces.Discrete(2),
}
ROWS = 10


class Rows(compat.PassesOverOwnRows, compat.ColumnsOnHost, PPOTorchLearner):
    """Counts its minibatches."""

    minibatches = 0

    def columns_on_host(self, module_id):
        return {Columns.OBS}

    def compute_loss_for_module(self, *, fwd_out, **kwargs):
        self.minibatches += 1
        return fwd_out[Columns.ACTION_DIST_INPUTS].mean()

    def after_gradient_based_update(self, *, timesteps):
        """PPO's looks for what its own loss has reported."""


class Offline(PPOConfig):
    """No environment."""

    is_online = property(lambda self: False)

    def get_default_learner_class(self):
        return Rows


class OfflineAlgorithm(compat.LogsAside, compat.WithoutEnvRunners, PPO):
    """RLlib's, from no environment."""


@pytest.fixture(scope="module")
def learner():
    return Offline().environment(**SPACES).build_learner()


@canary("connectors_of", uses="Learner._learner_connector")
def test_a_built_learner_has_its_connectors_with_the_advantages_among_them(learner):
    names = [type(each).__name__ for each in compat.connectors_of(learner).connectors]
    assert GeneralAdvantageEstimation.__name__ in names
    compat.connectors_of(learner).insert_before(GeneralAdvantageEstimation, Nothing())
    compat.connectors_of(learner).append(Nothing())
    later = [type(each).__name__ for each in compat.connectors_of(learner).connectors]
    place = names.index(GeneralAdvantageEstimation.__name__)
    assert later == [*names[:place], "Nothing", *names[place:], "Nothing"]


class Nothing(GeneralAdvantageEstimation.__mro__[1]):
    def __call__(self, *, batch, **kwargs):
        return batch


@canary("is_asked_for", uses="Checkpointable._check_component")
def test_a_part_of_the_state_is_asked_for(learner):
    def asked(components, not_components):
        return compat.is_asked_for(learner, "part", components, not_components)

    assert asked(None, None) and asked(["part"], None) and asked(["part/of"], None)
    assert not asked(["other"], None) and not asked(None, ["part"]) and not asked("rl_module", None)


@canary("PassesOverOwnRows", "train_batch", uses="Learner._create_iterator_if_necessary, or MultiAgentBatch")
def test_a_learner_goes_over_the_rows_of_its_batch_and_no_more(learner):
    columns = {Columns.OBS: torch.zeros(ROWS, 3), Columns.ACTIONS: torch.zeros(ROWS, dtype=torch.long)}
    learner.minibatches = 0
    learner.update(
        batch=compat.train_batch(columns, rows=ROWS), num_total_minibatches=50, num_epochs=3, minibatch_size=5
    )
    assert learner.minibatches == 3 * ROWS // 5
    assert compat.train_batch(columns, rows=ROWS).env_steps() == ROWS


@canary("ColumnsOnHost", uses="TorchLearner._convert_batch_type, or MultiAgentBatch")
def test_columns_stay_on_the_host(learner, monkeypatch):
    columns = {Columns.OBS: {"state": np.ones((ROWS, 3))}, Columns.ACTIONS: torch.zeros(ROWS)}
    monkeypatch.setattr(learner, "_device", torch.device("meta"))
    batch = learner._convert_batch_type(compat.train_batch(columns, rows=ROWS))
    converted = batch.policy_batches[DEFAULT_MODULE_ID]
    assert converted[Columns.ACTIONS].device.type == "meta" and len(converted) == batch.env_steps() == ROWS
    torch.testing.assert_close(converted[Columns.OBS]["state"], torch.ones(ROWS, 3))
    assert isinstance(columns[Columns.OBS]["state"], np.ndarray)


@canary("seeding_without_compiler", "SeedsLightly", uses="torch.use_deterministic_algorithms in set_torch_seed")
def test_a_seed_makes_a_process_repeatable_and_imports_no_compiler():
    code = """if True:
        import sys
        import torch
        from ray.rllib.utils.debug import update_global_seed_if_necessary
        from algorithms.common.rllib_compat import seeding_without_compiler
        public = torch.use_deterministic_algorithms
        draws = []
        for _ in range(2):
            with seeding_without_compiler():
                update_global_seed_if_necessary("torch", 3)
            draws.append(torch.rand(1).item())
        print(draws[0] == draws[1], torch.get_deterministic_debug_mode(), "torch._inductor" in sys.modules,
              torch.use_deterministic_algorithms is public)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "True 2 False True"


@canary("LogsAside", uses="Trainable._setup_logdir, _storage or _logdir")
def test_an_algorithm_logs_where_it_is_told_to(algorithm):
    assert "rl-recsys-" in algorithm.logdir


@canary("WithoutEnvRunners", uses="Trainable._iteration, or is_online as a property of the config")
def test_an_algorithm_without_environments_takes_a_state(algorithm):
    state = algorithm.get_state()
    algorithm.set_state(state | {"training_iteration": 7})
    assert algorithm.iteration == 7
    assert not algorithm.config.copy().is_online


@pytest.fixture(scope="module")
def algorithm(ray_session):
    built = Offline(algo_class=OfflineAlgorithm).environment(**SPACES).build_algo()
    yield built
    built.stop()


@pytest.fixture(scope="module")
def online(ray_session):
    config = PPOConfig().environment("CartPole-v1").env_runners(num_env_runners=1)
    config.env_runner_cls, config.hang_s = WatchedEnvRunner, HANG_S  # RLlib's own ends when a call fails
    algorithm = config.build_algo()
    yield algorithm
    algorithm.stop()


@canary("sample_all_env_runners", uses="synchronous_parallel_sample(_uses_new_env_runners=)")
def test_all_env_runners_sample(online):
    episodes, metrics = compat.sample_all_env_runners(online.env_runner_group, steps=50)
    assert sum(map(len, episodes)) >= 50
    assert len(metrics) == 1 and metrics[0]["num_env_steps_sampled"] >= 50


@canary("unhealthy_env_runners", uses="EnvRunnerGroup._worker_manager")
def test_an_env_runner_that_is_gone_is_unhealthy(online):
    group = online.env_runner_group
    assert compat.unhealthy_env_runners(group) == {}

    def fail(runner):
        raise RuntimeError("on purpose")

    group.foreach_env_runner(fail, local_env_runner=False)
    unhealthy = compat.unhealthy_env_runners(group)
    assert list(unhealthy) == [1] and isinstance(unhealthy[1], ray.actor.ActorHandle)


@canary("available_resources_per_node", uses="ray._private.state.available_resources_per_node")
def test_what_is_free_is_known_of_each_node(ray_session):
    free = compat.available_resources_per_node()
    assert set(free) == {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    assert all(0 <= resources.get("CPU", 0.0) <= 64 for resources in free.values())


@ray.remote(num_cpus=0)
class Somebody:
    def process(self):
        return psutil.Process().pid


@canary("actors_and_store", uses="ray._private.internal_api")
def test_a_ray_is_asked_for_its_actors_and_its_store(ray_session):
    actor = Somebody.remote()
    ray.get(actor.process.remote())
    kept = ray.put(np.zeros(1 << 20, np.uint8))
    actors, store = compat.actors_and_store(ray.get_runtime_context().gcs_address)
    assert actors >= 1 and store >= 1 << 20
    del kept


@canary("titled_class", uses="the title of an actor's process")
def test_an_actors_process_has_its_class_as_its_title(ray_session):
    actor = Somebody.remote()
    process = psutil.Process(ray.get(actor.process.remote()))
    deadline = time.monotonic() + 10
    while (found := compat.titled_class(" ".join(process.cmdline()))) != "Somebody" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found == "Somebody"
    assert compat.titled_class("ray::IDLE") == "IDLE" and compat.titled_class("python jobs/ppo.py") is None


@canary("REMOTE_LEARNER", uses="the class that Ray Train wraps a learner in")
def test_a_remote_learner_has_the_class_of_ray_trains_wrapper():
    from ray.train._internal.worker_group import create_executable_class

    assert create_executable_class(Rows).__name__ == compat.REMOTE_LEARNER


@canary("trial_number", uses="the head of Trial.experiment_tag")
def test_trials_are_numbered_as_they_are_begun():
    search = OptunaSearch(space={}, metric="score", mode="max")
    from ray.tune import uniform

    search.set_search_properties("score", "max", {"rate": uniform(0, 1)})
    generator = SearchGenerator(ConcurrencyLimiter(search, max_concurrent=3))
    generator.add_configurations([Experiment("e", run="__fake", num_samples=3, config={"rate": uniform(0, 1)})])
    assert [compat.trial_number(generator.next_trial()) for _ in range(3)] == [1, 2, 3]


@canary("TUNE_VARIABLES", uses="one of Tune's variables")
def test_tune_looks_at_its_variables(monkeypatch):
    from ray.tune.execution import tune_controller
    from ray.tune.experimental.output import get_air_verbosity

    assert get_air_verbosity(1) is not None
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", compat.TUNE_VARIABLES["RAY_AIR_NEW_OUTPUT"])
    assert get_air_verbosity(1) is None
    assert '"TUNE_GLOBAL_CHECKPOINT_S"' in inspect.getsource(tune_controller)


@canary("RunAsTrial", "tracker_callback", uses="what ray.air's callbacks read of a trial")
def test_a_run_has_what_trackers_read_of_a_trial():
    from ray.air.integrations import mlflow, wandb

    known = {field.name for field in fields(compat.RunAsTrial)}
    for module, kind in ((wandb, wandb.WandbLoggerCallback), (mlflow, mlflow.MLflowLoggerCallback)):
        found = ast.walk(ast.parse(inspect.getsource(module)))
        read = {node.attr for node in found if isinstance(node, ast.Attribute) and _is_trial(node.value)}
        assert read and read <= known | {"config", "checkpoint"}, (module.__name__, read - known)
        assert issubclass(kind, ray.tune.logger.LoggerCallback)
    assert "project" in inspect.signature(wandb.WandbLoggerCallback.__init__).parameters
    assert "experiment_name" in inspect.signature(mlflow.MLflowLoggerCallback.__init__).parameters


def _is_trial(node):
    return isinstance(node, ast.Name) and node.id == "trial"


def test_each_name_of_the_compat_file_has_a_canary():
    offered = {
        name
        for name, value in vars(compat).items()
        if not private(name) and getattr(value, "__module__", compat.__name__) == compat.__name__
        if name.isupper() or isinstance(value, type) or inspect.isfunction(value)
    }
    offered -= {"TYPE_CHECKING", "COMPONENT_LEARNER_GROUP", "COMPONENT_METRICS_LOGGER", "DEFAULT_MODULE_ID"}
    assert offered - {"TRAINING_ITERATION"} == canary.covered


def test_a_canary_says_what_broke_and_where_it_is_used(monkeypatch, learner):
    monkeypatch.delattr(learner, "_learner_connector")
    with pytest.raises(pytest.fail.Exception) as said:
        test_a_built_learner_has_its_connectors_with_the_advantages_among_them(learner)
    for part in (f"ray {ray.__version__}", "_learner_connector", "connectors_of", "algorithms/ppo/learner.py"):
        assert part in str(said.value)


def test_the_advantages_read_the_batch_that_the_values_wrote_into():
    """``PolicyModule.compute_values`` leaves the pooled states in the batch for the values that are fitted after."""
    written = torch.ones(3, 5)

    class Writes(PolicyModule):
        def setup(self):
            """No model."""

        def compute_values(self, batch, embeddings=None):
            batch[Columns.EMBEDDINGS] = written
            return torch.zeros(3)

    spec = MultiRLModuleSpec(rl_module_specs={DEFAULT_MODULE_ID: _spec(Writes)})
    episode = SingleAgentEpisode(
        observations=[np.zeros(3)] * 4, actions=[0] * 3, rewards=[1.0] * 3, terminated=True, len_lookback_buffer=0
    )
    columns = {
        Columns.REWARDS: np.ones(3), Columns.TERMINATEDS: np.array([False, False, True]),
        Columns.TRUNCATEDS: np.zeros(3, bool), Columns.OBS: torch.zeros(3, 3),
    }  # fmt: skip
    batch = {DEFAULT_MODULE_ID: columns}
    after = GeneralAdvantageEstimation(gamma=1.0, lambda_=1.0)(rl_module=spec.build(), episodes=[episode], batch=batch)[
        DEFAULT_MODULE_ID
    ]
    assert after[Columns.EMBEDDINGS] is written
    assert after[Columns.VALUE_TARGETS].tolist() == [3.0, 2.0, 1.0] and len(after[Columns.ADVANTAGES]) == 3


def _spec(kind):
    from ray.rllib.core.rl_module.rl_module import RLModuleSpec

    return RLModuleSpec(module_class=kind, **SPACES)


def test_an_env_runner_steps_by_the_step_of_its_env():
    """``WatchedEnvRunner`` puts its watch there."""
    steps = []

    class Watched(SingleAgentEnvRunner):
        def make_env(self):
            super().make_env()
            step = self.env.step
            self.env.step = lambda actions: steps.append(1) or step(actions)

    runner = Watched(config=PPOConfig().environment("CartPole-v1"))
    runner.sample(num_timesteps=4)
    assert len(steps) >= 4
    assert isinstance(runner.env, gymnasium.vector.VectorEnv | gymnasium.vector.VectorWrapper)
    runner.stop()


@pytest.mark.parametrize("path", sorted(project_files()))
def test_no_private_name_of_ray_or_torch_is_used_elsewhere(path):
    tree = project_files()[path]
    found = [*private_imports(tree), *private_attributes(tree)]
    assert not found, f"{path} uses what belongs into a compat file: {found}"


@pytest.mark.parametrize("kind", subclasses(), ids=lambda kind: kind.__qualname__)
def test_no_subclass_uses_or_shadows_a_private_name_of_its_base(kind):
    taken = frozenset().union(*map(private_names, foreign_bases(kind))) - DOCUMENTED_HOOKS
    found = used_on_itself(kind) & taken
    assert not found, f"{kind.__module__}.{kind.__qualname__}: {sorted(found)} are private names of its bases"
