"""BERT's layers on a CPU where nothing is learnt: copies of their weights, laid out for few and fast products.

Query, key and value are one product, and oneDNN takes GELU into the product before it. In bfloat16 only products are;
what stands between them (residuals, norms, attention) is float32. What a text gives does not depend on the texts beside
it: attention takes texts of one length at a time, and a row's product is the same in any number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from policies.bert.attention import Group, LayerFunction, attention
from policies.bert.products import onednn_pays
from policies.torch_compat import can_pack, onednn_linear_packed, onednn_packed, write_mark


class InferenceLayers:
    """A ``Bert``'s layers, each called as those are, with hidden states [T, H] float32; made anew when they changed."""

    def __init__(self, layers: Sequence[nn.Module]):
        self._layers = layers
        self.forget()

    def __getstate__(self) -> dict[str, Any]:
        """Without the copies, which lie as this processor wants them."""
        return self.__dict__ | {"_made": (), "_copies": []}

    def forget(self) -> None:
        """Keep no copies until they are asked for again: up to as much memory as the layers."""
        self._made: tuple[Any, ...] = ()
        self._copies: list[LayerFunction] = []

    def current(self, precision: torch.dtype) -> list[LayerFunction]:
        """The layers as they are now; ``precision`` of their products is float32 or, where ``can_pack``, bfloat16."""
        made = precision, *(write_mark(parameter) for layer in self._layers for parameter in layer.parameters())
        if made != self._made:
            with torch.no_grad():
                self._copies = [_Layer(layer, precision) for layer in self._layers]
            self._made = made
        return self._copies


class _Layer:
    def __init__(self, layer: nn.Module, precision: torch.dtype):
        own = layer.attention["self"].values()
        together = torch.cat([one.weight for one in own]), torch.cat([one.bias for one in own])
        self._heads = layer.heads
        self._projections = _product(*together, precision)
        self._attended = _product(*layer.attention["output"].dense.parameters(), precision)
        self._between = _product(*layer.intermediate["dense"].parameters(), precision, gelu=True)
        self._output = _product(*layer.output.dense.parameters(), precision)
        self._norms = _norm(layer.attention["output"].LayerNorm), _norm(layer.output.LayerNorm)

    def __call__(self, hidden: Tensor, groups: Sequence[Group]) -> Tensor:
        first, second = self._norms
        projected = self._projections(hidden).float().unflatten(-1, (3, self._heads, -1)).unbind(1)
        hidden = first(self._attended(attention(*projected, groups).flatten(1)), hidden)
        return second(self._output(self._between(hidden)), hidden)


def _product(weight: Tensor, bias: Tensor, precision: torch.dtype, *, gelu: bool = False) -> Callable[[Tensor], Tensor]:
    """From rows [T, in] to x W^T + b, or its GELU, as it is computed fastest."""
    if precision is torch.bfloat16:
        packed, lower = onednn_packed(weight.bfloat16()), bias.bfloat16()
        return lambda rows: onednn_linear_packed(rows.bfloat16(), packed, lower, gelu=gelu)
    weight, bias = weight.detach(), bias.detach()  # as they are: a copy would take as much memory again
    if onednn_pays() and can_pack():
        packed = onednn_packed(weight)
        return lambda rows: onednn_linear_packed(rows, packed, bias, gelu=gelu)
    if gelu:
        return lambda rows: F.gelu(F.linear(rows, weight, bias))
    return lambda rows: F.linear(rows, weight, bias)


def _norm(norm: nn.LayerNorm) -> Callable[[Tensor, Tensor], Tensor]:
    """From what a part of a layer found and what it was given, in float32, to the norm of their sum."""
    weight, bias = norm.weight.clone(), norm.bias.clone()
    return lambda found, given: F.layer_norm(given + found, given.shape[-1:], weight, bias, norm.eps)
