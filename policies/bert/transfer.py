"""What the host knows and a device computes with: token ids are read on the host, so what is where in a batch is known
there, and the device is never waited for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def on_host(array: Tensor | np.ndarray) -> np.ndarray:
    """An array where the host can read it. Waits for the device where it lies on one: keep observations off it."""
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def on_device(device: torch.device, *arrays: np.ndarray | Sequence[int]) -> list[Tensor]:
    """Places and masks as int64 and bool tensors of a device, in one copy, without waiting for it."""
    read = [np.asarray(array) for array in arrays]
    if device.type == "cpu":
        return [torch.as_tensor(array if array.dtype == bool else array.astype(np.int64, copy=False)) for array in read]
    together = torch.from_numpy(np.concatenate([array.ravel().astype(np.int64, copy=False) for array in read]))
    if device.type == "cuda":  # memory of the host that is not pinned is copied while the host waits
        together = together.pin_memory()
    parts = together.to(device, non_blocking=True).split([math.prod(array.shape) for array in read])
    shaped = (part.view(array.shape) for part, array in zip(parts, read, strict=True))
    return [part.bool() if array.dtype == bool else part for part, array in zip(shaped, read, strict=True)]
