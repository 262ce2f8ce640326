"""Simulated rollout workers, the driver's load, and what a training run holds on to."""

from __future__ import annotations

import csv
import itertools
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import ray

from algorithms.benchmarks.scale import (
    BLOCKS,
    HEAVY,
    Block,
    Load,
    Recorded,
    _simulated_figures,
    measure_actors,
    policy_state,
    sample_ppo,
    scale_figures,
    simulated_workers,
)
from algorithms.benchmarks.soak import Family, growth, hosts_java, look, running, soak_figures
from algorithms.rollouts.goal_sampler import ContestedGoals, GoalsInTurn
from algorithms.rollouts.groups import RolloutGroups
from policies.base import load_policy
from policies.play import policy_trajectories
from rl_recsys.errors import UserError

ROOT = Path(__file__).parents[3]
SIZE = 2  # episodes of a group


@pytest.fixture(scope="module")
def recorded(policy_folder, shop, task) -> Recorded:
    model = load_policy(policy_folder)
    groups = {
        goal: list(policy_trajectories(model, task, [goal] * SIZE, author="policy", draws=range(SIZE)))
        for goal in list(shop.split("train"))[:5]
    }
    return Recorded(groups, {goal: float(place + 1) for place, goal in enumerate(groups)})


@pytest.fixture(scope="module")
def workers(ray_session, recorded):
    with simulated_workers(recorded, 4) as workers:
        yield workers


def test_the_same_episodes_come_out_whatever_the_number_of_actors(workers, recorded, policy_folder):
    taken = {}
    for count in (1, 3, 4):
        source = RolloutGroups(workers[:count], "recorded", GoalsInTurn(sorted(recorded.groups), 1), SIZE, seed=1)
        source.publish(policy_state(policy_folder))
        taken[count] = [next(source) for _ in range(12)]
    assert taken[1] == taken[3] == taken[4]
    goals = [group[0].goal_index for group in taken[1]]
    assert taken[1] == [recorded.groups[goal] for goal in goals]
    assert sorted(goals[:5]) == sorted(goals[5:10]) == sorted(recorded.groups)


@ray.remote(num_cpus=0)
class Echo:
    """A worker whose episodes say what they were asked for; of every third goal they have different rewards."""

    def trajectories(self, policy, goals, draws, greedy, seed, weights):
        rewards = range(len(goals)) if goals[0] % 3 == 0 else [0] * len(goals)
        return [SimpleNamespace(goal=goal, seed=seed, reward=one) for goal, one in zip(goals, rewards, strict=True)]


def test_groups_go_on_from_a_state_with_those_that_were_asked_for(ray_session):
    workers = [Echo.remote() for _ in range(4)]

    def source(count: int, state: dict | None = None) -> RolloutGroups:
        made = RolloutGroups(workers[:count], "echo", ContestedGoals(range(50), 1), SIZE, seed=1)
        if state is not None:
            made.set_state(pickle.loads(pickle.dumps(state)))
        return made

    first = source(4)
    played = [next(first) for _ in range(7)]
    state = first.get_state()
    resumed = source(4, state)
    assert resumed.get_state() == state  # as where a run is stopped again before it took a group
    fewer = source(2, state)
    following = [next(first) for _ in range(20)]
    assert 0 < len(first.taken()) < SIZE * 27  # contested goals say nothing of how good a policy is
    assert [next(resumed) for _ in range(20)] == following
    asked = len(state["asked"])
    assert [next(fewer) for _ in range(asked)] == following[:asked]
    assert fewer.get_state()["taken"] == 7 + asked
    seeds: dict[int, list[int]] = {}
    for group in (*played, *following):
        seeds.setdefault(group[0].goal, []).append(group[0].seed)
    again = [found for found in seeds.values() if len(found) > 1]
    assert again and all(len(set(found)) == len(found) for found in again)


def test_simulated_workers_are_light(workers):
    for modules in ray.get([worker.imported.remote() for worker in workers]):
        assert not set(HEAVY) & set(modules)
        assert {"algorithms.rollouts.published_weights", "rl_recsys.core.trajectory"} < set(
            modules
        )  # of what they are sent


def test_blocks_of_groups_are_measured(workers, recorded, policy_folder):
    found = measure_actors(workers[:3], recorded, 0.02, policy_state(policy_folder))
    assert found.actors == 3 and len(found.blocks) == len(found.alike) == BLOCKS
    for block in (*found.blocks, *found.alike):
        assert block.groups == 6 and min(block.played, block.driver) > 0
        assert block.rate == pytest.approx(6 / block.seconds)
    assert all(block.played == pytest.approx(6 * 0.02) for block in found.alike)
    assert 0 < found.put < found.published


def test_a_pace_keeps_its_mean_and_its_proportions(recorded):
    paced = recorded.paced(0.6)
    assert np.mean(list(paced.values())) == pytest.approx(0.6)
    assert max(paced.values()) == pytest.approx(5 * min(paced.values()))
    assert set(recorded.paced(0.6, alike=True).values()) == {0.6}


def test_the_drivers_load_is_a_line_through_blocks():
    # 2 % of a core at rest and 4 ms a group.
    blocks = [Block(n, 10 * n, 10.0, 1.0, driver=0.2 + 0.04 * n, servers=0.0) for n in (1, 2, 4, 8)]
    load = Load.of(blocks)
    assert (load.idle, load.group) == (pytest.approx(0.02), pytest.approx(0.004))
    assert load.full == pytest.approx(0.98 / 0.004)
    assert Block(4, 8, 2.0, played=6.0, driver=0.0, servers=0.0).busy == 0.75


def test_real_groups_are_played_and_returned_by_simulated_actors(ray_session, policy_folder, tmp_path, task):
    figures = {
        figure.name: figure
        for figure in scale_figures(
            policy_folder, task.spec, tmp_path, parts=("groups", "simulated"), group_size=SIZE, groups=3, rounds=1,
            rollout_steps=16, actors=(2, 1), group_seconds=0.02,
        )
    }  # fmt: skip
    assert figures["rollout groups, 2 workers"].value > 0 and figures["rollout groups, 1 worker"].value > 0
    assert figures["  2 workers to 1"].value > 0 and figures["  2 workers to 1, by CPU time"].value > 0
    assert 20 < figures["memory of a simulated actor"].value < 150
    assert figures["  of torch, transformers, ray.rllib, jnius it imported"].met
    assert {"simulated groups, 1 actor", "simulated groups, 2 actors"} < figures.keys()
    assert (tmp_path / "scale.png").stat().st_size > 10_000


def test_ppo_samples_are_counted(ray_session, policy_folder, task):
    found = sample_ppo(policy_folder, task.spec, workers=1, steps=64)
    assert found.workers == 1 and 0 <= found.episodes < found.steps and found.steps >= 64
    assert found.cpu > 0


def test_the_reported_sizes_are_those_of_what_is_sent(recorded, policy_folder):
    sent, weights = itertools.islice(_simulated_figures(policy_folder, recorded, [1], 0.02, []), 2)
    sizes = [len(pickle.dumps(group)) / 1000 for group in recorded.groups.values()]
    assert sent.value == pytest.approx(np.mean(sizes)) and min(sizes) > SIZE
    arrays = policy_state(policy_folder).values()
    assert weights.value == pytest.approx(sum(array.size * 4 for array in arrays) / 1e6)


def test_growth_is_that_after_the_first_tenth():
    minutes = list(range(20))
    grown = growth(minutes, [500.0, 300.0, *(100.0 + minute for minute in minutes[2:])])
    assert grown.settled == 102.0
    assert grown.most == pytest.approx(100 * 17 / 102) == pytest.approx(grown.line)
    assert grown.hourly == pytest.approx(60.0)
    assert growth([0, 1, 2], [5.0, 5.0, 5.0]).line == pytest.approx(0.0)


def test_a_familys_processes_are_looked_at_by_role(ray_session, recorded, shop):
    shop.search("shirt")
    family = Family(psutil.Process())
    kept = ray.put(np.zeros(20_000_000, np.uint8))
    with simulated_workers(recorded, 2) as workers:
        ray.get([worker.imported.remote() for worker in workers])
        found = {one.role: one for one in look(family, 0.5)}
        assert {"driver", "rest of Ray", "rollout worker 1", "rollout worker 2", "all"} <= found.keys()
        assert found["driver"].java == 1 and hosts_java(psutil.Process())
        assert found["rollout worker 1"].java == 0 and 20 < found["rollout worker 1"].own < 150
        everything = found["all"]
        assert everything.actors >= 2 and everything.store >= 20
        assert everything.processes == sum(one.processes for one in found.values()) - everything.processes
        assert everything.minutes == 0.5 and everything.uss > found["driver"].uss > 0
        before = len(family.left())
        players = sum(role.startswith("rollout worker") for role in found)
    del kept
    deadline = time.monotonic() + 30
    while len(family.left()) > before - 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(family.left()) <= before - 2
    # An earlier test's may have ended meanwhile, too.
    assert sum(role.startswith("rollout worker") for role in family.by_role()) <= players - 2


def test_nothing_of_a_training_run_is_left(policy_folder, shop_folder, tmp_path):
    command = [sys.executable, ROOT / "jobs" / "ppo.py", "--shop", shop_folder, "--policy", policy_folder]
    command += ["--num-workers", 1, "--rollout-steps", 32, "--evaluate-every", 0, "--iterations", 100_000]
    command += ["--frozen-layers", 0]
    with tempfile.TemporaryDirectory() as work:  # Ray's sockets need a shorter path than tmp_path is
        figures = list(soak_figures(list(map(str, command)), Path(work), tmp_path, minutes=0.05, every_s=1.0))
    values = {figure.name: figure.value for figure in figures}
    (end,) = (figure for figure in figures if figure.name == "the end after SIGTERM")
    assert end.note in (f"exit status {128 + signal.SIGTERM}", "exit status 1")  # in good order, not aborted
    assert "ended by SIGTERM" in (tmp_path / "training-soak.log").read_text()
    assert values["trained"] >= 0.05
    assert values["living actors at the end"] == 1 and values["Java VMs at the end"] >= 1
    left = [figure for figure in figures if figure.name.endswith("left") or "files left" in figure.name]
    assert len(left) == 4 and all(figure.met for figure in left)
    with open(tmp_path / "training-soak.csv") as file:
        rows = list(csv.DictReader(file))
    assert {row["role"] for row in rows} == {"driver", "rollout worker 1", "rest of Ray", "all"}
    assert all(float(row["own"]) > 30 for row in rows)
    assert (tmp_path / "training-soak.png").is_file()


def test_a_run_that_does_not_train_is_named_with_its_last_line(tmp_path):
    command = [sys.executable, "-c", "raise SystemExit('no shop here')"]
    with pytest.raises(UserError, match="came to no iteration; its last line: no shop here"):
        list(soak_figures(command, tmp_path, None, minutes=1.0, every_s=1.0))


def test_a_measurement_that_is_ended_takes_its_run_along(tmp_path):
    pid = tmp_path / "pid"
    run = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    measure = (
        "import sys; from pathlib import Path; from algorithms.benchmarks.soak import soak_figures\n"
        f"list(soak_figures([sys.executable, '-c', {run!r}], Path({str(tmp_path)!r}), None, minutes=1.0, every_s=1.0))"
    )
    measurement = subprocess.Popen([sys.executable, "-c", measure], cwd=ROOT)
    deadline = time.monotonic() + 120
    while not pid.is_file() or not pid.read_text():
        assert measurement.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    started = psutil.Process(int(pid.read_text()))
    measurement.terminate()
    measurement.wait()
    psutil.wait_procs([started], timeout=30)
    assert not running(started)
