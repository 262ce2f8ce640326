"""The linear layer that oneDNN computes, beside PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from policies.bert import linear
from policies.bert.linear import Linear

SIZES = st.integers(1, 70)


@pytest.fixture(autouse=True, scope="module")
def with_onednn():
    """Whatever is faster here, oneDNN's products are tried."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(linear, "onednn_pays", lambda: True)
        yield


def both(inputs, outputs, given, **autocast):
    """[(values, gradients of what was given, the weight and the bias)] of PyTorch's layer and of ours."""
    torch.manual_seed(0)
    plain, ours = nn.Linear(inputs, outputs), Linear(inputs, outputs)
    ours.load_state_dict(plain.state_dict())
    found = []
    for layer in (plain, ours):
        asked = given.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bool(autocast)):
            values = layer(asked)
        values.float().square().sum().backward()
        found.append((values.detach(), asked.grad, layer.weight.grad, layer.bias.grad))
    return found


@given(SIZES, SIZES, st.lists(st.integers(0, 9), min_size=1, max_size=3), st.booleans())
def test_values_and_gradients_are_those_of_pytorch(inputs, outputs, rows, transposed):
    asked = torch.randn(*rows, inputs)
    if transposed:  # a view that is not contiguous
        asked = torch.randn(inputs, *reversed(rows)).permute(*reversed(range(len(rows) + 1)))
    for expected, found in zip(*both(inputs, outputs, asked), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@given(st.integers(1, 5000))
def test_rows_come_in_few_numbers(count):
    rows = linear.with_round_rows(torch.ones(count, 1))
    assert rows.sum() == count and (rows[:count] == 1).all()
    assert len(rows) % linear.ROWS == 0 and len(rows) - count < max(linear.ROWS, count / 8)


def test_a_gradient_that_nobody_asks_for_is_not_computed(monkeypatch):
    products = []
    product = linear.onednn_linear
    monkeypatch.setattr(linear, "onednn_linear", lambda *of: products.append(of) or product(*of))
    layer = Linear(4, 3)
    layer.weight.requires_grad_(False)
    layer(torch.randn(2, 4)).sum().backward()
    assert len(products) == 1  # the values
    assert layer.weight.grad is None and layer.bias.grad is not None


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_are_left_to_pytorch(dtype):
    layer = Linear(5, 3).to(dtype)
    asked = torch.randn(2, 5, dtype=dtype)
    torch.testing.assert_close(layer(asked), nn.functional.linear(asked, layer.weight, layer.bias))


def test_under_autocast_it_is_pytorchs():
    for expected, found in zip(*both(8, 4, torch.randn(6, 8), bfloat16=True), strict=True):
        assert torch.equal(found, expected)
    assert both(8, 4, torch.randn(6, 8), bfloat16=True)[1][0].dtype is torch.bfloat16
