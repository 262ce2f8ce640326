"""An algorithm's state as two files without anything that runs when they are read: JSON, and arrays beside it."""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rl_recsys.errors import UserError
from rl_recsys.storage.files import read_object

TREE_FILE, ARRAYS_FILE = "state.json", "state.npz"
STATE_FILES = (TREE_FILE, ARRAYS_FILE)
REMEDY = "copy the checkpoint again, whole, or go on from another"


class StateError(UserError):
    """A state cannot be written as data, or a file of one is damaged; the message names the place or the file."""


def write_state(folder: Path, tree: Any) -> None:
    """Write a tree of dicts, lists, tuples, numbers, strings, None, numpy arrays and scalars, and tensors.

    ``read_state`` gives an equal one, on the CPU. Raises ``StateError`` with the path of anything else in it: pickle
    would keep that too, and whoever can write the file could then run code where it is read.
    """
    arrays: dict[str, np.ndarray] = {}
    with open(folder / TREE_FILE, "w", encoding="utf-8") as file:
        json.dump({"state": _encoded(tree, arrays, "state")}, file, allow_nan=False)
        _to_disk(file)
    with open(folder / ARRAYS_FILE, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        _to_disk(file)


def read_state(folder: Path) -> Any:
    """What ``write_state`` wrote. Raises ``StateError`` naming a file that is missing or damaged."""
    found = read_object(folder / TREE_FILE, REMEDY, error=StateError)
    try:
        with np.load(folder / ARRAYS_FILE, allow_pickle=False) as arrays:
            return _decoded(found["state"], arrays)
    except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise StateError(f"{folder / ARRAYS_FILE}: damaged or not of this {TREE_FILE} ({error}); {REMEDY}") from None


def _to_disk(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _encoded(value: Any, arrays: dict[str, np.ndarray], path: str) -> Any:
    """JSON of a value: itself, a list, or {kind: what it is made of}. Arrays are put beside it, by number."""
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if kind is list:
        return [_encoded(one, arrays, f"{path}[{place}]") for place, one in enumerate(value)]
    if kind is tuple:
        return {"tuple": [_encoded(one, arrays, f"{path}[{place}]") for place, one in enumerate(value)]}
    if isinstance(value, Mapping) and kind.__name__ in ("dict", "OrderedDict", "defaultdict"):
        pairs = [[_encoded(key, arrays, f"{path} key {key!r}"), key, one] for key, one in value.items()]
        return {"dict": [[key, _encoded(one, arrays, f"{path}[{name!r}]")] for key, name, one in pairs]}
    if kind is np.ndarray or isinstance(value, np.generic):
        if value.dtype.hasobject:
            raise StateError(f"{path}: an array of Python objects cannot be written as data")
        return {"array" if kind is np.ndarray else "scalar": _put(np.asarray(value), arrays)}
    if kind in (torch.Tensor, torch.nn.Parameter) and value.layout is torch.strided:
        tensor = value.detach().cpu()
        if tensor.dtype is torch.bfloat16:  # numpy has none
            return {"bfloat16": _put(tensor.contiguous().view(torch.int16).numpy(), arrays)}
        try:
            return {"tensor": _put(tensor.numpy(), arrays)}
        except TypeError:
            raise StateError(f"{path}: a tensor of {tensor.dtype} cannot be written as data") from None
    raise StateError(f"{path}: {kind.__module__}.{kind.__qualname__} cannot be written as data")


def _put(array: np.ndarray, arrays: dict[str, np.ndarray]) -> str:
    name = f"array-{len(arrays)}"
    arrays[name] = array
    return name


def _decoded(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_decoded(one, arrays) for one in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "float":
        return float(content)
    if kind == "tuple":
        return tuple(_decoded(one, arrays) for one in content)
    if kind == "dict":
        return {_decoded(key, arrays): _decoded(one, arrays) for key, one in content}
    array = arrays[content]
    if kind == "array":
        return array
    if kind == "scalar":
        return array[()]
    if kind == "tensor":
        return torch.from_numpy(array)
    if kind == "bfloat16":
        return torch.from_numpy(array).view(torch.bfloat16)
    raise ValueError(f"unknown kind {kind!r}")
