"""torch's random numbers on a CPU without torch: those that ``torch.rand`` and ``torch.multinomial`` draw by a seed."""

from __future__ import annotations

import numpy as np

_BLOCK = 8192  # words that are made at a time, an even number


class TorchStream:
    """The numbers that torch 2.13 draws after ``torch.manual_seed(seed)``, on a CPU, in their order.

    torch's generator is the Mersenne Twister (MT19937) seeded as numpy's legacy one. A float32 takes one of its 32-bit
    words, an exponential two. All that is asked for here takes an even number of words, so exponentials are computed
    for a whole block at once. ``torch.multinomial(p, 1)`` is the largest of p over exponentials: the category whose
    exponential clock of rate p rings first.
    """

    def __init__(self, seed: int):
        self._words = np.random.RandomState(seed)
        self._floats, self._exponentials = np.empty(0, np.float32), np.empty(0, np.float32)
        self._next = 0  # pair of words

    def floats(self, count: int) -> np.ndarray:
        """``torch.rand`` [count] (float32), an even number of them: multiples of 2^-24 below 1."""
        start = 2 * self._take(count // 2)
        return self._floats[start : start + count]

    def exponentials(self, count: int) -> np.ndarray:
        """What ``torch.multinomial`` divides ``count`` probabilities by [count] (float32)."""
        start = self._take(count)
        return self._exponentials[start : start + count]

    def skip(self, pairs: int) -> None:
        """Leave out so many pairs of words."""
        self._take(pairs)

    def _take(self, pairs: int) -> int:
        """Where the next pairs of words begin, all of which are there."""
        while len(self._exponentials) - self._next < pairs:
            self._make_block()
        start = self._next
        self._next += pairs
        return start

    def _make_block(self) -> None:
        words = np.frombuffer(self._words.bytes(4 * _BLOCK), "<u4")
        floats = (words & np.uint32(2**24 - 1)) * np.float32(2.0**-24)
        first, second = words[::2].astype(np.uint64), words[1::2]
        uniform = ((first << np.uint64(32) | second) & np.uint64(2**53 - 1)) * 2.0**-53
        exponentials = (-np.log1p(-uniform)).astype(np.float32)
        self._floats = np.concatenate([self._floats[2 * self._next :], floats])
        self._exponentials = np.concatenate([self._exponentials[self._next :], exponentials])
        self._next = 0
