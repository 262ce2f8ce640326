"""The original's stream, draw for draw as it was recorded from the original."""

from __future__ import annotations

import re
from itertools import chain

import numpy as np
import pytest

from rl_recsys.recogym import open_world
from rl_recsys.recogym.draws import Kind
from tests.recogym_recorded import original_settings, recorded


def viewed(world):
    return [list(pair) for pair in zip(world.view_times, world.views, strict=True)]


@pytest.mark.parametrize("number", range(8))
def test_a_trace_is_played_draw_for_draw(number):
    trace = recorded("traces")[number]
    settings = original_settings(trace)
    world = open_world(settings)
    actions = np.random.RandomState(int(re.search(r"RandomState\((\d+)\)", trace["action_rule"])[1]))
    tastes, begin = [], world._begin
    world._begin = lambda: (begin(), tastes.append(getattr(world, "omega", None)))
    for user in trace["users"]:
        world.begin(user["user_id"])
        if "omega_at_reset" in user:
            assert tastes[-1] == pytest.approx(user["omega_at_reset"], abs=1e-12)
        first = user["first"]
        assert (viewed(world), world.left) == ([[pytest.approx(t), v] for t, v in first["views"]], first["done"])
        assert world.time == pytest.approx(first["t"], abs=1e-12)
        for action, reward, done, time, views, *probability in user["steps"]:
            assert actions.randint(settings.num_products) == action
            if probability:
                assert world.click_probability(action) == pytest.approx(probability[0], rel=1e-12)
                assert world.click_probabilities()[action] == pytest.approx(probability[0], rel=1e-12)
            assert world.recommend(action) == reward
            assert (world.left, world.time) == (done, pytest.approx(time))
            assert viewed(world) == [[pytest.approx(t), v] for t, v in views]
        if "omega_at_end" in user:
            assert world.omega == pytest.approx(user["omega_at_end"], abs=1e-12)
        assert user["cut"] is not world.left
    assert world._draws.uniforms(Kind.VIEW)() == trace["next_random_after_trace"]


@pytest.mark.parametrize("number", range(8))
def test_a_catalogue_is_the_originals(number):
    trace = recorded("traces")[number]
    arrays, static = open_world(original_settings(trace)).catalogue(), trace["static"]
    if trace["env"] == "v0":
        expected = {"phi": static["phi_first_row"], "click_probs": static["click_probs_first_row"]}
        for name, row in expected.items():
            assert arrays[name][0] == pytest.approx(row, rel=1e-12)
    else:
        for name, rows in (("gamma", "Gamma_first_rows"), ("beta", "beta_first_rows")):
            assert arrays[name][: len(static[rows])] == pytest.approx(np.array(static[rows]), rel=1e-12)
        for name in ("mu_organic", "mu_bandit"):
            first = static[f"{name}_first"]
            assert arrays[name][: len(first)] == pytest.approx(first, rel=1e-12)
        assert arrays["gamma"].sum() == pytest.approx(static["Gamma_sum"])
        assert np.abs(arrays["beta"]).sum() == pytest.approx(static["beta_abs_sum"])


def test_the_recorded_moves_are_those_of_the_arguments():
    for trace in recorded("traces"):
        moves = original_settings(trace).moves
        assert list(chain(*moves)) == pytest.approx(list(chain(*trace["static"]["state_transition"][:2])))


def test_the_first_user_has_the_taste_of_the_first_product_by_accident():
    trace = recorded("traces")[0]
    world = open_world(original_settings(trace))
    world._draws.begin(0)
    world._begin()
    assert world.omega == pytest.approx(trace["users"][0]["omega_at_reset"])
    assert world.omega == pytest.approx(world.catalogue()["gamma"][0])
