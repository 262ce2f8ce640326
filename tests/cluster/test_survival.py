"""What a run lives through, on a Ray cluster of several nodes on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120


class Nodes:
    """A cluster of Ray nodes, each of them a raylet of its own."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        # Ray gives a node that is silent half a minute; here a second must do.
        watch = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
        head = {"num_cpus": 1, "include_dashboard": False, "_system_config": watch}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)

    def add(self, **resources):
        node = self.cluster.add_node(**resources)
        self.cluster.wait_for_nodes()
        return node

    def remove(self, node) -> None:
        self.cluster.remove_node(node, allow_graceful=False)

    def processes(self, name: str) -> set[int]:
        """The pids of this cluster's workers of an actor class."""
        found = set()
        for node in self.cluster.list_all_nodes():
            for raylet in node.all_processes.get("raylet", []):
                with suppress(psutil.NoSuchProcess):
                    for child in psutil.Process(raylet.process.pid).children(recursive=True):
                        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                            if f"ray::{name}" in " ".join(child.cmdline()):
                                found.add(child.pid)
        return found


@pytest.fixture
def nodes():
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    nodes = Nodes()
    yield nodes
    nodes.cluster.shutdown()


class Run:
    """A training job under way."""

    def __init__(self, process, out: Path, log: Path):
        self._process, self._out, self._log = process, out, log

    @property
    def iterations(self) -> list[int]:
        path = self._out / "result.json"
        lines = path.read_text().splitlines() if path.is_file() else []
        return [json.loads(line)["iteration"] for line in lines if line.endswith("}")]

    @property
    def said(self) -> str:
        return self._log.read_text()

    def wait_for(self, condition, what: str):
        """What ``condition`` returns once it is true."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := condition()):
            assert self._process.poll() is None, f"the job ended before {what}:\n{self.said}"
            assert time.monotonic() < deadline, f"no {what}:\n{self.said}"
            time.sleep(0.1)
        return found

    def go_on(self, count: int = 2) -> None:
        """Wait for so many more iterations."""
        target = len(self.iterations) + count
        self.wait_for(lambda: len(self.iterations) >= target, f"iteration {target}")


@contextmanager
def running(out: Path, address: str, name: str, *flags: object):
    log = out.with_suffix(".log")
    command = list(map(str, [sys.executable, ROOT / "jobs" / f"{name}.py", "--out", out, *flags]))
    environment = os.environ | {"RAY_ADDRESS": address, "RAY_AUTH_MODE": "disabled", "PYTHONUNBUFFERED": "1"}
    with (
        log.open("w") as file,
        subprocess.Popen(
            command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        ) as process,
    ):
        try:
            yield Run(process, out, log)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_training_outlives_its_nodes_and_its_learner(nodes, tmp_path, shop_folder, policy_folder):
    rollouts = nodes.add(num_cpus=1)
    nodes.add(num_cpus=1)
    t4 = {"num_cpus": 2, "num_gpus": 1, "resources": {"accelerator_type:T4": 1}}
    learning = nodes.add(**t4)
    flags = ["--shop", shop_folder, "--policy", policy_folder, "--num-workers", 2, "--learner", "t4", "--num-gpus", 0]
    flags += [
        "--iterations",
        1000,
        "--rollout-steps",
        32,
        "--environments",
        2,
        "--evaluate-every",
        0,
        "--frozen-layers",
        0,
    ]
    with running(tmp_path / "run", nodes.cluster.address, "ppo", *flags) as run:
        run.wait_for(lambda: len(run.iterations) >= 2, "iteration 2")
        (learner,) = nodes.processes("_WrappedExecutable") or nodes.processes("PPOLearner")
        assert psutil.Process(learner).ppid() in [one.process.pid for one in learning.all_processes["raylet"]]
        assert len(nodes.processes("WatchedEnvRunner")) == 2

        nodes.remove(
            rollouts
        )  # with its worker; one that is lost alone is in tests/algorithms/rollouts/test_lost_workers.py
        run.go_on()

        os.kill(learner, signal.SIGKILL)
        run.wait_for(lambda: "a process was lost" in run.said and "goes on after iteration" in run.said, "going on")
        run.go_on()

        nodes.remove(learning)
        run.wait_for(lambda: "accelerator_type:T4: 0.001 needed, 0 there" in run.said, "a word about what is short")
        nodes.add(**t4)
        run.wait_for(lambda: run.said.count("goes on after iteration") == 2, "going on with the new node")
        run.go_on()
        # What was done again is there once: nothing that was finished is lost, nothing is counted twice.
        assert run.iterations == list(range(1, len(run.iterations) + 1))
