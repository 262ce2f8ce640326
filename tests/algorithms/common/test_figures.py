"""Figures of an iteration are of all that was logged in it, and of nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from algorithms.common.figures import MEAN, STATS, of_the_iteration, without_means
from algorithms.rollouts.episode_metrics import goals_of, log_goal

LOGGED = st.lists(st.lists(st.floats(-1e6, 1e6), max_size=5), min_size=1, max_size=3)


def loggers(count):
    root = MetricsLogger(root=True, stats_cls_lookup=STATS)
    return root, [MetricsLogger(root=False, stats_cls_lookup=STATS) for _ in range(count)]


def reduced(root, leaves, logged, kind=float):
    for leaf, values in zip(leaves, logged, strict=True):
        for value in values:
            leaf.log_value("success", kind(value), reduce=MEAN)
    root.aggregate([leaf.reduce(compile=False) for leaf in leaves], key="env_runners")
    return root.reduce(compile=True).get("env_runners", {}).get("success", math.nan)


def test_two_workers_with_unequal_numbers_of_episodes():
    logged = [1] * 11 + [0] * 2, [1] * 7 + [0] * 3
    assert reduced(*loggers(2), logged) == pytest.approx(18 / 23)


@pytest.mark.parametrize("kind", [float, torch.tensor])
@given(iterations=st.lists(LOGGED, min_size=1, max_size=3))
def test_each_iteration_is_the_mean_of_its_own(kind, iterations):
    workers = max(map(len, iterations))
    root, leaves = loggers(workers)
    for logged in iterations:
        logged = logged + [[]] * (workers - len(logged))
        values = [value for each in logged for value in each]
        found = reduced(root, leaves, logged, kind)
        if values:
            assert found == pytest.approx(np.mean(values), rel=1e-4, abs=0.1)
        else:
            assert math.isnan(found)


def test_what_is_no_number_is_left_out_unless_there_is_nothing_else():
    assert reduced(*loggers(2), [[1.0, math.nan], [2.0]]) == 1.5
    assert math.isnan(reduced(*loggers(2), [[math.nan], []]))
    assert math.isinf(reduced(*loggers(2), [[1.0, math.inf], [2.0]]))


def test_what_rllib_reports_of_other_iterations_is_left_out():
    figures = {"success": 0.5, "num_episodes": 3, "episode_return_mean": 0.2, "env_step_timer": 1.0, "agent_steps": {}}
    assert dict(of_the_iteration("env_runners", figures)) == {"success": 0.5, "num_episodes": 3.0}
    figures = {"dpo_loss": torch.tensor(0.7), "encoder_learning_rate": 1e-4, "learning_rate/encoder": 2e-4}
    kept = dict(of_the_iteration("learners", figures))
    assert kept == {"dpo_loss": pytest.approx(0.7), "learning_rate/encoder": 2e-4}


def test_the_goals_of_an_iteration_are_as_many_as_were_logged():
    """RLlib makes a number of a list of one."""
    for goals in ([], ["a"], ["a", "b", "a"]):
        logger = MetricsLogger(root=True, stats_cls_lookup=STATS)
        logger.log_value("other", 1.0, reduce=MEAN)
        for goal in goals:
            log_goal(logger, (), goal)
        found = goals_of(logger.reduce(compile=True))
        assert len(found) == len(goals) and len(set(found)) == len(set(goals))


def test_a_mean_of_an_earlier_version_does_not_stay():
    before, after = (MetricsLogger(root=False, stats_cls_lookup=STATS) for _ in range(2))
    before.log_value(("module", "loss"), 1.0, window=50)
    before.log_value(("module", "updates"), 3.0, reduce="lifetime_sum")
    after.set_state(without_means(before.get_state()))
    after.log_value(("module", "loss"), 5.0, reduce=MEAN)
    kinds = {name: each["stats_cls_identifier"] for name, each in after.get_state()["stats"].items()}
    assert kinds == {"module--loss": MEAN, "module--updates": "lifetime_sum"}
