"""The learner of DPO: pairs of actions or of episodes, and the loss that is made of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ray.rllib.core.columns import Columns
from torch import Tensor

from algorithms.common.figures import MEAN
from algorithms.common.learner import PolicyLearner
from algorithms.common.losses import imitation_loss
from algorithms.dpo.columns import PAIR, PAIRS, SIGN
from algorithms.dpo.loss_by_name import preference_loss
from algorithms.dpo.pairs import action_pairs, episode_pairs


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
        if PAIR in batch:
            pairs = episode_pairs(logits, batch)
        else:
            pairs = action_pairs(logits, batch, whole_pages=config.whole_pages)
        loss = self._loss(pairs, config)
        margin, reference = pairs.margin.detach(), pairs.reference_margin
        logged = {
            f"{config.loss}_loss": loss.detach(),
            "reward_margin": (config.beta * (margin - reference)).mean(),
            "preference_accuracy": (margin > reference).float().mean(),
            "preferred_leads": (margin > 0).float().mean(),
        }
        if config.imitation_weight:
            imitation = imitation_loss(*_preferred(logits, batch))
            logged["imitation_loss"] = imitation.detach()
            loss = loss + config.imitation_weight * imitation
        self.metrics.log_dict(logged, key=module_id, reduce=MEAN)
        return loss


def _preferred(logits: Tensor, batch: dict) -> tuple[Tensor, Tensor]:
    """Logits and actions of the rows whose action is preferred."""
    if PAIR not in batch:
        return logits, batch[PAIRS][:, 0]
    better = (batch[SIGN] > 0).nonzero().squeeze(1).to(logits.device, non_blocking=True)
    return logits[better], batch[Columns.ACTIONS][better]
