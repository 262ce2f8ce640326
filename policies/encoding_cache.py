"""Encodings of texts, kept for as long as the weights that made them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

KEPT_TOKENS = 150_000  # whose encodings a cache keeps: 230 MB of MiniLM's


class EncodingCache:
    """Tensors [length, H] by key, those asked for last; all are dropped when the parameters' values change."""

    def __init__(self, parameters: Callable[[], Iterator[nn.Parameter]]):
        self._parameters = parameters
        self._written: list[tuple[int, int]] = []
        self._digest, self._lowered = b"", False
        self._tensors: dict[bytes, Tensor] = {}
        self._tokens = 0

    def get(self, keys: list[bytes], compute: Callable[[list[int]], list[Tensor]]) -> list[Tensor]:
        """The tensors of different keys; ``compute`` is given the places in ``keys`` of those that are not here."""
        self._drop_if_changed()
        found = [self._tensors.get(key) for key in keys]
        missing = [place for place, tensor in enumerate(found) if tensor is None]
        if missing:
            for place, tensor in zip(missing, compute(missing), strict=True):
                found[place] = tensor.clone()  # a view would keep its whole batch alive
                self._tokens += len(tensor)
        for key, tensor in zip(keys, found, strict=True):  # to the end: in front is what was not asked for the longest
            self._tensors.pop(key, None)
            self._tensors[key] = tensor
        while self._tokens > KEPT_TOKENS:
            self._tokens -= len(self._tensors.pop(next(iter(self._tensors))))
        return found

    def clear(self) -> None:
        """Keep nothing."""
        self._tensors, self._tokens = {}, 0

    def _drop_if_changed(self) -> None:
        """Versions count writes: weights that are loaded again, as rollout workers do, may be what they were."""
        lowered = any(map(torch.is_autocast_enabled, ("cpu", "cuda")))
        if lowered != self._lowered:  # what a lower precision gave is not what is asked for without it
            self.clear()
            self._lowered = lowered
        # Where each lies changes when the model moves, and the count of writes does not.
        written = [(parameter.data_ptr(), parameter._version) for parameter in self._parameters()]
        if written == self._written:
            return
        digest = hashlib.blake2b(digest_size=16)
        for parameter in self._parameters():
            digest.update(f"{parameter.device} {parameter.dtype}".encode())
            digest.update(parameter.detach().cpu().contiguous().numpy())
        if digest.digest() != self._digest:
            self.clear()
        self._written, self._digest = written, digest.digest()
