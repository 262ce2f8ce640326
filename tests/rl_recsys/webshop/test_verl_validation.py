"""verl-agent's validations: the goals that its code draws."""

from __future__ import annotations

import random

import numpy as np
import pytest

from rl_recsys.webshop.goals.verl_validation import FIRST, training_goals, validation_goals


def drawn_as_its_code_does(names: list[str], call: int, seed: int) -> list[str]:
    """The goals of a validation, worker by worker, by the global generators that its workers use."""
    numpy_state = np.random.RandomState(1000 + seed)
    for _ in range(call + 1):
        places = numpy_state.choice(range(500), size=128, replace=False)
    found = []
    for worker, place in enumerate(places):
        goals = list(names)
        random.seed(1000 + seed + worker)
        random.shuffle(goals)
        found.append(goals[place])
    return found


@pytest.mark.parametrize(("call", "seed"), [(0, 0), (2, 7)])
def test_goals_are_those_that_a_worker_of_its_code_meets(call, seed):
    made = [f"goal {number}" for number in range(700)]  # in the order in which a shop's goals are made
    ours = list(made)
    random.seed(233)
    random.shuffle(ours)  # WebShop's order, which indexes this project's goals
    found = validation_goals(700, call + 1, seed=seed)[call]
    assert [ours[goal] for goal in found] == drawn_as_its_code_does(made, call, seed)


def test_of_the_real_goals_none_is_held_out():
    """The figures that a replay of verl-agent's code gave for the 6,910 goals of the 1,000 products."""
    drawn, trainable = validation_goals(6910, 31), training_goals(6910)
    assert len(set(drawn[0])) == 125 and len(trainable) == 6910
    assert len({goal for goals in drawn[1:] for goal in goals}) == 2906


def test_a_shop_needs_goals_beyond_those_for_validation():
    assert len(training_goals(FIRST + 1)) > 0
    with pytest.raises(ValueError, match="500 goals"):
        validation_goals(FIRST, 1)
