"""The weights of a policy folder: arrays and their names, read without executing anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from rl_recsys.core.policy_folder import CONFIG_FILE, REMEDY, WEIGHTS_FILE, PolicyError


def write_weights(folder: Path, model: nn.Module) -> None:
    """Write a model's weights into a folder."""
    weights = {name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}
    safetensors.torch.save_file(weights, folder / WEIGHTS_FILE)


def load_weights(folder: Path, model: nn.Module) -> None:
    """Set a model's weights to those of a folder. Raises ``PolicyError`` for what is damaged, or of another model."""
    path = folder / WEIGHTS_FILE
    try:
        weights: Mapping[str, Tensor] = safetensors.torch.load_file(path)
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise PolicyError(f"{path}: missing or damaged ({error}); {REMEDY}") from None
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise PolicyError(f"{path}: {name} has values that are not finite; {REMEDY}")
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise PolicyError(
            f"{path}: does not fit {CONFIG_FILE} ({str(error).splitlines()[-1].strip()}); {REMEDY}"
        ) from None
