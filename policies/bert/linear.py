"""A linear layer that is computed by oneDNN on CPUs where that is faster.

PyTorch gives float32 products to MKL, which leaves out AVX-512 on processors that are not Intel's: on a Zen 5 core it
reached 105 GFLOP/s where oneDNN reached 225. Nearly all time of a policy goes to such products.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from policies.bert.products import onednn_pays
from policies.torch_compat import onednn_linear

#: oneDNN makes a program for each number of rows and keeps it, half a megabyte each: there must be few such numbers.
FEW_ROWS, ROWS, MANY_ROWS = 1024, 64, 128  # up to so many, multiples of the second; above, of the third


class Linear(nn.Linear):
    """``nn.Linear``: same weights, same values up to the order of sums, same gradients."""

    def forward(self, given: Tensor) -> Tensor:
        """x W^T + b of rows [..., in]."""
        if _takes(given):
            return _Product.apply(given, self.weight, self.bias)
        return F.linear(given, self.weight, self.bias)


def with_round_rows(rows: Tensor) -> Tensor:
    """Rows [T, D] and as many of zeros as it takes to one of the few numbers of rows that programs are kept for."""
    count = len(rows)
    step = ROWS if count <= FEW_ROWS else MANY_ROWS
    return F.pad(rows, (0, 0, 0, -count % step)) if count % step else rows


def _takes(given: Tensor) -> bool:
    """Whether oneDNN takes it: under autocast, on a GPU or in another precision PyTorch chooses well itself."""
    return (
        given.device.type == "cpu"
        and given.dtype is torch.float32
        and given.numel() > 0
        and torch.backends.mkldnn.enabled
        and not torch.is_autocast_enabled("cpu")
        and onednn_pays()
    )


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, given: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        count = given.numel() // given.shape[-1]
        rows = with_round_rows(given.reshape(count, -1))
        ctx.save_for_backward(rows, weight)
        return onednn_linear(rows, weight, bias)[:count].view(*given.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight = ctx.saved_tensors
        count = gradient.numel() // gradient.shape[-1]
        of_rows = with_round_rows(gradient.reshape(count, -1))
        of_given, of_weight, of_bias = ctx.needs_input_grad
        return (
            onednn_linear(of_rows, weight.t())[:count].view(*gradient.shape[:-1], -1) if of_given else None,
            onednn_linear(of_rows.t(), rows.t()) if of_weight else None,
            of_rows.sum(0) if of_bias else None,
        )
