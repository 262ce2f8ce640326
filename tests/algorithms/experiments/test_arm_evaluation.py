"""Arms on equal goals, from Python: which goals, and what is compared with what."""

from __future__ import annotations

import json

import pytest

from algorithms.experiments.arm_evaluation import ArmEvaluation, goals_of_split
from rl_recsys.core.outcome import MODES
from rl_recsys.core.play import goals_of
from rl_recsys.errors import UserError
from rl_recsys.evaluation.claims import read_evaluation


def test_goals_are_the_first_of_a_split_that_no_trajectory_is_about(task, scripted, tmp_path):
    assert goals_of_split(task, None, 5) == (list(task.split("test"))[:5], "test")
    recorded = scripted(6)
    goals, name = goals_of_split(task, None, 4, unseen_by=recorded)
    seen = goals_of(recorded, task)
    assert name == "held-out train" and goals == [goal for goal in task.split("train") if goal not in seen][:4]

    # All that there is has been seen: of a world whose training goals are those of the trajectories.
    class Narrow(type(task)):
        def split(self, name):
            return sorted(seen)

    with pytest.raises(UserError, match="has trajectories of all train goals"):
        goals_of_split(Narrow(task.shop), None, 4, unseen_by=recorded)


def test_policies_are_compared_with_the_first_of_as_many_seeds(task, policy_folder, tmp_path, ray_session):
    arms = {
        "rule": ["rule"],
        "first": [str(policy_folder)],
        "same": [str(policy_folder)],
        "twice": [str(policy_folder)] * 2,
    }
    evaluation = ArmEvaluation(task, list(task.split("test"))[:3], tmp_path, seed=0)
    evaluation.play(arms, MODES, num_workers=1, num_gpus=0)
    evaluation.write("3 test goals", {})
    results = {result.arm: result for result in evaluation.results}
    assert list(results) == ["rule", *(f"{arm}, {mode}" for arm in ("first", "same", "twice") for mode in MODES)]
    assert {arm for arm, result in results.items() if result.gain is not None} == {f"same, {mode}" for mode in MODES}
    assert results["same, sampled"].gain == 0.0  # equal draws: the same policy does the same
    assert results["twice, greedy"].episodes == 6 and results["rule"].training_minutes == 0
    assert read_evaluation(tmp_path).keys() == {("rule", "greedy")} | {
        (arm, mode) for arm in ("first", "same", "twice") for mode in MODES
    }
    assert json.loads((tmp_path / "results.json").read_text())["title"] == "3 test goals"
