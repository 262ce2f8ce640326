"""Which matrix products this machine computes fastest: measured once a process, when it is first asked.

No rule tells it. PyTorch's float32 products (MKL) leave out AVX-512 on processors that are not Intel's, where oneDNN is
twice as fast; on Intel's MKL is a little faster. bfloat16 is several times as fast with AMX, nearly twice on a Zen 5,
and half as fast as float32 on an Intel core whose AMX a virtual machine hides, though it says that it has the
instructions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from policies.torch_compat import (
    can_pack,
    cpu_computes_bfloat16,
    has_onednn_linear,
    onednn_linear,
    onednn_linear_packed,
    onednn_packed,
)

ROWS, INPUTS, OUTPUTS = 256, 384, 1536  # of MiniLM's widest layer: some 2 ms a product
TIMES = 5  # each, in turn; the least time counts
CLEARLY = 1.4  # times as fast as what PyTorch does by itself: less might be another choice at the next start
MKL, ONEDNN, BFLOAT16 = "float32 by PyTorch", "float32 by oneDNN", "bfloat16 by oneDNN"


def onednn_pays() -> bool:
    """Whether oneDNN's float32 products are clearly faster than PyTorch's own."""
    return is_clearly_faster(product_rates(), ONEDNN, MKL)


def bfloat16_pays() -> bool:
    """Whether bfloat16's products are clearly faster than both of float32's."""
    return all(is_clearly_faster(product_rates(), BFLOAT16, other) for other in (MKL, ONEDNN))


def fastest_precision() -> torch.dtype:
    """What a CPU computes policies fastest in: bfloat16 or float32."""
    return torch.bfloat16 if bfloat16_pays() else torch.float32


def is_clearly_faster(rates: Mapping[str, float], form: str, other: str) -> bool:
    """Whether a form of product is there, and the other is not or is clearly slower."""
    return form in rates and rates[form] >= CLEARLY * rates.get(other, 0.0)


@cache
def product_rates() -> Mapping[str, float]:
    """GFLOP for a second of one core, by form; what this torch or processor lacks is not there."""
    rows, weight, bias = torch.ones(ROWS, INPUTS), torch.ones(OUTPUTS, INPUTS), torch.ones(OUTPUTS)
    forms: dict[str, Callable[[], Tensor]] = {MKL: lambda: F.linear(rows, weight, bias)}
    if has_onednn_linear():
        forms[ONEDNN] = lambda: onednn_linear(rows, weight, bias)
    if can_pack() and cpu_computes_bfloat16():
        lower = rows.bfloat16(), onednn_packed(weight.bfloat16()), bias.bfloat16()
        forms[BFLOAT16] = lambda: onednn_linear_packed(*lower)
    seconds = dict.fromkeys(forms, float("inf"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for each other would measure the load
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        for _ in range(TIMES + 1):  # the first makes oneDNN's programs
            for name, product in forms.items():
                start = time.thread_time()
                product()
                seconds[name] = min(seconds[name], time.thread_time() - start)
    torch.set_num_threads(threads)
    return {name: 2e-9 * ROWS * INPUTS * OUTPUTS / least for name, least in seconds.items()}
