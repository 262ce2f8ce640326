"""PPO's losses, as pure functions of tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


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
