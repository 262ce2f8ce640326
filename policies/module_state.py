"""A policy's weights under the names that its RLlib module gives them; needs no RLlib, which takes seconds."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from policies.base import Policy

VALUE_HEAD = "value_head"  # the module has it beside the model, not in it


def module_state(model: Policy) -> dict[str, np.ndarray]:
    """A ``PolicyModule``'s state with this model's weights."""
    return {_module_name(name): tensor.detach().cpu().numpy() for name, tensor in model.state_dict().items()}


def load_module_state(model: Policy, state: dict[str, np.ndarray | Tensor]) -> None:
    """The inverse of ``module_state``: copy a ``PolicyModule``'s state into ``model``."""
    model.load_state_dict({name: torch.tensor(np.asarray(state[_module_name(name)])) for name in model.state_dict()})


def _module_name(name: str) -> str:
    return name if name.startswith(f"{VALUE_HEAD}.") else f"model.{name}"
