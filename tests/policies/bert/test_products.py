"""The form of product that a policy is computed with is the machine's fastest, by a measurement."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from policies.bert import products
from policies.bert.linear import Linear
from policies.bert.products import BFLOAT16, CLEARLY, MKL, ONEDNN


@pytest.mark.parametrize(
    ("rates", "onednn", "bfloat16"),
    [
        ({MKL: 105.0, ONEDNN: 225.0, BFLOAT16: 410.0}, True, True),  # a Zen 5
        ({MKL: 150.0, ONEDNN: 140.0, BFLOAT16: 75.0}, False, False),  # an Intel that says it has bfloat16
        ({MKL: 130.0, ONEDNN: 125.0, BFLOAT16: 1200.0}, False, True),  # one with AMX
        ({MKL: 100.0, ONEDNN: 100.0 * CLEARLY - 1}, False, False),
        ({MKL: 100.0, ONEDNN: 100.0 * CLEARLY, BFLOAT16: 180.0}, True, False),
        ({MKL: 100.0}, False, False),
    ],
)
def test_the_clearly_faster_form_is_taken(monkeypatch, rates, onednn, bfloat16):
    monkeypatch.setattr(products, "product_rates", lambda: rates)
    assert (products.onednn_pays(), products.bfloat16_pays()) == (onednn, bfloat16)


def test_the_machine_is_measured_once_and_left_as_it_was():
    threads = torch.get_num_threads()
    products.product_rates.cache_clear()
    rates = products.product_rates()
    assert rates is products.product_rates()
    assert MKL in rates and all(rate > 0 for rate in rates.values())
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("pays", [True, False])
def test_a_linear_layer_is_computed_as_the_measurement_says(monkeypatch, pays):
    asked = []
    monkeypatch.setattr("policies.bert.linear.onednn_pays", lambda: pays)
    monkeypatch.setattr(
        "policies.bert.linear.onednn_linear", lambda *of: asked.append(of) or nn.functional.linear(of[0], *of[1:])
    )
    Linear(4, 3)(torch.randn(2, 4))
    assert bool(asked) == pays
