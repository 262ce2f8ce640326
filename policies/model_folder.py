"""The folder of a model that a job trained: config, weights and how it was trained; nothing in it is executed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from rl_recsys.core.policy_folder import CONFIG_FILE, REMEDY, WEIGHTS_FILE, PolicyError, write_training
from rl_recsys.errors import UserError
from rl_recsys.storage.folders import Unlisted, whole_folder
from rl_recsys.storage.locations import Place, inside, local_folder

Model = TypeVar("Model", bound=nn.Module)


@contextmanager
def model_written(
    folder: str | Path,
    model: nn.Module,
    config: Mapping[str, Any],
    training: Mapping[str, Any],
    *,
    kind: str,
    unlisted: Unlisted = lambda folder: None,
) -> Iterator[Path]:
    """Write a model's folder, whole or not at all; the block puts other files that the model needs beside these."""
    with whole_folder(folder, kind=kind, unlisted=unlisted) as aside:
        yield aside
        (aside / CONFIG_FILE).write_text(json.dumps(config, indent=1))
        write_training(aside, training)
        weights = {name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}
        safetensors.torch.save_file(weights, aside / WEIGHTS_FILE)


def blank_model(folder: Place, make: Callable[[], Model]) -> Model:
    """What ``make`` makes of a folder's config: a model whose weights are to be set. Raises as ``meta_model`` does."""
    meta_model(folder, make)  # sizes that the folder's weights have not take no memory
    return make()


def meta_model(folder: Place, make: Callable[[], Model]) -> Model:
    """The same on torch's meta device, where it has sizes and no numbers. ``make`` must import nothing.

    Raises ``PolicyError`` naming the file where no model can be made of the config, or one that the weights do not fit.
    """
    try:
        with torch.device("meta"):
            model = make()
        _require_fit(local_folder(folder) / WEIGHTS_FILE, model)
        return model
    except PolicyError:
        raise
    except (UserError, TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        reason = str(error).rpartition(" __init__() ")[2] or str(error)
        raise PolicyError(f"{inside(folder, CONFIG_FILE)}: no policy can be made of it ({reason}); {REMEDY}") from None


def load_weights(folder: Place, model: nn.Module) -> None:
    """Set a model's weights to those of a folder. Raises ``PolicyError`` for what is damaged, or of another model."""
    path = local_folder(folder) / WEIGHTS_FILE
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
        raise _unfit(path, str(error).splitlines()[-1].strip()) from None


def _require_fit(path: Path, model: nn.Module) -> None:
    expected = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    try:
        with safetensors.safe_open(path, "pt") as weights:
            found = {name: weights.get_slice(name).get_shape() for name in weights.keys()}  # noqa: SIM118
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise PolicyError(f"{path}: missing or damaged ({error}); {REMEDY}") from None
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise _unfit(path, f"{name} is {found.get(name, 'missing')}, expected {expected.get(name, 'none')}")


def _unfit(path: Path, reason: str) -> PolicyError:
    return PolicyError(f"{path}: does not fit {CONFIG_FILE} ({reason}); {REMEDY}")
