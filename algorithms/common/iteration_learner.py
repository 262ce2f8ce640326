"""A learner that is given all that an iteration has to learn from at once, and goes over it in minibatches."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.utils.numpy import convert_to_numpy

from algorithms.common.averaging import WeightAverage
from algorithms.common.learner import PolicyLearner
from algorithms.common.rllib_compat import PassesOverOwnRows, is_asked_for


def least_doubt(config: AlgorithmConfig) -> float:
    """The config's ``doubt``, or 0 where a term of the loss is of every page."""
    return 0.0 if config.kl_weight or config.entropy_coeff else config.doubt


class IterationLearner(PassesOverOwnRows, PolicyLearner):
    """A learner of policy gradients, an iteration's steps at a time.

    The policy that a run writes has the average of the iterations' weights (``WeightAverage``), unless the config's
    ``average_weights`` is False; rollouts are played with the last ones.
    """

    def build(self) -> None:
        """RLlib's learner with the average of its weights."""
        super().build()
        module = self.module[DEFAULT_MODULE_ID].unwrapped()
        self._average = WeightAverage(module) if self.config.average_weights else None

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """The last minibatches of an iteration are learnt from in it, and its weights counted."""
        self.step_with_what_is_gathered()
        if self._average:
            self._average.add()
        super().after_gradient_based_update(timesteps=timesteps)

    def get_state(self, components: Any = None, *, not_components: Any = None, **kwargs: Any) -> dict[str, Any]:
        """RLlib's state, and the average of the weights."""
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self._average and is_asked_for(self, "average", components, not_components):
            state["average"] = self._average.get_state()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of ``get_state``."""
        super().set_state(state)
        if self._average and "average" in state:
            self._average.set_state(state["average"])

    def policy_state(self) -> dict[str, Any]:
        """The average of the iterations' weights so far, or those it has now."""
        return super().policy_state() | (convert_to_numpy(self._average.weights) if self._average else {})
