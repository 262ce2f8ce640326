"""The learner of GRPO and GiGPO, which differ in the advantages that it is given."""

from __future__ import annotations

from typing import Any

from ray.rllib.core.columns import Columns
from torch import Tensor

from algorithms.common.figures import MEAN
from algorithms.common.iteration_learner import IterationLearner
from algorithms.grpo.losses import grpo_loss
from algorithms.grpo.steps import REFERENCE_LOGP


class GRPOLearner(IterationLearner):
    """Minimises ``grpo_loss``; reports its terms."""

    def compute_loss_for_module(self, *, module_id: str, config: Any, batch: dict, fwd_out: dict) -> Tensor:
        """The minibatch's loss."""
        terms = grpo_loss(
            fwd_out[Columns.ACTION_DIST_INPUTS],
            batch[Columns.ACTIONS],
            batch[Columns.ACTION_LOGP],
            batch[Columns.ADVANTAGES],
            clip=config.clip_param,
            temperature=config.temperature,
            entropy_weight=config.entropy_coeff,
            kl_weight=config.kl_weight,
            reference_log_probability=batch.get(REFERENCE_LOGP),
        )
        logged = {"policy_loss": terms.policy, "entropy": terms.entropy, "clipped_share": terms.clipped}
        if terms.divergence is not None:
            logged["kl"] = terms.divergence
        self.metrics.log_dict({name: value.detach() for name, value in logged.items()}, key=module_id, reduce=MEAN)
        return terms.total
