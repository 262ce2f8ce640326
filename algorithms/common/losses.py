"""The losses, as pure functions of tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


def imitation_loss(logits: Tensor, chosen: Tensor) -> Tensor:
    """Cross-entropy of the demonstrated actions: -mean log pi(a | s), pi the softmax over the available actions.

    logits [B, A] float with unavailable actions at a large negative value, chosen [B] integer -> scalar.
    """
    return F.cross_entropy(logits, chosen.long())


def dpo_loss(margin: Tensor, reference_margin: Tensor, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """Direct preference optimisation (Rafailov et al. 2023, eq. 7; Feng & Feng 2024):

    -mean [(1 - e) log sigma(beta h) + e log sigma(-beta h)],
    h = log pi(w|s)/pi(l|s) - log pi_ref(w|s)/pi_ref(l|s).

    Both actions are choices of one page, so the softmax's normaliser cancels and a margin is a difference of two
    logits: margin [B] = logit_w - logit_l of the policy, reference_margin [B] of the reference -> scalar.
    """
    scaled = beta * (margin - reference_margin)
    return -((1 - label_smoothing) * F.logsigmoid(scaled) + label_smoothing * F.logsigmoid(-scaled)).mean()


def kl_divergence(logits: Tensor, reference: Tensor) -> Tensor:
    """Mean over rows of KL(pi || pi_ref) = sum_a pi(a|s) (log pi(a|s) - log pi_ref(a|s)).

    logits [B, A] and reference [B, A], unavailable actions at a large negative value in both -> scalar.
    """
    log_probabilities = logits.log_softmax(-1)
    probabilities = log_probabilities.exp()
    # What is not there has probability 0; its log-ratio is rounding error.
    ratio = torch.where(probabilities > 0, log_probabilities - reference.log_softmax(-1), 0.0)
    return (probabilities * ratio).sum(-1).mean()


@dataclass(frozen=True, slots=True)
class PPOTerms:
    """The terms of ``ppo_loss``, each a scalar; ``total`` is their weighted sum."""

    total: Tensor
    policy: Tensor
    entropy: Tensor
    clipped: Tensor


def ppo_loss(
    logits: Tensor,
    actions: Tensor,
    old_log_probability: Tensor,
    advantages: Tensor,
    *,
    clip: float,
    entropy_weight: float,
) -> PPOTerms:
    """Proximal policy optimisation with an entropy term (Schulman et al. 2017, eq. 9, less the value's, which is learnt
    apart: ``ValueFit``):

    -mean min(z A, clip(z, 1 - eps, 1 + eps) A) - c_e mean H(pi),  z = pi(a|s) / pi_old(a|s).

    logits [B, A]; actions [B] integer; all others [B]. ``clipped`` is the share of rows where the clip is active.
    """
    log_probabilities = logits.log_softmax(-1)
    log_probability = log_probabilities.gather(-1, actions.long().unsqueeze(-1)).squeeze(-1)
    ratio = (log_probability - old_log_probability).exp()
    bounded = ratio.clamp(1 - clip, 1 + clip)
    policy = -torch.minimum(ratio * advantages, bounded * advantages).mean()
    entropy = -(log_probabilities.exp() * log_probabilities).sum(-1).mean()
    total = policy - entropy_weight * entropy
    return PPOTerms(total, policy, entropy, (ratio != bounded).float().mean())
