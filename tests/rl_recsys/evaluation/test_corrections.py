from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_recsys.evaluation.corrections import holm, pocock_level
from rl_recsys.evaluation.intervals import difference_interval, difference_p


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_rejects_what_its_steps_reject(p_values):
    """Stepping from the smallest p: each is compared with level / those left, until one is not below."""
    adjusted = holm(p_values)
    assert all(p <= found <= 1 for p, found in zip(p_values, adjusted, strict=True))
    for level in (0.01, 0.05, 0.3):
        rejected = set()
        for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
            if not p_values[place] * (len(p_values) - rank) < level:
                break
            rejected.add(place)
        assert {place for place, p in enumerate(adjusted) if p < level} == rejected


@pytest.mark.parametrize("looks, published", [(1, 0.05), (2, 0.0294), (3, 0.0221), (4, 0.0182), (5, 0.0158)])
def test_levels_of_looks_are_pococks(looks, published):
    assert pocock_level(looks, 0.05) == pytest.approx(published, abs=5e-5)


def test_looks_together_have_the_level():
    rng = np.random.default_rng(0)
    sums = rng.normal(size=(200_000, 4)).cumsum(1)
    largest = np.abs(sums / np.sqrt(range(1, 5))).max(1)
    bound = NormalDist().inv_cdf(1 - pocock_level(4, 0.01) / 2)
    assert (largest > bound).mean() == pytest.approx(0.01, abs=0.001)
    with pytest.raises(ValueError, match="0 looks"):
        pocock_level(0, 0.05)


def test_a_p_value_and_the_interval_agree():
    rng = np.random.default_rng(0)
    settled = 0
    for number in range(40):
        seeds, groups = 1 + number % 4, 40
        table = (rng.random((seeds, groups)) < 0.35).astype(float) - (rng.random((seeds, groups)) < 0.2)
        if number % 5 == 0:
            table = np.abs(table) * (rng.random((seeds, groups)) < 0.3)  # no pair speaks for the other side
        null = (-0.02, 0.0, 0.05)[number % 3]
        low, high = difference_interval(table, 1.0)
        p = difference_p(table, 1.0, null=null)
        outside = not low <= null <= high
        assert 0 < p <= 1 and (p < 0.0495) <= outside <= (p < 0.0505), (number, low, high, null, p)
        settled += outside
    assert 5 < settled < 35


def test_no_difference_has_no_p_below_one():
    assert difference_p(np.zeros((3, 50)), 1.0) == 1.0
