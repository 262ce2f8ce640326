"""Every private name of torch that this project needs, each once and with the reason.

Checked with torch 2.13.0. tests/compat/test_torch.py has a canary for each and holds the rest of the project to public
names.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def onednn_linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """rows [T, in] times weight [out, in] transposed, plus a bias [out], by oneDNN; by ``F.linear`` where this torch
    cannot be asked for it.

    ``F.linear`` leaves float32 to MKL, which is half as fast on processors that are not Intel's, and no setting changes
    that. This is what torch.compile makes of a linear layer on a CPU.
    """
    if _LINEAR_POINTWISE is None:
        return F.linear(rows, weight, bias)
    return _LINEAR_POINTWISE(rows, weight, bias, "none", [], "")


def can_pack() -> bool:
    """Whether this torch has ``onednn_packed`` and ``onednn_linear_packed``."""
    return _REORDER is not None


def onednn_packed(weight: Tensor) -> Tensor:
    """A weight [out, in] as oneDNN lays it out for the processor, which it does at every call otherwise.

    For ``onednn_linear_packed``. torch.compile packs the weights that it may freeze in the same way.
    """
    return _REORDER(weight.contiguous())


def onednn_linear_packed(rows: Tensor, packed: Tensor, bias: Tensor, *, gelu: bool = False) -> Tensor:
    """rows [T, in] times a packed weight [out, in] transposed, plus a bias [out], all of one precision; or its GELU."""
    if gelu:
        return _LINEAR_POINTWISE(rows, packed, bias, "gelu", [], "none")
    return _LINEAR_POINTWISE(rows, packed, bias, "none", [], "")


def has_onednn_linear() -> bool:
    """Whether this torch has oneDNN's product, with the arguments that ``onednn_linear`` gives it."""
    return _LINEAR_POINTWISE is not None


def write_mark(tensor: Tensor) -> tuple[int, int]:
    """Equal as long as nothing was written to a tensor in place, and it lies where it lay.

    torch has no public count of writes, and to compare the values takes longer than what is kept by them saves. Writes
    through ``.data`` and steps of fused optimizers are not counted.
    """
    return tensor.data_ptr(), tensor._version


def cpu_computes_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16; elsewhere it is emulated, which is slower than float32.

    No name of it is private, but what torch calls the instructions is written down nowhere.
    """
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_tile"))


def _linear_pointwise() -> torch._ops.OpOverloadPacket | None:
    """oneDNN's product, where it is there and takes what it is given."""
    operator = getattr(getattr(torch.ops, "mkldnn", None), "_linear_pointwise", None)
    if operator is None or not torch.backends.mkldnn.is_available():
        return None
    try:
        found = operator(torch.ones(2, 3), torch.ones(4, 3), torch.ones(4), "none", [], "")
    except (RuntimeError, NotImplementedError, TypeError):  # another version's has other arguments
        return None
    return operator if found.shape == (2, 4) and bool((found == 4).all()) else None


_LINEAR_POINTWISE = _linear_pointwise()
_REORDER = getattr(getattr(torch.ops, "mkldnn", None), "_reorder_linear_weight", None) if _LINEAR_POINTWISE else None
