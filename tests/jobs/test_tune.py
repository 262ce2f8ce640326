"""The search for settings, with Ray Tune as it is: killed and gone on with, both of its APIs, both algorithms."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from ray import tune
from ray.rllib.core.rl_module.rl_module import RLModule

from algorithms.tuning import search as searching
from algorithms.tuning.search import SCORE, LastingASHA, held_out_goals, trial_config
from algorithms.tuning.search_results import HeldOut, TrialResult, training_command
from algorithms.tuning.search_space import SPACE_COLUMNS, SPACES, space_rows
from policies.base import load_policy
from policies.module_state import module_state
from rl_recsys.console.command import read_flags
from rl_recsys.console.table import Table
from rl_recsys.core.trajectory import read_trajectories
from rl_recsys.errors import UserError
from rl_recsys.evaluation.plots import Axis
from rl_recsys.webshop import shared_shop
from tests.jobs.test_jobs import ROOT, job_module, kill_when, main_of

pytestmark = pytest.mark.usefixtures("ray_session")
TRIALS, ITERATIONS = 2, 4
FAST = ["--frozen-layers", 0, "--evaluation-goals", 6]


def arguments_of(name: str, *flags: object):
    return read_flags(job_module(name).Arguments, "", list(map(str, flags)))


def in_process(*flags: object) -> str:
    """Run the job here and return what it printed."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        job_module("tune").main(arguments_of("tune", *flags))
    return said.getvalue()


@pytest.fixture(scope="module")
def demonstrations(scripted) -> Path:
    return scripted(20)


@dataclass(frozen=True)
class Search:
    """A DPO search that was killed and gone on with."""

    flags: list
    out: Path
    kept: dict[str, int]  # trial's folder -> iterations in its last checkpoint when it was killed
    said: str


@pytest.fixture(scope="module")
def finished(tmp_path_factory, shop_folder, policy_folder, demonstrations, joining_environment) -> Search:
    out = tmp_path_factory.mktemp("search") / "out"
    flags = ["--algorithm", "dpo", "--shop", shop_folder, "--policy", policy_folder, "--out", out, *FAST]
    flags += ["--trajectories", demonstrations, "--trials", TRIALS, "--iterations", ITERATIONS, "--updates", 3]
    flags += ["--grace-period", 1, "--batch", 4, "--at-once", 1]  # so that a trial begins only after the kill
    command = [sys.executable, ROOT / "jobs" / "tune.py", *flags]
    often = joining_environment | {"TUNE_GLOBAL_CHECKPOINT_S": "0.2"}  # so that it is killed in the middle of a trial
    kill_when(lambda: checkpointed(out), command, often, out.with_name("log"))
    assert not (out / "best.json").exists()
    kept = checkpointed(out)
    return Search(flags, out, kept, in_process(*flags))


def checkpointed(out: Path) -> dict[str, int]:
    """The trials that Tune knows to have a checkpoint: their folders, and how many iterations it has."""
    if not list(out.glob("tune/trial-*/checkpoint_*")):
        return {}
    try:
        trials = tune.ExperimentAnalysis(str(out / "tune")).trials
    except ValueError:  # being written
        return {}
    return {Path(trial.path).name: int(trial.checkpoint.path[-6:]) + 1 for trial in trials if trial.checkpoint}


def states(out: Path) -> list[Path]:
    return list(out.glob("tune/experiment_state-*.json"))


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "result.json").read_text().splitlines()]


def test_a_killed_search_goes_on_from_its_last_checkpoints(finished):
    folders = {path.name: path for path in (finished.out / "tune").glob("trial-*")}
    assert sorted(int(name.split("-")[1]) for name in folders) == list(range(1, TRIALS + 1))
    assert finished.kept.keys() <= folders.keys() and finished.kept
    for name, kept in finished.kept.items():
        rows = lines(folders[name])
        # What was in the checkpoint was not done again, and what came after it was done by another process.
        assert [row["training_iteration"] for row in rows[:kept]] == list(range(1, kept + 1))
        assert {row["training_iteration"] for row in rows} == set(range(1, rows[-1]["training_iteration"] + 1))
        assert all(row["training_iteration"] > kept for row in rows[kept:])
        if rows[-1]["training_iteration"] > kept:
            assert rows[-1]["pid"] != rows[0]["pid"]


def test_a_search_leaves_a_table_a_picture_and_the_best_settings(finished):
    out = finished.out
    with open(out / "trials.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(int(row["number"]) for row in rows) == list(range(1, TRIALS + 1))
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    by_number = {int(row["number"]): row for row in rows}
    for setting in SPACES["dpo"]:
        assert float(by_number[1][setting.flag]) == setting.default
        assert all(setting.values[0] <= float(row[setting.flag]) <= setting.values[-1] for row in rows)
    for row in rows:
        folder = Path(row["folder"])
        last = lines(folder)[-1]
        assert float(row["score"]) == last["evaluation"]["score"] and int(row["iterations"]) <= ITERATIONS
        assert 0 <= last["evaluation"]["success"] <= 1
        assert any(path.stat().st_size for path in folder.glob("events.out.tfevents*"))
    best = json.loads((out / "best.json").read_text())
    assert best["trial"] == int(rows[0]["number"]) and best["score"] == scores[0] and best["goals"] == 6
    assert (out / "parallel-coordinates.png").read_bytes().startswith(b"\x89PNG")
    table = (out / "table.md").read_text()
    assert table.count("\n| ") == TRIALS + 2 and "6 training goals, held out" in table
    assert f"best: trial {best['trial']}" in finished.said and best["command"] in finished.said.replace("\n", " ")
    assert len(finished.said.splitlines()) < 3 * TRIALS * ITERATIONS + 10


def test_the_best_command_trains_the_policy_of_the_best_trial(finished, tmp_path, capsys):
    best = json.loads((finished.out / "best.json").read_text())
    python, script, *flags = shlex.split(best["command"])
    assert (python, script) == ("python", "jobs/dpo.py")
    arguments = arguments_of("dpo", *flags)
    assert {flag: getattr(arguments, flag.replace("-", "_")) for flag in best["settings"]} == best["settings"]
    assert arguments.iterations == best["iterations"] and Path(arguments.out) == finished.out / "best"
    job_module("dpo").main(replace(arguments, out=tmp_path / "best", evaluate_every=0))
    capsys.readouterr()
    trained = module_state(load_policy(tmp_path / "best" / "policy"))
    (folder,) = (finished.out / "tune").glob(f"trial-{best['trial']:03d}-*")
    checkpoint = folder / f"checkpoint_{best['iterations'] - 1:06d}"
    module = RLModule.from_checkpoint(checkpoint / "learner_group" / "learner" / "rl_module" / "default_policy")
    for name, value in module.get_state().items():
        assert torch.allclose(torch.as_tensor(trained[name]), torch.as_tensor(value), atol=1e-5), name


def test_a_finished_search_is_reported_again_and_no_other_begins_there(finished, monkeypatch):
    monkeypatch.setattr(searching, "_tune", None)  # nothing is run
    before = (finished.out / "best.json").read_text()
    (finished.out / "table.md").unlink()
    assert json.loads(before)["command"] in in_process(*finished.flags).replace("\n", " ")
    assert (finished.out / "best.json").read_text() == before and (finished.out / "table.md").is_file()
    for flag, before_and_now in (("--seed", "seed: 0 before, 1 now"), ("--trials", "trials: 2 before, 1 now")):
        with pytest.raises(UserError, match=before_and_now):  # of Tune's own state all would be kept without a word
            in_process(*finished.flags, flag, 1)
    with monkeypatch.context() as patched, pytest.raises(UserError, match="space: .* before, .* now"):
        patched.setitem(searching.SPACES, "dpo", searching.SPACES["dpo"][:-1])  # as another version would search
        in_process(*finished.flags)
    (state, *_) = states(finished.out)
    damaged = state.with_name("experiment_state-9999.json")
    damaged.write_text('{"trial_data": [')
    try:
        with pytest.raises(UserError, match="is damaged"):
            in_process(*finished.flags)
    finally:
        damaged.unlink()


def test_ppo_is_searched_with_tune_run_and_goes_on(tmp_path, shop_folder, policy_folder, monkeypatch):
    flags = ["--algorithm", "ppo", "--shop", shop_folder, "--policy", policy_folder, "--out", tmp_path, *FAST]
    flags += ["--trials", 2, "--iterations", 2, "--rollout-steps", 24, "--batch", 8, "--api", "run"]
    flags += ["--num-workers", 1]
    flags += ["--searcher", "random", "--scheduler", "none"]

    def stop(*_: object, **info: object) -> None:
        raise KeyError("stopped here")

    with monkeypatch.context() as patched, pytest.raises(tune.TuneError, match="stopped here"):
        patched.setattr(searching.Lines, "on_trial_result", stop)
        in_process(*flags, "--at-once", 1)  # each trial is two processes; both are there below
    (made_with,) = json.loads((tmp_path / "made_with.json").read_text())
    (tmp_path / "made_with.json").write_text(json.dumps([made_with | {"commit": "of yesterday"}]))
    said = in_process(*flags)
    assert "warning: trials of this search are made with different code" in said and "commit of yesterday" in said
    makers = json.loads((tmp_path / "best.json").read_text())["made_with"]
    assert [one["commit"] for one in makers] == ["of yesterday", made_with["commit"]]
    assert "trial 2, iteration 2 of 2: score " in said
    with open(tmp_path / "trials.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["number"] for row in rows} == {"1", "2"} and {row["state"] for row in rows} == {"finished"}
    folders = list((tmp_path / "tune").glob("trial-*"))
    assert len(folders) == 2 and all(list(folder.glob("events.out.tfevents*")) for folder in folders)
    arguments = arguments_of("ppo", *shlex.split(json.loads((tmp_path / "best.json").read_text())["command"])[2:])
    assert (arguments.rollout_steps, arguments.batch, arguments.iterations) == (24, 8, 2)


def test_trials_that_all_fail_are_said_to(tmp_path, shop_folder, policy_folder, demonstrations, monkeypatch, capfd):
    monkeypatch.setattr(searching, "held_out_goals", lambda arguments: HeldOut((10**6,)))
    monkeypatch.setattr(searching, "MAX_FAILURES", 0)
    flags = ["--algorithm", "dpo", "--shop", shop_folder, "--policy", policy_folder, "--out", tmp_path, *FAST]
    flags += ["--trajectories", demonstrations, "--trials", 1, "--iterations", 2, "--updates", 1, "--batch", 4]
    with pytest.raises(UserError, match="all trials failed; why the first did is in") as raised:
        job_module("tune").main(arguments_of("tune", *flags))
    assert "IndexError" in Path(str(raised.value).split(" is in ")[1]).read_text()
    assert "trial 1 failed: " in capfd.readouterr().out


@pytest.mark.parametrize("algorithm", ["dpo", "ppo"])
def test_a_trial_is_configured_as_its_job_would(
    algorithm, tmp_path, shop_folder, policy_folder, demonstrations, monkeypatch
):
    flags = ["--shop", shop_folder, "--policy", policy_folder, "--out", tmp_path]
    flags += ["--trajectories", demonstrations] if algorithm == "dpo" else []
    arguments = arguments_of("tune", "--algorithm", algorithm, *flags)
    settings = {setting.flag: setting.values[-1] for setting in SPACES[algorithm]}
    trial = trial_config(arguments, HeldOut((1, 2)), settings).to_dict()
    result = TrialResult(1, "finished", 8, 0.0, 0.0, 0.0, settings, "")
    job, configs = job_module(algorithm), []
    monkeypatch.setattr("algorithms.runs.training_job.run", lambda config, *_: configs.append(config))
    job.main(read_flags(job.Arguments, "", shlex.split(training_command(arguments, result))[2:]))
    expected = configs[0].to_dict()
    differ = {name for name in expected if repr(expected[name]) != repr(trial.get(name))}
    # A rate that does not change as a number; what the trials are compared by; DPO's workers, which only rollouts need.
    assert differ <= {"lr", "callbacks_on_train_result", "env_config", "rollout_workers"}
    assert {rate for _, rate in expected["lr"]} == {trial["lr"]} == {settings["learning-rate"]}
    own = {name: value for name, value in trial["env_config"].items() if name != "goals"}
    assert own == {name: value for name, value in expected["env_config"].items() if name != "goals"}
    if algorithm == "ppo":
        assert set(trial["env_config"]["goals"]) == set(shared_shop(shop_folder).split("train")) - {1, 2}


def test_trials_are_compared_on_training_goals_that_no_trajectory_is_about(
    shop, shop_folder, policy_folder, demonstrations
):
    flags = ["--algorithm", "dpo", "--shop", shop_folder, "--policy", policy_folder, "--out", "x"]
    flags += ["--trajectories", demonstrations, "--evaluation-goals"]
    training, seen = set(shop.split("train")), {one.goal_index for one in read_trajectories(demonstrations)}
    few = held_out_goals(arguments_of("tune", *flags, 10))
    assert len(set(few.goals)) == 10 and set(few.goals) <= training - seen and few.known == 0
    assert held_out_goals(arguments_of("tune", *flags, 10)) == few
    assert held_out_goals(arguments_of("tune", *flags, 10, "--seed", 1)).goals != few.goals
    many = held_out_goals(arguments_of("tune", *flags, len(training) - 5))
    assert set(many.goals) >= training - seen and many.known == 15
    assert "15 of them of trajectories" in str(many)


def test_the_first_trial_has_the_defaults_of_its_job_and_the_docs_have_the_space():
    needed = ["--shop", "s", "--policy", "p", "--trajectories", "t", "--out", "o"]
    for algorithm, settings in SPACES.items():
        arguments = arguments_of(algorithm, *needed)
        for setting in settings:
            assert getattr(arguments, setting.flag.replace("-", "_")) == setting.default
    docs = (ROOT / "docs" / "cluster" / "tuning.md").read_text()
    assert Table("", SPACE_COLUMNS, space_rows()).to_markdown() in docs
    shown = " ".join(job_module("tune").description().split())
    assert all(
        f"{algorithm} {flag}: {values} (default {default})" in shown
        for algorithm, flag, values, default in space_rows()
    )


@dataclass
class Told:
    """A trial as a scheduler sees it."""

    trial_id: str
    path: str

    @property
    def has_reported_at_least_once(self) -> bool:
        return (Path(self.path) / "result.json").is_file()


def test_asha_knows_the_trials_of_before_and_stops_the_worse_half(tmp_path):
    scheduler = LastingASHA("training_iteration", SCORE, "max", max_t=8, grace_period=2, reduction_factor=2)
    for trial, score in (("a", 50.0), ("b", 70.0)):
        (tmp_path / trial).mkdir()
        rows = [{"training_iteration": i, "evaluation": {"score": score}} for i in (1, 2, 2)]
        text = "".join(json.dumps(row) + "\n" for row in rows) + '{"training_iter'  # cut short by a kill
        (tmp_path / trial / "result.json").write_text(text)
        scheduler.on_trial_add(None, Told(trial, str(tmp_path / trial)))
    for trial, score, decision in (("c", 59.0, "STOP"), ("d", 61.0, "CONTINUE")):
        new = Told(trial, str(tmp_path / trial))
        scheduler.on_trial_add(None, new)
        assert scheduler.on_trial_result(None, new, {"training_iteration": 1, SCORE: score}) == "CONTINUE"
        assert scheduler.on_trial_result(None, new, {"training_iteration": 2, SCORE: score}) == decision


def test_an_axis_has_its_values_where_they_belong():
    assert [round(Axis((1e-6, 1e-4), "log").place(value), 6) for value in (1e-6, 1e-5, 1e-4)] == [0, 0.5, 1]
    assert Axis((0.3, 30.0), "log").ticks == pytest.approx([0.3, 0.5, 1, 2, 5, 10, 20, 30])
    assert [Axis((0.0, 0.1, 1.0), "each").place(value) for value in (0.0, 0.1, 1.0)] == [0, 0.5, 1]
    assert Axis((40.0, 60.0)).place(45.0) == 0.25 and Axis((40.0, 40.0)).place(40.0) == 0.5


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--algorithm", "dpo"], "name their folder with --trajectories"),
        (["--algorithm", "dpo", "--trajectories", "nowhere"], "no trajectories here"),
        (["--algorithm", "ppo", "--trials", 0], "--trials is 0, it must be at least 1"),
        (["--algorithm", "ppo", "--iterations", 1], "--grace-period is 2, it must be at most --iterations, 1"),
        (["--algorithm", "ppo", "--evaluation-goals", 9999], "--evaluation-goals is 9999, the task has"),
        (["--algorithm", "ppo", "--num-workers", -1], "--num-workers is -1, it must be at least 0"),
        (["--algorithm", "ppo", "--num-gpus", 1], "GPU: 1 needed, 0 there"),
        (["--algorithm", "ppo", "--num-workers", 64], "CPU: 65 needed"),
        (["--algorithm", "ppo", "--policy", "nowhere"], "is no policy folder"),
        (["--algorithm", "ppo", "--shop", "nowhere"], "no shop here"),
    ],
)
def test_what_cannot_be_is_said_at_once(tmp_path, shop_folder, policy_folder, capsys, flags, message):
    places = ["--shop", shop_folder, "--policy", policy_folder, "--out", tmp_path / "out", *FAST]
    with pytest.raises(UserError, match=re.escape(message)):
        main_of("tune", capsys)(*places, *flags)
    assert not (tmp_path / "out" / "tune").exists()
