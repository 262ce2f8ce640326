"""Encodings of texts, kept for as long as the weights that made them, by all models of a process that have these."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from policies.torch_compat import write_mark

KEPT_TOKENS = 60_000  # whose encodings are kept of the same weights: 92 MB of MiniLM's; more saves 4 % at most


class _Store:
    """Tensors [length, H] by key, what was asked for last at the end."""

    def __init__(self) -> None:
        self.tensors: dict[bytes, Tensor] = {}
        self.tokens = 0


_STORES: WeakValueDictionary[tuple[bytes, str], _Store] = WeakValueDictionary()  # by the weights that made them


class EncodingCache:
    """Tensors [length, H] by key, those asked for last; others come with other values of the parameters.

    Caches whose parameters have equal values share what they keep: the frozen layers of a study's policies are one.
    """

    def __init__(self, parameters: Callable[[], Iterator[nn.Parameter]], reading: str):
        """``reading``: what is made of a text with the parameters, where that is not one thing."""
        self._parameters, self._reading = parameters, reading
        self._written: list[tuple[int, int]] = []
        self._digest = b""
        self._key = (b"", "")
        self._store: _Store | None = None

    def get(self, keys: list[bytes], compute: Callable[[Sequence[int]], list[Tensor]], precision: str) -> list[Tensor]:
        """The tensors of different keys; ``compute`` is given the places in ``keys`` of those that are not here.

        What one ``precision`` gave is not what another is asked for.
        """
        store = self.join(precision)
        found = [store.tensors.get(key) for key in keys]
        missing = [place for place, tensor in enumerate(found) if tensor is None]
        if missing:
            for place, tensor in zip(missing, compute(missing), strict=True):
                found[place] = tensor.clone()  # a view would keep its whole batch alive
                store.tokens += len(tensor)
        for key, tensor in zip(keys, found, strict=True):  # to the end: in front is what was not asked for the longest
            store.tensors.pop(key, None)
            store.tensors[key] = tensor
        while store.tokens > KEPT_TOKENS:
            store.tokens -= len(store.tensors.pop(next(iter(store.tensors))))
        return found

    def join(self, precision: str) -> _Store:
        """What is kept of these weights, by whomever; it is kept for as long as a cache has joined it."""
        # Writes are counted: weights that are loaded again, as rollout workers do, may be what they were. Where each
        # lies changes when the model moves.
        written = [write_mark(parameter) for parameter in self._parameters()]
        if written != self._written:
            digest = hashlib.blake2b(self._reading.encode(), digest_size=16)
            for parameter in self._parameters():
                digest.update(f"{parameter.device} {parameter.dtype}".encode())
                digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy())
            self._written, self._digest = written, digest.digest()
        key = self._digest, precision
        if self._store is None or key != self._key:
            self._key, self._store = key, _STORES.setdefault(key, _Store())
        return self._store

    def forget(self) -> None:
        """Keep nothing."""
        self._store = None
