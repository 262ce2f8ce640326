"""The average of the weights that a learner trains, and the policy that has it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from algorithms.common.averaging import WeightAverage


def linear(value: float) -> nn.Linear:
    module = nn.Linear(2, 1)
    module.bias.requires_grad_(False)
    return set_to(module, value)


def set_to(module: nn.Linear, value: float) -> nn.Linear:
    with torch.no_grad():
        module.weight.fill_(value)
    return module


@given(values=st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=30), cut=st.integers(0, 30))
def test_later_weights_count_more_and_the_average_goes_on_from_its_state(values, cut):
    module = linear(99.0)
    average = WeightAverage(module)
    for place, value in enumerate(values):
        if place == cut:  # another process goes on
            state = pickle.loads(pickle.dumps(average.get_state()))
            average = WeightAverage(module)
            average.set_state(state)
        set_to(module, value)
        average.add()
    places = np.arange(1, len(values) + 1)
    expected = np.average(values, weights=places * (places + 1) * (places + 2))
    assert set(average.weights) == {"weight"}  # what is not trained is not averaged
    assert average.weights["weight"].numpy() == pytest.approx(expected, abs=1e-4)


def test_before_any_are_counted_it_is_the_weights_as_they_are():
    module = linear(1.0)
    average = WeightAverage(module)
    set_to(module, 2.0)  # as where a run is given the weights that it starts from
    assert (average.weights["weight"] == 2).all()
    average.add()
    kept = average.get_state()
    set_to(module, 5.0)
    average.add()
    assert (kept["mean"]["weight"] == 2).all() and 2 < average.weights["weight"][0, 0] < 5
