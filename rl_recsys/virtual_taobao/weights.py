"""Whose networks a world has: a folder that ``conversion`` made of the published files, or a stand-in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from rl_recsys.errors import UserError
from rl_recsys.storage.folders import CONTENTS, verify_folder
from rl_recsys.storage.locations import local_folder
from rl_recsys.virtual_taobao.networks import SHAPES, Networks
from rl_recsys.virtual_taobao.stand_in import stand_in_arrays

WEIGHTS_FILE = "networks.safetensors"
KIND = "Virtual-Taobao networks"
STAND_IN = "stand-in"
#: Of the networks in the three published files.
PUBLISHED = "c121fafaf0882f2c"
REMEDY = 'make it again with jobs/prepare_virtual_taobao.py, or name "stand-in:0", networks drawn by chance'


class WeightsError(UserError):
    """Networks cannot be read, or are not of Virtual-Taobao's form; the message names the file and the remedy."""


@dataclass(frozen=True)
class Weights:
    """The arrays of ``SHAPES`` (float32), and the place that they are from."""

    place: str
    arrays: Mapping[str, np.ndarray]

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the numbers, whatever file they were in."""
        digest = hashlib.sha256()
        for name in SHAPES:
            digest.update(name.encode() + np.ascontiguousarray(self.arrays[name], "<f4").tobytes())
        return digest.hexdigest()[:16]

    @property
    def called(self) -> str:
        """What a result says that it was measured on."""
        if self.fingerprint == PUBLISHED:
            return "the published networks"
        kind = "networks drawn by chance" if self.place.startswith(STAND_IN) else "other networks than the published"
        return f"{self.place}, {kind}"

    @cached_property
    def networks(self) -> Networks:
        """What they say."""
        return Networks(self.arrays)


def open_weights(place: str) -> Weights:
    """The networks of a folder, or of "stand-in:SEED". Raises ``WeightsError``, ``DamageError`` for a changed file."""
    name, _, seed = place.partition(":")
    if name == STAND_IN:
        if not (seed.isascii() and seed.isdigit()):
            raise WeightsError(f"weights are {place!r}; name a seed, as in '{STAND_IN}:0'")
        return Weights(place, stand_in_arrays(int(seed)))
    folder = local_folder(place)
    path = folder / WEIGHTS_FILE
    if not (folder / CONTENTS).is_file():
        raise WeightsError(f"{folder}: no folder of {KIND}; {REMEDY}")
    verify_folder(folder, REMEDY)
    try:
        arrays = safetensors.numpy.load_file(path)
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise WeightsError(f"{path}: missing or damaged ({error}); {REMEDY}") from None
    require_form(arrays, path, REMEDY)
    return Weights(place, arrays)


def require_form(arrays: Mapping[str, np.ndarray], path: Path, remedy: str, prefix: str = "") -> None:
    """Raise ``WeightsError`` unless arrays are those of ``SHAPES`` that begin with ``prefix``, and finite float32."""
    shapes = {name: shape for name, shape in SHAPES.items() if name.startswith(prefix)}
    for name in [*shapes, *(name for name in arrays if name not in shapes)]:
        found, expected, called = arrays.get(name), shapes.get(name), f"{path}: {name.removeprefix(prefix)}"
        if found is None or expected is None:
            raise WeightsError(f"{called} is {'missing' if found is None else 'not known'}; {remedy}")
        if found.shape != expected or found.dtype != np.float32:
            shown = f"{found.dtype} {list(found.shape)}, expected float32 {list(expected)}"
            raise WeightsError(f"{called} is {shown}; {remedy}")
        if not np.isfinite(found).all():
            raise WeightsError(f"{called} has values that are not finite; {remedy}")
