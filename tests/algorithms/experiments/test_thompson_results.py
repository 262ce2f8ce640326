"""Thompson sampling's log and results, from pulls with known rewards: nothing is played, no Ray."""

from __future__ import annotations

import csv
import json

import pytest

from algorithms.experiments.thompson import ThompsonExperiment
from algorithms.experiments.thompson_results import arm_cells, arm_figures, write_experiment
from rl_recsys.errors import UserError

ARMS = {"rule": ["rule"], "heuristic": ["heuristic"], "comparing": ["comparing"]}
REWARDS = {"rule": 0.5, "heuristic": 1.0, "comparing": 0.0}


@pytest.fixture
def experiment(task, tmp_path):
    def begun(arms=ARMS, objective="success", **sizes) -> ThompsonExperiment:
        sizes = {"runs": 2, "rollouts": 30, "batch": 6} | sizes
        goals = list(task.split("test"))[:10]
        return ThompsonExperiment(task, arms, goals, tmp_path, objective=objective, mode="greedy", seed=0, **sizes)

    return begun


def observe(experiment: ThompsonExperiment, batches: int) -> ThompsonExperiment:
    """Let every run have so many batches, in which an arm always earns the same."""
    for run in experiment.runs:
        for _ in range(batches):
            batch = run.batch()
            run.observe(batch, [REWARDS[planned.arm] for planned in batch], [3] * len(batch))
    return experiment


@pytest.mark.parametrize(("objective", "unit"), [("success", "successes"), ("score", "episodes' worth of reward")])
def test_figures_regret_and_running_means_are_those_of_the_pulls(experiment, tmp_path, capsys, objective, unit):
    finished = observe(experiment(objective=objective), 5)
    assert finished.finished
    write_experiment(finished)
    written = json.loads((tmp_path / "thompson.json").read_text())
    # An arm that always earns the same has that for the mean of its pulls.
    expected = REWARDS if objective == "score" else {"rule": 0.0, "heuristic": 1.0, "comparing": 0.0}
    for run in written["runs"]:
        pulls = {arm: figures["pulls"] for arm, figures in run["arms"].items()}
        assert sum(pulls.values()) == 30 and run["means"] == {arm: expected[arm] for arm in ARMS}
        assert run["regret"] == pytest.approx(sum(pulls[arm] * (1 - expected[arm]) for arm in ARMS))
        assert {arm: figures["score"] for arm, figures in run["arms"].items() if pulls[arm]} == {
            arm: 100 * REWARDS[arm] for arm in ARMS if pulls[arm]
        }
    lost = ", ".join(f"{run['regret']:.1f}" for run in written["runs"])
    shown = " ".join(capsys.readouterr().out.split())
    assert f"Regret, in {unit}, by the mean of all pulls: {lost}." in shown
    assert f"Thompson sampling on {objective}: 2 runs of 30 rollouts, greedy, seed 0" in shown
    assert (tmp_path / "thompson.md").read_text().count("\n| ") == 2 + 2 * len(ARMS)
    with open(tmp_path / "running_score.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 60


def test_regret_is_by_the_means_that_are_given_run_by_run(experiment, tmp_path):
    finished = observe(experiment(), 5)
    means = {"rule": [0.3], "heuristic": [0.9, 0.7], "comparing": [0.1]}
    write_experiment(finished, means, "results.json")
    written = json.loads((tmp_path / "thompson.json").read_text())
    assert written["means_from"] == "results.json"
    assert [run["means"]["heuristic"] for run in written["runs"]] == [0.9, 0.7]


def test_an_arm_that_was_never_pulled_has_a_row_of_its_own(experiment):
    figures = arm_figures(experiment().runs[0])["rule"]
    assert figures["pulls"] == 0 and figures["success"] is figures["score"] is None
    best = f"{figures['best_probability']:.1%}"
    assert arm_cells(0, "rule", figures) == ["0", "rule", "0", "-", "-", best]


def test_a_folder_of_other_arms_or_another_log_is_refused(experiment, tmp_path):
    with pytest.raises(UserError, match="^1 arm: there is nothing to choose between"):
        experiment({"rule": ["rule"]})
    experiment().resume({"rollouts": 30})
    assert json.loads((tmp_path / "settings.json").read_text())["policies"] == list(ARMS)
    pull = {"run": 0, "rollout": 0, "arm": "nobody", "drawn": 0.5, "posterior": [1.0, 1.0], "goal": 0, "draw": 1}
    log = tmp_path / "pulls-0.jsonl"
    log.write_text((json.dumps(pull | {"reward": 1.0, "steps": 3}) + "\n") * 6)
    with pytest.raises(UserError, match=r"pulls-0\.jsonl: not the log of this run .*; use another --out"):
        experiment().resume({"rollouts": 30})
    with pytest.raises(UserError, match="rollouts: 30 before, 31 now"):
        experiment().resume({"rollouts": 31})
