"""Losses that several algorithms share, as pure functions of tensors."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def imitation_loss(logits: Tensor, chosen: Tensor) -> Tensor:
    """Cross-entropy of the demonstrated actions: -mean log pi(a | s), pi the softmax over the available actions.

    logits [B, A] float with unavailable actions at a large negative value, chosen [B] integer -> scalar.
    """
    return F.cross_entropy(logits, chosen.long())
