"""PPO's learner: fits the values, keeps the decisions, and minimises the policy's loss."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.connectors.learner import GeneralAdvantageEstimation
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from torch import Tensor

from algorithms.common.figures import MEAN
from algorithms.common.iteration_learner import IterationLearner, least_doubt
from algorithms.common.losses import imitation_loss, kl_divergence
from algorithms.common.offline import decisions_to_learn, fitting_trajectories
from algorithms.common.reference import REFERENCE_LOGITS
from algorithms.common.rllib_compat import connectors_of, is_asked_for
from algorithms.imitation.demonstrations import Demonstrations
from algorithms.ppo.connectors import AddReference, FitValues, KeepDecisions, StartValues
from algorithms.ppo.losses import ppo_loss
from algorithms.ppo.value_fit import ValueFit
from policies.rllib import PolicyModule
from rl_recsys.core.encoding import load_decision_encoder


class PPOLearner(IterationLearner, PPOTorchLearner):
    """Minimises ``ppo_loss`` on the kept decisions, with the terms that hold the policy near what was demonstrated.

    These are ``kl_weight`` times the divergence from the policy that the run started from, and ``imitation_weight``
    times the imitation loss of as many demonstrated decisions as the minibatch has.
    """

    def build(self) -> None:
        """RLlib's learner with this project's connectors after its advantage computation."""
        super().build()
        module = self.module[DEFAULT_MODULE_ID].unwrapped()
        self._values = ValueFit(module.value_head, seed=self.config.seed or 0)
        connectors = connectors_of(self)
        connectors.insert_before(GeneralAdvantageEstimation, StartValues(self._values))
        connectors.append(FitValues(self._values))
        self._keep = KeepDecisions(least_doubt(self.config), self.config.minibatch_size)
        connectors.append(self._keep)
        if self.config.kl_weight:
            connectors.append(AddReference(self.config.policy))
        if self.config.imitation_weight:
            encoder = load_decision_encoder(self.config.policy)
            found = fitting_trajectories(self.config.trajectories, encoder, minimum_reward=self.config.minimum_reward)
            self._demonstrations = Demonstrations(
                decisions_to_learn(found),
                encoder,
                batch_size=self.config.minibatch_size,
                seed=self.config.seed or 0,
            )

    def get_state(self, components: Any = None, *, not_components: Any = None, **kwargs: Any) -> dict[str, Any]:
        """The policy's state, that of the values, and the place in the demonstrations."""
        state = super().get_state(components, not_components=not_components, **kwargs)
        if is_asked_for(self, "values", components, not_components):
            state["values"] = self._values.get_state()
        if self.config.imitation_weight and is_asked_for(self, "demonstrations", components, not_components):
            state["demonstrations"] = self._demonstrations.get_state()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of ``get_state``."""
        super().set_state(state)
        if "values" in state:
            self._values.set_state(state["values"])
        if "demonstrations" in state:
            self._demonstrations.set_state(state["demonstrations"])

    def set_schedules(self, tick: int) -> None:
        """The entropy's weight as well, whose schedule RLlib begins anew."""
        super().set_schedules(tick)
        for module_id, _ in self.module.items():
            self.entropy_coeff_schedulers_per_module[module_id].update(timestep=tick)

    def _imitation_loss(self, module: PolicyModule) -> Tensor:
        columns = self._demonstrations.next_batch()
        batch = {Columns.OBS: self.observed(columns[Columns.OBS])}
        taken = torch.as_tensor(columns[Columns.ACTIONS], device=self.device)
        return imitation_loss(module.forward_train(batch)[Columns.ACTION_DIST_INPUTS], taken)

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """What the values say of the iteration is reported."""
        values = self._values
        figures = {
            "vf_loss": values.loss,
            "vf_explained_var": values.explained,
            "kept_share": self._keep.kept_share,
        }
        self.metrics.log_dict(figures, key=DEFAULT_MODULE_ID, reduce=MEAN)
        super().after_gradient_based_update(timesteps=timesteps)

    def compute_loss_for_module(self, *, module_id: str, config: Any, batch: dict, fwd_out: dict) -> Tensor:
        """The minibatch's loss."""
        terms = ppo_loss(
            fwd_out[Columns.ACTION_DIST_INPUTS],
            batch[Columns.ACTIONS],
            batch[Columns.ACTION_LOGP],
            batch[Columns.ADVANTAGES],
            clip=config.clip_param,
            entropy_weight=self.entropy_coeff_schedulers_per_module[module_id].get_current_value(),
        )
        logged = {"policy_loss": terms.policy, "entropy": terms.entropy, "clipped_share": terms.clipped}
        total = terms.total
        if config.kl_weight:
            logged["kl"] = kl_divergence(fwd_out[Columns.ACTION_DIST_INPUTS], batch[REFERENCE_LOGITS]).mean()
            total = total + config.kl_weight * logged["kl"]
        if config.imitation_weight:
            logged["imitation_loss"] = self._imitation_loss(self.module[module_id].unwrapped())
            total = total + config.imitation_weight * logged["imitation_loss"]
        self.metrics.log_dict({name: value.detach() for name, value in logged.items()}, key=module_id, reduce=MEAN)
        return total
