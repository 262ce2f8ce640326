"""Losses of preferences: pure functions of (margin [B], reference margin [B], beta, label smoothing) -> scalar."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def dpo_loss(margin: Tensor, reference_margin: Tensor, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """Direct preference optimisation (Rafailov et al. 2023, eq. 7; Feng & Feng 2024):

    -mean [(1 - e) log sigma(beta h) + e log sigma(-beta h)],
    h = log pi(w|s)/pi(l|s) - log pi_ref(w|s)/pi_ref(l|s).

    Both actions are choices of one page, so the softmax's normaliser cancels and a margin is a difference of two
    logits: margin [B] = logit_w - logit_l of the policy, reference_margin [B] of the reference -> scalar.
    """
    scaled = beta * (margin - reference_margin)
    return -((1 - label_smoothing) * F.logsigmoid(scaled) + label_smoothing * F.logsigmoid(-scaled)).mean()
