from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_recsys.evaluation.comparison import arm_result, comparison_table
from rl_recsys.evaluation.intervals import (
    bootstrap_interval,
    difference_interval,
    mcnemar,
    mean_interval,
    wilson_interval,
)


def test_wilson_against_a_textbook_value():
    # Newcombe 1998, table I: 81 of 263
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0, 20)[0] == 0.0 and wilson_interval(20, 20)[1] == 1.0


@given(st.integers(0, 200), st.integers(1, 200))
def test_wilson_holds_the_rate(successes, trials):
    successes = min(successes, trials)
    low, high = wilson_interval(successes, trials)
    assert 0 <= low <= successes / trials + 1e-12 and successes / trials - 1e-12 <= high <= 1


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (3, 2), (-1, 5)])
def test_wilson_refuses_nonsense(successes, trials):
    with pytest.raises(ValueError, match="successes of"):
        wilson_interval(successes, trials)


def test_the_bootstrap_covers_the_mean_of_the_goals_about_19_times_in_20():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        low, high = bootstrap_interval([rng.random(100) < 0.6])
        covered += low <= 0.6 <= high
    assert covered >= 52


def test_the_bootstrap_widens_when_seeds_disagree():
    same, apart = np.tile([[1.0, 0.0]], (3, 50)), np.repeat([[1.0], [0.5], [0.0]], 100, axis=1)
    narrow, wide = bootstrap_interval(same), bootstrap_interval(apart)
    assert wide[1] - wide[0] > narrow[1] - narrow[0]
    with pytest.raises(ValueError, match="expected values"):
        bootstrap_interval([1.0, 2.0])


def test_goals_of_one_product_are_drawn_together():
    rng = np.random.default_rng(0)
    products = np.repeat(np.arange(20), 25)
    values = (rng.random(20) < 0.6)[products].astype(float)[None]  # all goals of a product go alike
    goals, grouped = bootstrap_interval(values), bootstrap_interval(values, products)
    of_products = bootstrap_interval(values[:, ::25])
    assert grouped == pytest.approx(of_products, abs=0.03)
    assert grouped[1] - grouped[0] > 3 * (goals[1] - goals[0])
    assert bootstrap_interval(values, range(500)) == pytest.approx(goals, abs=0.01)
    # A product's weight is the number of its goals, as in the mean that is reported.
    few, many = [0.0] * 4, [1.0] * 96
    low, high = bootstrap_interval([few + many], [0] * 4 + [1] * 96)
    assert (low, high) == pytest.approx((0.0, 1.0))
    with pytest.raises(ValueError, match="3 groups of 500 goals"):
        bootstrap_interval(values, list("abc"))
    narrow, wide = difference_interval(values * 0, 1.0), difference_interval(values * 0, 1.0, products)
    assert narrow == (-3 / 500, 3 / 500) and wide == (-3 / 20, 3 / 20)


def test_an_interval_reaches_what_was_not_met_and_where_seeds_may_lie():
    none, all_of = np.zeros((3, 500)), np.ones((2, 500))
    products = np.repeat(np.arange(20), 25)
    assert mean_interval(none) == (0.0, 3 / 500) and mean_interval(all_of) == (1 - 3 / 500, 1.0)
    assert mean_interval(none, products) == (0.0, 3 / 20)
    assert mean_interval([[0.0, 0.0]]) == (0.0, 1.0)
    rng = np.random.default_rng(0)
    seeds = (rng.random((3, 400)) < np.array([[0.5], [0.6], [0.7]])).astype(float)
    low, high = mean_interval(seeds)
    narrow = bootstrap_interval(seeds)
    assert low < narrow[0] < narrow[1] < high
    assert 0.5 * (low + high) == pytest.approx(seeds.mean())
    covered = 0
    for _ in range(60):  # seeds differ by chance with a standard deviation of 6 points
        low, high = mean_interval(rng.random((3, 200)) < rng.normal(0.6, 0.06, (3, 1)))
        covered += low <= 0.6 <= high
    assert covered >= 52


def test_an_arms_row():
    result = arm_result("dpo", [[1.0, 0.5], [1.0, 1.0]], [[5, 6], [7, 8]], [10.0, 12.0])
    assert (result.score, result.success, result.steps, result.episodes) == (87.5, 0.75, 6.5, 4)
    assert (result.training_minutes, result.seeds) == (11.0, (0.5, 1.0))
    assert "| dpo | 87.5 (" in comparison_table([result], "").to_markdown()
    one, same = ([[1.0] * 50 + [0.5] * 50] for _ in range(2))
    alone = arm_result("dpo", one, np.ones((1, 100)))
    assert alone.success_interval[0] <= wilson_interval(50, 100)[0]
    grouped = arm_result("dpo", one, np.ones((1, 100)), against=same, products=["a"] * 50 + ["b"] * 50)
    assert grouped.success_interval == pytest.approx((0.0, 1.0))
    assert grouped.score_interval == pytest.approx((50.0, 100.0))
    assert grouped.gain_interval == pytest.approx((-1.5, 1.5))  # two products say nothing


def test_a_gain_is_paired_by_goal_and_seed():
    rng = np.random.default_rng(0)
    hard = rng.random(400) < 0.5  # the goals differ far more than the arms do
    base = np.array([hard * 1.0, hard * 1.0])
    better = np.array([np.where(rng.random(400) < 0.05, 1.0, base[0]) for _ in range(2)])
    result = arm_result("dpo", better, np.ones((2, 400)), against=base)
    assert result.gain == pytest.approx((better - base).mean())
    low, high = result.gain_interval
    assert 0 < low < result.gain < high
    assert high - low < (result.success_interval[1] - result.success_interval[0]) / 2
    assert f"| {100 * result.gain:+.1f} (" in comparison_table([result], "").to_markdown()
    assert "| - |" in comparison_table([arm_result("first", base, base)], "").to_markdown()
    with pytest.raises(ValueError, match="cannot be paired"):
        arm_result("dpo", better, np.ones((2, 400)), against=base[:1])


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_mcnemar_counts_the_pairs_that_differ(pairs):
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    p = mcnemar(one, other)
    assert 0 <= p <= 1 and p == mcnemar(other, one)
    assert p == mcnemar([*one, True, False], [*other, True, False])
    only = sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)
    few, all_of = min(only), sum(only)
    tail = sum(math.comb(all_of, k) for k in range(few + 1)) / 2**all_of
    assert p == pytest.approx(min(1.0, 2 * tail))
    with pytest.raises(ValueError, match="no pairs"):
        mcnemar([True], [])
