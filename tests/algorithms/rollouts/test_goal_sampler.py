"""Which goals are rolled out next."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.rollouts.goal_sampler import SEED_STRIDE, ContestedGoals, GoalsInTurn, Shuffled, later_seed
from algorithms.rollouts.groups import RolloutGroups
from rl_recsys.console.ranges import SEED

GOALS = st.lists(st.integers(0, 10_000), min_size=1, max_size=12, unique=True)


@given(goals=GOALS, seed=st.integers(0, 9), taken=st.integers(0, 40))
def test_every_item_comes_once_a_pass_and_the_order_goes_on_from_a_state(goals, seed, taken):
    order = Shuffled(goals, seed)
    found = [next(order) for _ in range(3 * len(goals))]
    for start in range(0, len(found), len(goals)):
        assert sorted(found[start : start + len(goals)]) == sorted(goals)
    first, resumed = Shuffled(goals, seed), Shuffled(goals, seed)
    for _ in range(taken):
        next(first)
    resumed.set_state(first.get_state())
    assert [next(first) for _ in range(20)] == [next(resumed) for _ in range(20)]
    in_turn = GoalsInTurn(goals, seed)
    assert [next(in_turn) for _ in found] == [(goal, True) for goal in found]


def test_nothing_cannot_be_shuffled():
    with pytest.raises(ValueError, match="there is no item"):
        ContestedGoals([], 0)


@given(goals=GOALS, data=st.data(), ahead=st.integers(1, 5))
def test_every_other_goal_is_a_contested_one_while_there_are_any(goals, data, ahead):
    order, in_turn = ContestedGoals(goals, 0), GoalsInTurn(goals, 0)
    waiting, given_out = [], []
    for asked in range(60):
        expected = (waiting.pop(0), False) if asked % 2 == 0 and waiting else next(in_turn)
        given_out.append(next(order))
        assert given_out[-1] == expected
        if asked >= ahead:  # other goals are asked for before the episodes of one come
            goal, unequal = given_out[asked - ahead].goal, data.draw(st.booleans())
            order.played(goal, unequal=unequal)
            waiting = [one for one in waiting if one != goal or unequal]
            waiting += [goal] if unequal and goal not in waiting else []
    resumed = ContestedGoals(goals, 0)
    resumed.set_state(order.get_state())
    assert [next(order) for _ in range(9)] == [next(resumed) for _ in range(9)]


def test_a_contested_goal_comes_again_until_its_episodes_end_alike():
    order = ContestedGoals(range(100), 0)
    first = next(order).goal
    order.played(first, unequal=True)
    assert [next(order) for _ in range(4)].count((first, False)) == 1
    order.played(first, unequal=True)
    order.played(first, unequal=True)  # twice, as where it was asked for twice
    assert [next(order) for _ in range(4)].count((first, False)) == 1
    order.played(first, unequal=True)
    order.played(first, unequal=False)
    assert (first, False) not in [next(order) for _ in range(40)]


@given(seed=st.integers(0, 2**31 - 1), parts=st.integers(0, 10**6))
def test_a_run_may_go_on_however_often(seed, parts):
    assert later_seed(seed, parts) in SEED
    assert later_seed(7, parts % 2000) == 7 + SEED_STRIDE * (parts % 2000)


class Asked(RolloutGroups):
    """Groups that note the seeds that they ask workers to play with."""

    def _play(self, worker: str, goal: int, seed: int) -> None:
        self.seeds = [*getattr(self, "seeds", []), seed]


@given(seed=st.integers(0, 2**31 - 1), taken=st.integers(0, 10**7))
def test_groups_are_played_with_seeds_that_differ_and_fit(seed, taken):
    workers = ["a", "b"]
    groups = Asked(workers, "policy", GoalsInTurn([1, 2, 3], seed), 4, seed)
    groups.set_state({"taken": taken, "asked": [], "goals": {"given": taken}})
    for _ in range(10):
        groups._ask()
    assert all(one in SEED for one in groups.seeds) and len(set(groups.seeds)) == 10
    # RLlib adds to a seed: a million where a worker evaluates, and the worker's number.
    np.random.RandomState(max(groups.seeds) + 1_000_000 + 100_000)
