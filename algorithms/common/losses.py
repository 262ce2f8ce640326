"""Losses that several algorithms share, as pure functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def imitation_loss(logits: Tensor, chosen: Tensor) -> Tensor:
    """Cross-entropy of the demonstrated actions: -mean log pi(a | s), pi the softmax over the available actions.

    logits [B, A] float with unavailable actions at a large negative value, chosen [B] integer -> scalar.
    """
    return F.cross_entropy(logits, chosen.long())


def kl_divergence(logits: Tensor, reference: Tensor) -> Tensor:
    """KL(pi || pi_ref) = sum_a pi(a|s) (log pi(a|s) - log pi_ref(a|s)) of each row.

    logits [B, A] and reference [B, A], unavailable actions at a large negative value in both -> [B].
    """
    log_probabilities = logits.log_softmax(-1)
    probabilities = log_probabilities.exp()
    # What is not there has probability 0; its log-ratio is rounding error.
    ratio = torch.where(probabilities > 0, log_probabilities - reference.log_softmax(-1), 0.0)
    return (probabilities * ratio).sum(-1)
