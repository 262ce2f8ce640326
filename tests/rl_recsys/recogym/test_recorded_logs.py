"""Logs and evaluations as they were recorded from the original, all of its accidents in."""

from __future__ import annotations

import math

import pytest

from rl_recsys.recogym import open_world
from rl_recsys.recogym.agents import BanditCount, LogisticAgent, OrganicCount, OrganicUserCount, RandomAgent
from rl_recsys.recogym.evaluation import evaluate_as_original
from rl_recsys.recogym.logs import NONE, generate_logs
from tests.recogym_recorded import original_settings, recorded

AGENTS = {
    "RandomAgent": lambda products, seed: RandomAgent(products, seed),
    "OrganicCount": lambda products, _: OrganicCount(products),
    "OrganicUserEventCounterAgent": lambda products, seed: OrganicUserCount(products, seed, draws=True),
    "BanditCount": lambda products, _: BanditCount(products, original=True),
    "LogregPolyAgent": lambda products, _: LogisticAgent(products, original=True),
}


@pytest.mark.parametrize("number", range(2))
def test_a_log_has_the_originals_rows(number):
    record = recorded("logs")[number]
    log = generate_logs(
        open_world(original_settings(record)),
        record["num_offline_users"],
        organic_users=record["num_organic_offline_users"],
    )
    rows = zip(log.t, log.u, log.v, log.a, log.c, log.ps, strict=True)
    told = [
        [t, u, "organic" if v != NONE else "bandit", *(None if each == NONE else each for each in (v, a, c)), ps]
        for t, u, v, a, c, ps in rows
    ]
    assert [row[:-1] for row in told] == [row[:-1] for row in record["rows"]]
    for row, expected in zip(told, record["rows"], strict=True):
        assert math.isnan(row[-1]) if expected[-1] is None else row[-1] == pytest.approx(expected[-1])


@pytest.mark.parametrize("number", range(8))
def test_an_evaluation_has_the_originals_interval(number):
    record = recorded("test_agent")[number]
    settings = original_settings(record)
    agent = AGENTS[record["agent"]](settings.num_products, record["agent_args"].get("random_seed"))
    interval = evaluate_as_original(
        open_world(settings),
        agent,
        offline_users=record["num_offline_users"],
        online_users=record["num_online_users"],
        organic_offline_users=record["num_organic_offline_users"],
        epochs=record.get("num_epochs", 1),
        epoch_with_random_reset=record.get("epoch_with_random_reset", False),
    )
    assert interval == pytest.approx(record["result_median_lo_hi"], rel=1e-9)
