"""What a cluster lacks is said, waited for where that is asked for, and Ray's own words stay visible."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings

import pytest
import ray

from algorithms.cluster import connection as cluster
from algorithms.cluster.connection import ClusterError, connect, connect_for, lacking, quiet, require_resources
from algorithms.common.learner import FROZEN_LAYERS
from algorithms.dpo import DPO, DPOConfig
from algorithms.imitation import ImitationConfig
from algorithms.ppo import PPOConfig
from rl_recsys.console import threads, verbosity

CORE = {"CPU": 1.0}


@pytest.mark.parametrize(
    ("bundles", "nodes", "said"),
    [
        ([CORE] * 3, [{"CPU": 2.0}, {"CPU": 1.0}], ""),
        ([CORE] * 4, [{"CPU": 2.0}, {"CPU": 1.0}], "CPU: 4 needed, 3 there"),
        ([], [], ""),
        ([CORE], [], "CPU: 1 needed, 0 there"),
        # Enough in all, and each fits alone.
        ([{"CPU": 3.0}] * 2, [{"CPU": 4.0}, {"CPU": 2.0}], "no node has CPU: 3 there beside the other processes"),
        ([{"CPU": 3.0}], [{"CPU": 2.0}, {"CPU": 2.0}], "no node has CPU: 3 together"),
        ([{"CPU": 2.0, "GPU": 1.0}], [{"CPU": 4.0}, {"GPU": 1.0}], "no node has CPU: 2, GPU: 1 together"),
        # Cores are taken elsewhere, so that the learner finds its own beside the GPU, in whatever order they are.
        ([CORE, CORE, {"CPU": 2.0, "GPU": 1.0}], [{"CPU": 2.0, "GPU": 1.0}, {"CPU": 2.0}], ""),
        ([{"CPU": 1.0}, {"CPU": 3.0}], [{"CPU": 3.0}, {"CPU": 1.0}], ""),
        ([{"GPU": 0.5}] * 3, [{"GPU": 1.0}, {"GPU": 0.4, "CPU": 9.0}], "GPU: 1.5 needed, 1.4 there"),
        ([{"GPU": 0.5}] * 3, [{"GPU": 1.0}, {"GPU": 0.6}], ""),
        (
            [{"accelerator_type:T4": 0.001}],
            [{"accelerator_type:L4": 1.0}],
            "accelerator_type:T4: 0.001 needed, 0 there; its accelerators: L4",
        ),
    ],
)  # fmt: skip
def test_processes_are_packed_on_nodes(bundles, nodes, said):
    assert lacking(bundles, nodes) == said


def test_nodes_that_are_lacking_are_asked_for_and_waited_for(ray_session, monkeypatch, capsys):
    """The nodes are data; what is asked for goes to this Ray, as an autoscaler reads it."""
    asked, nodes, request = [], [{"CPU": 1.0}], cluster.request_resources

    def asking(bundles):
        asked.append(bundles)
        nodes.append({"CPU": 1.0})
        request(bundles=bundles)

    monkeypatch.setattr(cluster, "request_resources", asking)
    monkeypatch.setattr(cluster, "shortage", lambda bundles: lacking(bundles, nodes))
    require_resources([CORE, CORE], wait_s=60.0)
    assert "waiting for nodes, 1 min 0 s at most: CPU: 2 needed, 1 there" in capsys.readouterr().out
    assert asked == [[CORE, CORE], []]  # and not for ever
    with pytest.raises(ClusterError, match="too small after 0 s .CPU: 9 needed.*--wait-for-nodes"):
        require_resources([CORE] * 9, wait_s=0.01)
    assert asked[2:] == [[CORE] * 9, []]
    with pytest.raises(ClusterError, match="too small .CPU: 9 needed"):
        require_resources([CORE] * 9)


def test_dpo_asks_for_its_rollout_workers(policy_folder):
    config = DPOConfig().training(policy=str(policy_folder), trajectories="nowhere", rollout_workers=3)
    config.learners(learner_config_dict={"frozen_layers": 0})
    assert DPO.default_resource_request(config).required_resources == {"CPU": 1}
    config.training(preferences="rollouts", task="webshop:nowhere")
    for asked in (config, config.to_dict()):
        assert DPO.default_resource_request(asked).required_resources == {"CPU": 4}


def test_what_learns_in_its_own_process_starts_no_ray(policy_folder, scripted):
    """Its start and end would take longer than many a training of recorded steps."""
    code = f"""if True:
        import ray
        from algorithms.cluster.connection import connect_for
        from algorithms.imitation import ImitationConfig
        config = ImitationConfig().training(policy={str(policy_folder)!r}, trajectories={str(scripted(8))!r})
        config.debugging(seed=0, log_level="ERROR").learners(learner_config_dict={{"frozen_layers": 0}})
        connect_for(config)
        alone = ray.is_initialized()
        algorithm = config.build_algo()
        algorithm.train()
        algorithm.get_state()
        algorithm.stop()
        print(alone, ray.is_initialized())"""
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == "False False"


def test_what_samples_in_its_own_process_connects(ray_session, monkeypatch, policy_folder, shop_folder):
    """RLlib hands weights on through Ray, which would start by itself otherwise, with another handler of SIGTERM."""
    connected = []
    monkeypatch.setattr(cluster, "connect", lambda num_cpus: connected.append(num_cpus))
    monkeypatch.setattr(cluster.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(cluster, "require_resources", lambda bundles, wait_s: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    config = PPOConfig().training(policy=str(policy_folder)).env_runners(num_env_runners=0)
    config.environment(env_config={"task": f"webshop:{shop_folder}", "policy": str(policy_folder)})
    connect_for(config.learners(learner_config_dict={FROZEN_LAYERS: 0}))
    assert connected == [1]


def test_what_learns_in_its_own_process_joins_the_ray_that_is_there(ray_session, monkeypatch, policy_folder):
    """So that it counts as one of the cluster's."""
    asked = []
    monkeypatch.setattr(cluster, "require_resources", lambda bundles, wait_s: asked.append(bundles))
    config = ImitationConfig().training(policy=str(policy_folder), trajectories="somewhere")
    config.learners(learner_config_dict={FROZEN_LAYERS: 0})
    connect_for(config)
    assert asked == [[CORE]]


def test_a_ray_that_does_not_start_is_one_line(monkeypatch):
    def late(**options):
        raise Exception("The current node timed out during startup.\nMore\nlines")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", late)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ClusterError, match=r"^Ray did not start \(The current node timed out .*\); try [^\n]*$"):
        connect()
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(ClusterError, match=r"^RAY_ADDRESS=10.0.0.1:6379 cannot be joined .*; is that cluster up\?$"):
        connect()


def test_connecting_leaves_signals_and_warnings_as_they_are(ray_session, monkeypatch):
    def own(number, frame):
        """A notebook's handler."""

    before = signal.signal(signal.SIGTERM, own)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(ray, "is_initialized", lambda: False)
            patch.setattr(ray, "init", lambda **options: signal.signal(signal.SIGTERM, lambda number, frame: None))
            connect()
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quiet()
        warnings.warn("ours is deprecated", DeprecationWarning, stacklevel=1)
    assert [str(one.message) for one in caught] == ["ours is deprecated"]
    code = "import os; from algorithms.cluster.connection import quiet; quiet(); print('PYTHONWARNINGS' in os.environ)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


SAYING = """
import logging, warnings
from rl_recsys.console import command
from algorithms.cluster.connection import quiet
from ray._common.deprecation import deprecation_warning

def main(given):
    quiet()
    logging.getLogger("ray.tune.trainable.trainable").warning("Trainable.setup took 12 seconds")
    logging.getLogger("ray.rllib.algorithms.algorithm").warning("Trainable.setup took what another logger says")
    deprecation_warning(old="RLModule(config=[RLModuleConfig object])")
    deprecation_warning(old="what we call")
    warnings.warn("python's own", DeprecationWarning)

command.run_job(main, command.Flags, "A job.")
"""


@pytest.mark.parametrize("all_of_it", [False, True])
def test_only_what_no_user_can_act_on_is_left_out(all_of_it, tmp_path):
    job = tmp_path / "job.py"
    job.write_text(SAYING)
    flags = ["--no-quiet"] if all_of_it else []
    done = subprocess.run([sys.executable, str(job), *flags], capture_output=True, text=True, check=True)
    for line in ("what another logger says", "`what we call` has been deprecated"):
        assert line in done.stderr
    for line in ("setup took 12 seconds", "RLModuleConfig object"):
        assert (line in done.stderr) == all_of_it


def test_workers_show_as_much_as_their_driver(monkeypatch):
    monkeypatch.delenv(verbosity.SHOW_ALL, raising=False)
    assert verbosity.variables() == {} and not verbosity.shows_everything()
    monkeypatch.setenv(verbosity.WARNINGS, "default")
    monkeypatch.setenv(verbosity.SHOW_ALL, "1")
    assert verbosity.variables() == {verbosity.SHOW_ALL: "1", verbosity.WARNINGS: "default"}
    started = {}
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: started.update(options))
    monkeypatch.delenv(threads.TURNS, raising=False)
    monkeypatch.setenv(threads.POLICY, "PASSIVE")
    connect()
    assert started["logging_level"] == "INFO"
    assert started["runtime_env"]["env_vars"] == verbosity.variables() | {threads.POLICY: "PASSIVE"}
