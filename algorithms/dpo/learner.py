"""The learner of DPO: the margins of pairs of actions or of episodes, and the loss that is made of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ray.rllib.core.columns import Columns
from torch import Tensor

from algorithms.common.figures import MEAN
from algorithms.common.learner import PolicyLearner
from algorithms.common.losses import imitation_loss
from algorithms.dpo.losses import preference_loss
from algorithms.dpo.reference import PAIR, PAIRS, REFERENCE_LOGP, REFERENCE_MARGIN, SIGN


class DPOLearner(PolicyLearner):
    """Minimises the preference loss that the config names, and the imitation loss of the preferred actions.

    The latter is weighted by ``imitation_weight``.

    Reports both, the reward margin beta h, and how often the preferred action leads.
    """

    def build(self) -> None:
        """RLlib's learner with this loss."""
        super().build()
        self._loss = preference_loss(self.config.loss)

    def columns_on_host(self, module_id: str) -> Collection[str]:
        """Also what says which decisions are a pair's, and which are of the better episode."""
        return {*super().columns_on_host(module_id), PAIR, SIGN}

    def compute_loss_for_module(self, *, module_id: str, config: Any, batch: dict, fwd_out: dict) -> Tensor:
        """The batch's loss."""
        logits = fwd_out[Columns.ACTION_DIST_INPUTS]
        margin, reference = episode_margins(logits, batch) if PAIR in batch else _action_margins(logits, batch)
        loss = self._loss(margin, reference, config.beta, config.label_smoothing)
        logged = {
            f"{config.loss}_loss": loss.detach(),
            "reward_margin": (config.beta * (margin - reference)).mean().detach(),
            "preference_accuracy": (margin > reference).float().mean(),
            "preferred_leads": (margin > 0).float().mean(),
        }
        if config.imitation_weight:
            imitation = imitation_loss(*_preferred(logits, batch))
            logged["imitation_loss"] = imitation.detach()
            loss = loss + config.imitation_weight * imitation
        self.metrics.log_dict(logged, key=module_id, reduce=MEAN)
        return loss


def _action_margins(logits: Tensor, batch: dict) -> tuple[Tensor, Tensor]:
    """Of each pair of actions of a page: log pi(w) - log pi(l) [B], and the reference's."""
    preferred, rejected = logits.gather(1, batch[PAIRS].long()).unbind(1)
    return preferred - rejected, batch[REFERENCE_MARGIN]


def episode_margins(logits: Tensor, batch: dict) -> tuple[Tensor, Tensor]:
    """Of each pair of episodes: the sum of log pi over the better's decisions less that over the worse's, twice."""
    count = int(batch[PAIR].max()) + 1
    pair, sign = (batch[name].to(logits.device, non_blocking=True) for name in (PAIR, SIGN))
    pair = pair.long()
    logp = logits.log_softmax(-1).gather(1, batch[Columns.ACTIONS].long().unsqueeze(1)).squeeze(1)
    margin = logp.new_zeros(count).index_add(0, pair, sign * logp)
    return margin, logp.new_zeros(count).index_add(0, pair, sign * batch[REFERENCE_LOGP])


def _preferred(logits: Tensor, batch: dict) -> tuple[Tensor, Tensor]:
    """Logits and actions of the rows whose action is preferred."""
    if PAIR not in batch:
        return logits, batch[PAIRS][:, 0]
    better = (batch[SIGN] > 0).nonzero().squeeze(1).to(logits.device, non_blocking=True)
    return logits[better], batch[Columns.ACTIONS][better]
