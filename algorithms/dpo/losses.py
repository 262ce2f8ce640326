"""Losses of preferences: pure functions of (margin [B], reference margin [B], beta, label smoothing) -> scalar."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from rl_recsys.core.registry import LOSSES, load

#: (margin [B], reference margin [B], beta, label smoothing) -> scalar.
PreferenceLoss = Callable[[Tensor, Tensor, float, float], Tensor]


def dpo_loss(margin: Tensor, reference_margin: Tensor, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """Direct preference optimisation (Rafailov et al. 2023, eq. 7; Feng & Feng 2024):

    -mean [(1 - e) log sigma(beta h) + e log sigma(-beta h)],
    h = log pi(w|s)/pi(l|s) - log pi_ref(w|s)/pi_ref(l|s).

    Both actions are choices of one page, so the softmax's normaliser cancels and a margin is a difference of two
    logits: margin [B] = logit_w - logit_l of the policy, reference_margin [B] of the reference -> scalar.
    """
    scaled = beta * (margin - reference_margin)
    return -((1 - label_smoothing) * F.logsigmoid(scaled) + label_smoothing * F.logsigmoid(-scaled)).mean()


def ipo_loss(margin: Tensor, reference_margin: Tensor, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """Identity preference optimisation (Azar et al. 2024, eq. 17), with label smoothing e:

    mean [(1 - e) (h - 1 / (2 beta))^2 + e (h + 1 / (2 beta))^2],  h as in ``dpo_loss``.

    h is drawn to 1 / (2 beta), and to (1 - 2 e) / (2 beta) where pairs are doubted; ``dpo_loss`` without doubt drives
    it on without end. margin [B] and reference_margin [B] -> scalar.
    """
    difference, target = margin - reference_margin, 1 / (2 * beta)
    return (
        (1 - label_smoothing) * (difference - target).square() + label_smoothing * (difference + target).square()
    ).mean()


def preference_loss(name: str) -> PreferenceLoss:
    """The loss of a name: one of this file, or another package's entry point of the group "rl_recsys.losses".

    Raises ``RegistryError``, which says what names there are.
    """
    return load(LOSSES, name)
