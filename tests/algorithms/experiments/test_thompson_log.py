"""What an experiment takes up from its log of pulls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from algorithms.experiments.thompson import ThompsonExperiment
from rl_recsys.errors import UserError
from tests.damage import damaged

ARMS = {"rule": ["rule"], "heuristic": ["heuristic"]}


def experiment(task, folder: Path) -> ThompsonExperiment:
    return ThompsonExperiment(
        task, ARMS, [3, 5], folder, runs=1, rollouts=4, batch=2, objective="score", mode="greedy", seed=0
    )


@pytest.fixture(scope="module")
def lines(task, tmp_path_factory) -> list[dict]:
    (run,) = experiment(task, tmp_path_factory.mktemp("whole")).runs
    for _ in range(2):
        run.observe(run.batch(), [0.5, 0.25], [3, 4])
    return [asdict(pull) for pull in run.pulls]


def write(folder: Path, lines: list[Mapping]) -> Path:
    log = folder / "pulls-0.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return log


def test_each_field_is_as_it_was_or_named(task, lines, tmp_path):
    experiment(task, tmp_path).resume({})
    #: Of what decides nothing that is played again, and may have been so.
    told = ("drawn", "posterior", "steps")
    for one in damaged(lines[:2]):
        if not one.path or one.path == (1,) and one.now is ...:  # no line: the batch is played again
            continue
        log = write(tmp_path, [*one.value, *lines[2:]] if isinstance(one.value, list) else one.value)
        again = experiment(task, tmp_path)
        try:
            again.resume({})
        except UserError as error:
            assert str(log) in str(error) and "use another --out" in str(error) and "\n" not in str(error), (one, error)
            continue
        same = [asdict(pull) for pull in again.runs[0].pulls] == lines
        right = one.path[1:2] in [(name,) for name in told] or one.path[1:] == ("reward",) and one.now == 0
        assert same or right, one


@pytest.mark.parametrize("changed", [{"run": 1}, {"draw": 9}, {"goal": 4}, {"arm": "other"}, {"rollout": 3}])
def test_pulls_of_another_run_are_refused(task, lines, tmp_path, changed):
    experiment(task, tmp_path).resume({})
    write(tmp_path, [lines[0] | changed, *lines[1:]])
    with pytest.raises(UserError, match=r"pulls-0\.jsonl: not the log of this run .*; use another --out"):
        experiment(task, tmp_path).resume({})
