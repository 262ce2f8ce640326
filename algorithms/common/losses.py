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


def clipped_surrogate(
    log_probability: Tensor, old_log_probability: Tensor, advantages: Tensor, *, clip: float
) -> tuple[Tensor, Tensor]:
    """The clipped surrogate of policy gradients (Schulman et al. 2017, eq. 7), and where its clip is active:

    min(z A, clip(z, 1 - eps, 1 + eps) A),  z = pi(a|s) / pi_old(a|s).

    All [B]: log pi and log pi_old of the action that was taken, and its advantage -> [B] float, to be maximised, and
    [B] bool.
    """
    ratio = (log_probability - old_log_probability).exp()
    bounded = ratio.clamp(1 - clip, 1 + clip)
    return torch.minimum(ratio * advantages, bounded * advantages), ratio != bounded


def entropy(log_probabilities: Tensor) -> Tensor:
    """H(pi) of each row, of log pi of all actions [B, A], those that are not there far below 0 -> [B]."""
    return -(log_probabilities.exp() * log_probabilities).sum(-1)


def kl_divergence(logits: Tensor, reference: Tensor) -> Tensor:
    """KL(pi || pi_ref) = sum_a pi(a|s) (log pi(a|s) - log pi_ref(a|s)) of each row.

    logits [B, A] and reference [B, A], unavailable actions at a large negative value in both -> [B].
    """
    log_probabilities = logits.log_softmax(-1)
    probabilities = log_probabilities.exp()
    # What is not there has probability 0; its log-ratio is rounding error.
    ratio = torch.where(probabilities > 0, log_probabilities - reference.log_softmax(-1), 0.0)
    return (probabilities * ratio).sum(-1)
