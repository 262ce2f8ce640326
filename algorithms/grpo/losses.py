"""GRPO's loss, as a pure function of tensors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from algorithms.common.losses import clipped_surrogate, entropy


@dataclass(frozen=True, slots=True)
class GRPOTerms:
    """The terms of ``grpo_loss``, each a scalar; ``total`` is their weighted sum."""

    total: Tensor
    policy: Tensor
    entropy: Tensor
    clipped: Tensor
    divergence: Tensor | None


def grpo_loss(
    logits: Tensor,
    actions: Tensor,
    old_log_probability: Tensor,
    advantages: Tensor,
    *,
    clip: float,
    temperature: float = 1.0,
    entropy_weight: float = 0.0,
    kl_weight: float = 0.0,
    reference_log_probability: Tensor | None = None,
) -> GRPOTerms:
    """Group-relative policy optimisation (Shao et al. 2024, eq. 3) with an entropy term, a decision in a token's place:

    -mean [min(z A, clip(z, 1 - eps, 1 + eps) A) - c_kl k3] - c_e mean H(pi),  z = pi(a|s) / pi_old(a|s),
    k3 = q - log q - 1,  q = pi_ref(a|s) / pi(a|s): their eq. 4, an unbiased estimate of KL(pi || pi_ref).

    pi is the softmax of logits / temperature, as the actions were sampled. The mean is over decisions: the paper's is
    over each answer's tokens first, which makes those of a long answer count less (Liu et al. 2025, section 3.1).

    logits [B, A]; actions [B] integer; all others [B]. ``reference_log_probability``, at the temperature,
    is needed with a ``kl_weight``. ``clipped`` is the share of rows where the clip is active.
    """
    log_probabilities = (logits / temperature).log_softmax(-1)
    log_probability = log_probabilities.gather(-1, actions.long().unsqueeze(-1)).squeeze(-1)
    surrogate, clipped = clipped_surrogate(log_probability, old_log_probability, advantages, clip=clip)
    policy, spread = -surrogate.mean(), entropy(log_probabilities).mean()
    total, divergence = policy - entropy_weight * spread, None
    if kl_weight:
        log_ratio = reference_log_probability - log_probability
        divergence = (log_ratio.expm1() - log_ratio).mean()
        total = total + kl_weight * divergence
    return GRPOTerms(total, policy, spread, clipped.float().mean(), divergence)
