"""What a preference loss is given: log-probabilities of both sides of each pair, by the policy and by the reference."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from ray.rllib.core.columns import Columns
from torch import Tensor

from algorithms.common.losses import kl_divergence
from algorithms.common.reference import REFERENCE_LOGITS
from algorithms.dpo.columns import PAIR, PAIRS, SIGN


@dataclass(frozen=True, slots=True)
class Pairs:
    """B pairs of a preferred side w, column 0, and a rejected side l, column 1.

    A side is one action of a page, or the actions of one episode. All are float32.

    policy [B, 2]: log pi of each side, for an episode the sum over its decisions. reference [B, 2]: log pi_ref alike.
    Where only the two actions of a pair were encoded, both are of the softmax over these two: differences between the
    columns are right, single columns are not. ``whole_pages`` asks for more.
    lengths [B, 2]: decisions of each side; 1 for an action. An episode's side may have none.
    divergence [B, 2]: KL(pi || pi_ref) over all actions of each side's pages, for an episode the sum over its
    decisions; None where pages are not whole.
    """

    policy: Tensor
    reference: Tensor
    lengths: Tensor
    divergence: Tensor | None = None

    @property
    def margin(self) -> Tensor:
        """log pi(w) - log pi(l) [B]."""
        return _apart(self.policy)

    @property
    def reference_margin(self) -> Tensor:
        """log pi_ref(w) - log pi_ref(l) [B]."""
        return _apart(self.reference)

    @property
    def mean_margin(self) -> Tensor:
        """log pi(w) / |w| - log pi(l) / |l| [B], |.| a side's decisions; of a side without any the mean is 0."""
        return _apart(self.policy / self.lengths.clamp(min=1))

    @property
    def log_ratios(self) -> Tensor:
        """log pi / pi_ref of each side [B, 2]; on whole pages only."""
        return self.policy - self.reference


def _apart(sides: Tensor) -> Tensor:
    return sides[:, 0] - sides[:, 1]


def action_pairs(logits: Tensor, batch: dict, *, whole_pages: bool) -> Pairs:
    """The pairs of actions of ``decision_columns``; logits [B, A] of the policy, over two actions or all."""
    sides, reference = batch[PAIRS].long(), batch[REFERENCE_LOGITS]
    divergence = kl_divergence(logits, reference).unsqueeze(1).expand(-1, 2) if whole_pages else None
    logp, reference_logp = (each.log_softmax(-1).gather(1, sides) for each in (logits, reference))
    return Pairs(logp, reference_logp, torch.ones_like(logp), divergence)


def episode_pairs(logits: Tensor, batch: dict) -> Pairs:
    """The pairs of episodes of ``trajectory_columns``; logits [N, A] of the policy, a row a decision."""
    # Counted on the host: a device would be waited for.
    count = int(batch[PAIR].max()) + 1
    side = 2 * batch[PAIR].long() + (batch[SIGN] < 0).long()
    side = side.to(logits.device, non_blocking=True)
    actions, reference = batch[Columns.ACTIONS].long().unsqueeze(1), batch[REFERENCE_LOGITS]

    def of_sides(rows: Tensor) -> Tensor:
        return rows.new_zeros(2 * count).index_add(0, side, rows).view(count, 2)

    logp, reference_logp = (each.log_softmax(-1).gather(1, actions).squeeze(1) for each in (logits, reference))
    lengths, divergence = torch.ones_like(logp), kl_divergence(logits, reference)
    return Pairs(*map(of_sides, (logp, reference_logp, lengths, divergence)))
