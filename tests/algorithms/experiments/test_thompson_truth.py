"""What Thompson sampling takes from an evaluation."""

from __future__ import annotations

import json

import pytest

from algorithms.experiments.thompson_truth import evaluated_means
from rl_recsys.errors import UserError

ARMS = {"rule": ["rule"], "dpo": ["a", "b"]}


def test_means_are_read_by_seed_in_the_mode_and_measure_that_is_asked_for(tmp_path):
    rows = [("rule", [0.1], [20]), ("dpo, greedy", [0.9, 0.8], [95, 85]), ("dpo, sampled", [0.5, 0.4], [70, 60])]
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"arms": [{"arm": a, "seeds": s, "seed_scores": m} for a, s, m in rows]}))
    means = evaluated_means(path, ARMS, objective="success", mode="sampled")
    assert means == {"rule": [0.1], "dpo": [0.5, 0.4]}
    assert evaluated_means(path, ARMS, objective="score", mode="greedy")["dpo"] == [0.95, 0.85]
    with pytest.raises(UserError, match="has no arm dpo, sampled with as many seeds"):
        evaluated_means(path, {"rule": ["rule"], "dpo": ["a"]}, objective="success", mode="sampled")


@pytest.mark.parametrize("seeds", [["high"], {"0": 0.5}, 0.5, [None], [-0.1], [1.5], [float("nan")]])
def test_a_wrong_value_in_the_results_is_named(tmp_path, seeds):
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"arms": [{"arm": "rule", "seeds": seeds}]}))
    with pytest.raises(UserError, match=r"results\.json.*: damaged .*; --truth is results\.json of jobs/evaluate\.py"):
        evaluated_means(path, ARMS, objective="success", mode="sampled")
