"""A running average of the weights that a learner trains."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.utils.numpy import convert_to_numpy
from ray.rllib.utils.torch_utils import convert_to_torch_tensor
from torch import Tensor, nn

DECAY = 3  # the eta of Shamir & Zhang: the weights of t iterations are t / 5 old on average


class WeightAverage:
    """The polynomial-decay average of a module's trained weights (Shamir & Zhang 2013, section 4).

    Policy gradients of few episodes carry the weights around a good policy rather than to it, and the last ones are a
    draw from where they have been. The average does what a falling learning rate would, without knowing how long the
    run is: the weights after iteration i count as i (i + 1) ... (i + ``DECAY`` - 1).
    """

    def __init__(self, module: nn.Module):
        self._trained = {name: value for name, value in module.named_parameters() if value.requires_grad}
        self._count = 0
        self._mean = {name: value.detach().clone() for name, value in self._trained.items()}

    @torch.no_grad()
    def add(self) -> None:
        """Count the module's weights as they are now."""
        self._count += 1
        for name, value in self._trained.items():
            self._mean[name].lerp_(value, (DECAY + 1) / (self._count + DECAY))

    @property
    def weights(self) -> dict[str, Tensor]:
        """The average by parameter name; before any were counted, the weights as they are."""
        return self._mean if self._count else self._trained

    def get_state(self) -> dict[str, Any]:
        """The average, as numpy, and of how many it is."""
        return {"count": self._count, "mean": convert_to_numpy(self._mean)}

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of ``get_state``."""
        self._count = state["count"]
        for name, value in convert_to_torch_tensor(state["mean"]).items():
            self._mean[name].copy_(value)
