"""What torch_compat assumes of torch, asked of torch itself."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch.nn import functional as F

from policies import torch_compat as compat
from policies.bert.linear import Linear
from tests.compat.canary import Canaries

canary = Canaries("torch", "2.13.0", "policies/torch_compat.py")
WITH_ONEDNN = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="a torch without oneDNN")


@WITH_ONEDNN
@canary("onednn_linear", "has_onednn_linear", uses="torch.ops.mkldnn._linear_pointwise")
def test_onednns_product_is_there_and_agrees_with_the_public_one():
    assert compat.has_onednn_linear()
    for count, given, made in ((1, 3, 4), (64, 32, 16), (1100, 24, 40)):
        rows, weight, bias = torch.randn(count, given), torch.randn(made, given), torch.randn(made)
        torch.testing.assert_close(compat.onednn_linear(rows, weight, bias), F.linear(rows, weight, bias))
        torch.testing.assert_close(compat.onednn_linear(rows, weight), F.linear(rows, weight))


@WITH_ONEDNN
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@canary(
    "can_pack", "onednn_packed", "onednn_linear_packed",
    uses="torch.ops.mkldnn._reorder_linear_weight and _linear_pointwise",
)  # fmt: skip
def test_onednns_packed_weights_give_the_public_product_and_a_rows_does_not_depend_on_others(dtype):
    assert compat.can_pack()
    weight, bias = torch.randn(40, 24, dtype=dtype), torch.randn(40, dtype=dtype)
    packed = compat.onednn_packed(weight)
    rows = torch.randn(1100, 24, dtype=dtype)
    tolerance = 1e-5 if dtype is torch.float32 else 0.05
    close = {"atol": tolerance, "rtol": tolerance}
    product = F.linear(rows, weight, bias)
    torch.testing.assert_close(compat.onednn_linear_packed(rows, packed, bias), product, **close)
    torch.testing.assert_close(compat.onednn_linear_packed(rows, packed, bias, gelu=True), F.gelu(product), **close)
    whole = compat.onednn_linear_packed(rows, packed, bias)
    for count in (1, 7, 64, 1000):
        assert torch.equal(compat.onednn_linear_packed(rows[:count].contiguous(), packed, bias), whole[:count])


@pytest.mark.parametrize("there", [pytest.param(True, marks=WITH_ONEDNN), False])
def test_a_layer_has_the_same_values_and_gradients_without_onednn(monkeypatch, there):
    monkeypatch.setattr("policies.bert.linear.onednn_pays", lambda: True)
    if not there:
        monkeypatch.setattr(compat, "_LINEAR_POINTWISE", None)
    torch.manual_seed(0)
    layer, public = Linear(12, 7), torch.nn.Linear(12, 7)
    public.load_state_dict(layer.state_dict())
    given = torch.randn(5, 3, 12)
    found = []
    for each in (layer, public):
        rows = given.clone().requires_grad_()
        values = each(rows)
        values.square().sum().backward()
        found.append((values.detach(), rows.grad, each.weight.grad, each.bias.grad))
    torch.testing.assert_close(*found)


def test_an_operator_of_other_arguments_is_left_alone(monkeypatch):
    class Operators:
        def _linear_pointwise(self, rows, weight, bias):
            """Another version's."""

    monkeypatch.setattr(torch.ops, "mkldnn", Operators())
    assert compat._linear_pointwise() is None
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    assert compat._linear_pointwise() is None


@canary("write_mark", uses="Tensor._version")
def test_writes_are_seen_and_reads_are_not():
    tensor = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([tensor])
    tensor.grad = torch.ones(3)

    def load():
        torch.nn.ParameterList([tensor]).load_state_dict({"0": torch.zeros(3)})

    def move():
        tensor.data = torch.zeros(3)

    for write in (optimizer.step, load, lambda: tensor.detach().mul_(2), move):
        before = compat.write_mark(tensor)
        tensor.sum().item()
        assert compat.write_mark(tensor) == before
        write()
        assert compat.write_mark(tensor) != before


@canary("cpu_computes_bfloat16", uses="torch.cpu.get_capabilities")
def test_the_processors_bfloat16_is_known():
    found = torch.cpu.get_capabilities()
    if found["architecture"] == "x86_64":
        assert {"avx512_bf16", "amx_tile"} <= found.keys()
        assert compat.cpu_computes_bfloat16() == bool(found["avx512_bf16"] or found["amx_tile"])


def test_each_name_of_the_compat_file_has_a_canary():
    offered = {name for name, value in vars(compat).items() if inspect.isfunction(value) and name[0] != "_"}
    assert offered == canary.covered
