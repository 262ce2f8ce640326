"""The original's networks and stream, page by page as they were recorded from the original."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from rl_recsys.virtual_taobao import Settings, World
from rl_recsys.virtual_taobao.agents import Program
from rl_recsys.virtual_taobao.evaluation import compare_arms
from rl_recsys.virtual_taobao.networks import CUSTOMER, FEATURES, GROUPS, ITEM_ATTRIBUTES
from rl_recsys.virtual_taobao.weights import PUBLISHED
from tests.virtual_taobao_recorded import published, recorded

PLACE = np.zeros(1, int)


def features(users):
    one_hot = np.zeros((len(users), FEATURES), np.float32)
    for row, user in zip(one_hot, users, strict=True):
        row[np.array(user) + CUSTOMER.starts] = 1
    return one_hot


def test_the_networks_say_what_the_originals_say():
    networks = published().networks
    record = recorded("generator")
    categories = networks.categories(np.array([each["z"] for each in record], np.float32))
    for place, each in enumerate(record):
        told = np.concatenate([categories[group, :size, place] for group, size in enumerate(GROUPS)])
        assert told == pytest.approx(np.array(each["p"]), abs=1e-5)
    record = recorded("leave")
    told = networks.leave_pages(features([each["user"] for each in record]))[0].T
    assert told == pytest.approx(np.array([each["p"] for each in record]), abs=1e-4)  # has four digits
    record = recorded("action")
    begun = networks.begun(features([each["user"] for each in record]))
    actions = np.array([each["action"] for each in record], np.float32)
    clicks, seconds = networks.answers(begun, np.array([each["page"] for each in record]), actions)
    assert pytest.approx(np.array([each["p_clicks"] for each in record]), abs=1e-5) == clicks.T
    assert pytest.approx(np.array([each["p_b"] for each in record]), abs=1e-5) == seconds[:10].T
    assert not seconds[10].any()


@pytest.mark.parametrize("number", range(3))
def test_a_trace_is_played_page_by_page(number):
    trace, weights = recorded("traces")[number], published()
    world = World(Settings(weights="published", random_seed=trace["seed"], stream="original"), weights=weights)
    for episode in trace["episodes_data"]:
        world.begin(PLACE, PLACE)
        assert world.categories[0].tolist() == episode["user"]
        assert world.leave_pages[0] == episode["leave"]
        for step in episode["steps"]:
            before = copy.deepcopy(world._draws)
            clicks = world.show(np.array([step.get("a", [0.0] * ITEM_ATTRIBUTES)]))
            assert (clicks[0], world.left[0]) == (step["r"], step["done"])
            assert world.clicks[0] / world.pages[0] / 10 == step["ctr"]
            seen = world.observation()[0]
            assert (np.flatnonzero(seen[:FEATURES]) - CUSTOMER.starts).tolist() == episode["user"]
            assert seen[FEATURES:].tolist() == [*world.answers[0], world.pages[0]]
            if not step["done"]:
                assert seen[FEATURES:].tolist() == step["tail"]
                continue
            # The original shows the next customer here, whom it never serves: ours has left that one's draws out.
            before.answers(PLACE, PLACE, np.ones((2, 11, 1), np.float32))
            unmet = before.categories(PLACE, weights.networks.categories(before.noise(PLACE)))
            assert unmet[0].tolist() == step["next_user_in_terminal_observation"]
            assert step["tail"] == [0, 0, world.pages[0]]
    assert world._draws._stream.floats(2)[0] == trace["next_rand_after"]


def test_one_constant_action_earns_nearly_all_clicks():
    weights, record = published(), recorded("constant_action")
    assert weights.fingerprint == PUBLISHED and weights.called == "the published networks"
    world = World(Settings(weights="published"), 2000, weights=weights)
    world.begin(np.arange(2000), np.arange(2000))
    agent = Program(np.array(record["action"]))
    while not world.left.all():
        world.show(agent.act(world))
    low, high = record["replica_20000_episodes"]["ctr_95"]
    assert low - 0.0003 < world.clicks.sum() / world.pages.sum() / 10 < high + 0.0003
    assert world.pages.mean() == pytest.approx(record["replica_20000_episodes"]["mean_len"], abs=0.6)


def test_boredom_makes_a_constant_worth_little(monkeypatch):
    weights, record = published(), recorded("constant_action")
    monkeypatch.setattr("rl_recsys.virtual_taobao.evaluation.open_weights", lambda _: weights)
    settings = Settings(weights="published", leave_when_bored=True)
    results = compare_arms(settings, {}, customers=200, constant=Program(np.array(record["action"])))
    assert results["best constant"].pages.max() == 2
    assert results["best constant"].clicks.mean() < 21
