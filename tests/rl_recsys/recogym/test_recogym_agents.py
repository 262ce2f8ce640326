"""Baselines, in users of the paired stream."""

from __future__ import annotations

import numpy as np
import pytest

from rl_recsys.evaluation.intervals import beta_interval, ratio_interval
from rl_recsys.recogym import LatentSettings, SettingsError, open_world
from rl_recsys.recogym.agents import BanditCount, Oracle, OrganicUserCount, RandomAgent
from rl_recsys.recogym.evaluation import compare_arms, evaluate_as_original
from rl_recsys.recogym.logistic import ClickRegression
from rl_recsys.recogym.logs import NONE, generate_logs

ARMS = {
    "random": lambda world: RandomAgent(world.settings.num_products),
    "most seen": lambda world: OrganicUserCount(world.settings.num_products),
    "bandit": lambda world: BanditCount(world.settings.num_products),
    "truth": Oracle,
}


def test_arms_are_between_chance_and_the_truth():
    results = compare_arms(LatentSettings(random_seed=42), ARMS, offline_users=60, online_users=120)
    rates = {name: result.rate for name, result in results.items()}
    assert rates["random"] < min(rates["most seen"], rates["truth"])
    assert rates["truth"] > rates["random"] + 0.004
    for result in results.values():
        assert result.interval[0] < result.rate < result.interval[1]
    # A user's timeline is everybody's until a click: without one, as many recommendations.
    none = np.logical_and.reduce([result.clicks == 0 for result in results.values()])
    lengths = np.array([result.recommendations for result in results.values()])
    assert none.any() and (lengths[:, none] == lengths[0, none]).all()


def test_arms_need_the_paired_stream():
    with pytest.raises(SettingsError, match="different users"):
        compare_arms(LatentSettings(stream="original"), ARMS, offline_users=1, online_users=1)


def test_the_oracle_reads_the_world_that_it_plays_in():
    world = open_world(LatentSettings(random_seed=42, stream="original"))
    chosen = []
    act = Oracle.act

    class Watched(Oracle):
        def act(self, views):
            product, propensity = act(self, views)
            chosen.append(product == world.click_probabilities().argmax())
            return product, propensity

    evaluate_as_original(world, Watched(world), offline_users=3, online_users=10)
    assert len(chosen) > 100 and all(chosen)


def test_a_phantom_row_is_one_more_recommendation_a_user():
    plain = generate_logs(open_world(LatentSettings()), 50)
    phantom = generate_logs(open_world(LatentSettings(quirks=["phantom_rows"])), 50)
    assert phantom.recommendations == plain.recommendations + 50
    assert phantom.clicks == plain.clicks
    assert [v for v in phantom.v if v != NONE] == [v for v in plain.v if v != NONE]


def test_more_users_than_16_bits_are_refused_under_the_quirk_alone():
    with pytest.raises(SettingsError, match="65,535"):
        generate_logs(open_world(LatentSettings(quirks=["user_limit"])), 2, first_user=65_535)
    assert set(generate_logs(open_world(LatentSettings()), 2, first_user=65_535).u) == {65_535, 65_536}


def test_leaving_after_a_recommendation_has_a_probability_of_its_own():
    arguments = {"prob_leave_bandit": 0.2, "prob_leave_organic": 0.05}
    assert LatentSettings(**arguments).moves[1] == pytest.approx((0.05, 0.75, 0.2))
    assert LatentSettings(**arguments, quirks=["prob_leave_bandit"]).moves[1] == pytest.approx((0.05, 0.9, 0.05))


def test_without_the_accident_the_first_user_is_no_product():
    tastes = []
    for quirks in ((), ("first_taste",)):
        world = open_world(LatentSettings(stream="original", quirks=quirks))
        world._begin()
        tastes.append(np.allclose(world.omega, world.catalogue()["gamma"][0]))
    assert tastes == [False, True]


def test_a_regression_is_at_the_least_of_its_loss():
    rng = np.random.default_rng(0)
    views, products = rng.poisson(1.0, (400, 4)).astype(float), rng.integers(0, 4, 400)
    clicks = rng.random(400) < 1 / (1 + np.exp(2 - views[np.arange(400), products]))
    model = ClickRegression(np.ones(4)).fit(views, products, clicks.astype(int))

    def loss(weights):
        one = np.eye(4)[products]
        columns = np.column_stack([np.ones(400), views, one, (one[:, :, None] * views[:, None, :]).reshape(400, -1)])
        logits = columns @ weights
        return (np.logaddexp(0, logits) - clicks * logits).sum() + (weights[1:] ** 2).sum() / 2

    least = loss(model._weights)
    for place in range(len(model._weights)):
        for change in (-1e-3, 1e-3):
            moved = model._weights.copy()
            moved[place] += change
            assert loss(moved) > least
    scores = model.scores(np.array([0.0, 3.0, 0.0, 0.0]))
    assert scores.argmax() == 1


def test_intervals_of_a_rate():
    assert beta_interval(2, 42) == pytest.approx((0.0617, 0.0146, 0.1581), abs=1e-4)
    assert ratio_interval(np.array([1, 0, 1, 0]), np.array([2, 2, 2, 2])) == pytest.approx((0.25 - 0.245, 0.25 + 0.245))
