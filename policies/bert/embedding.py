"""A table of vectors that is made without a draw where there is nothing to draw."""

from __future__ import annotations

import torch
from torch import nn


def embedding(count: int, features: int) -> nn.Embedding:
    """``nn.Embedding``: the same table, but on torch's meta device, where a policy's sizes are checked.

    A normal draw there makes torch (2.13) import its compiler and sympy: 1.4 s and 70 MB in each worker.
    """
    table = torch.empty(count, features)
    if not table.is_meta:
        nn.init.normal_(table)
    return nn.Embedding.from_pretrained(table, freeze=False)
