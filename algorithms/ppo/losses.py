"""PPO's losses, as pure functions of tensors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from algorithms.common.losses import clipped_surrogate, entropy


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
    surrogate, clipped = clipped_surrogate(log_probability, old_log_probability, advantages, clip=clip)
    policy, spread = -surrogate.mean(), entropy(log_probabilities).mean()
    return PPOTerms(policy - entropy_weight * spread, policy, spread, clipped.float().mean())
