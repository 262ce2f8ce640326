"""Advantages beside a group, worked out by hand, and what must hold for any returns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.common.advantages import (
    discounted_returns,
    group_in_group_advantages,
    group_relative_advantages,
)


def test_returns_by_hand():
    assert discounted_returns(np.array([1.0, 0.0, 2.0]), 0.5).tolist() == [1.5, 1.0, 2.0]
    assert discounted_returns(np.array([0.0, 0.0, 1.0]), 1.0).tolist() == [1.0, 1.0, 1.0]


def test_grpo_by_hand():
    # Group 7: 1, 0, 0.5, mean 0.5, deviation the root of (0.25 + 0.25 + 0) / 2. Group 3: 4, 0, mean 2, root of 8 / 1.
    returns, groups = np.array([1.0, 4.0, 0.0, 0.0, 0.5]), np.array([7, 3, 7, 3, 7])
    assert group_relative_advantages(returns, groups, standardise=False).tolist() == [0.5, 2.0, -0.5, -2.0, 0.0]
    expected = [1.0, 2 / 8**0.5, -1.0, -2 / 8**0.5, 0.0]
    assert group_relative_advantages(returns, groups, standardise=True).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("standardise", [False, True])
def test_a_group_without_a_difference_says_nothing(standardise):
    """The mean of three times 0.1 is not 0.1; the rest must not be divided by itself."""
    assert np.mean([0.1] * 3) != 0.1
    found = group_relative_advantages(np.array([0.1] * 3 + [5.0]), np.array([0, 0, 0, 1]), standardise=standardise)
    assert found.tolist() == [0.0] * 4


#: Returns in eighths, of which a shift and a scale below change no order and no tie.
RETURNS = st.lists(st.tuples(st.integers(0, 8).map(lambda n: n / 8), st.integers(0, 3)), min_size=1, max_size=20)


@given(RETURNS, st.integers(-5, 5), st.sampled_from([0.5, 2.0, 8.0]))
def test_only_the_place_within_the_group_counts(rows, shift, scale):
    returns, groups = (np.array(column) for column in zip(*rows, strict=True))
    found = group_relative_advantages(returns, groups, standardise=True)
    for group in set(groups):
        own = found[groups == group]
        assert own.mean() == pytest.approx(0.0, abs=1e-9)
        if len(set(returns[groups == group])) > 1:
            assert own.std(ddof=1) == pytest.approx(1.0)
    other = group_relative_advantages(returns * scale + shift * (groups + 1), groups, standardise=True)
    assert other.tolist() == pytest.approx(found.tolist())


def test_gigpo_by_hand():
    """Two episodes of goal 0, from one search: a good product at once, or a bad one first. One of goal 1 by itself."""
    found = group_in_group_advantages(
        np.array([1.0, 0.0, 1.0]), np.array([0, 0, 1]),
        # search, buy | search, look, buy | search
        np.array([0.9, 1.0, 0.0, 0.0, 0.0, 1.0]), np.array([0, 0, 1, 1, 1, 2]),
        ["home", "good", "home", "list", "bad", "home"], step_weight=2.0, standardise=False,
    )  # fmt: skip
    # Episodes: +-0.5. "home" of goal 0: +-0.45; all other states were left once, and goal 1's home is another.
    assert found.tolist() == pytest.approx([0.5 + 0.9, 0.5, -0.5 - 0.9, -0.5, -0.5, 0.0])


def test_gigpo_tells_the_steps_of_one_episode_apart_where_a_state_comes_again():
    found = group_in_group_advantages(
        np.array([1.0, 1.0]), np.array([0, 0]), np.array([0.81, 0.9, 1.0, 1.0]), np.array([0, 0, 0, 1]),
        ["home", "away", "home", "home"], step_weight=1.0, standardise=True,
    )  # fmt: skip
    mean, deviation = np.mean([0.81, 1, 1]), np.std([0.81, 1, 1], ddof=1)
    late = (1 - mean) / deviation
    assert found.tolist() == pytest.approx([(0.81 - mean) / deviation, 0.0, late, late])


@given(RETURNS)
def test_gigpo_without_steps_is_grpo(rows):
    returns, groups = (np.array(column) for column in zip(*rows, strict=True))
    steps = np.repeat(np.arange(len(rows)), 2)
    found = group_in_group_advantages(
        returns, groups, returns[steps], steps, ["home"] * len(steps), step_weight=0.0, standardise=True
    )
    assert found.tolist() == group_relative_advantages(returns, groups, standardise=True)[steps].tolist()
