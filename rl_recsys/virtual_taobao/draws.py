"""Where chance comes from: the original's single generator, or draws by customer and page."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

import numpy as np

from rl_recsys.core import counter
from rl_recsys.virtual_taobao.networks import CUSTOMER, LEAVE, NOISE, PAGE, Sections
from rl_recsys.virtual_taobao.torch_stream import TorchStream


class Kind(IntEnum):
    """What is drawn. In the paired stream each kind has numbers of its own."""

    NOISE = 0
    CATEGORIES = 1
    LEAVE = 2
    PAGE = 3
    ACTION = 4  # of an agent that recommends at random


class Draws(Protocol):
    """What customers n draw; each method is called with their numbers [n]."""

    def noise(self, customers: np.ndarray) -> np.ndarray:
        """What customers are made of [n, 128] (float32), in [0, 1)."""

    def categories(self, customers: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """A category of each attribute [n, 11], by a table [11, 18, n]."""

    def leave_pages(self, customers: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """The page after which they leave [n], by a table [1, 101, n]."""

    def answers(self, customers: np.ndarray, pages: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """Clicks and the second number [n, 2] of page ``pages`` [n], by a table [2, 11, n]."""

    def part(self, customers: int) -> None:
        """So many have left."""


class OriginalDraws:
    """One generator for everything, in the order of events, so for one customer at a time."""

    def __init__(self, seed: int):
        self._stream = TorchStream(seed)

    def noise(self, customers: np.ndarray) -> np.ndarray:
        """The next numbers."""
        return self._stream.floats(NOISE)[None]

    def categories(self, customers: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """One draw after the other, in the order of the attributes."""
        return self._first(CUSTOMER, probabilities)

    def leave_pages(self, customers: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """The next draw."""
        return self._first(LEAVE, probabilities)[:, 0]

    def answers(self, customers: np.ndarray, pages: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """The next two draws."""
        return self._first(PAGE, probabilities)

    def part(self, customers: int) -> None:
        """Leave out the customer whom the original draws here, shows as the last observation, and never serves."""
        self._stream.skip(customers * (NOISE // 2 + CUSTOMER.count + LEAVE.count))

    def _first(self, groups: Sections, probabilities: np.ndarray) -> np.ndarray:
        clocks = groups.table(self._stream.exponentials(groups.count), 1.0)
        return (probabilities[..., 0] / clocks).argmax(axis=1)[None]


class PairedDraws:
    """By seed, customer, kind and page alone (``counter``): whatever is shown, customers are the same."""

    def __init__(self, seed: int):
        self._roots = {kind: counter.root(seed, kind) for kind in Kind}

    def noise(self, customers: np.ndarray) -> np.ndarray:
        """See ``Draws``; two of a word, multiples of 2^-24 as torch's are."""
        words = counter.words(self._keys(Kind.NOISE, customers), np.arange(NOISE // 2)).view(np.uint32)
        return (words >> np.uint32(8)) * np.float32(2.0**-24)

    def categories(self, customers: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """See ``Draws``."""
        return _below(probabilities, self._uniforms(Kind.CATEGORIES, customers, np.arange(len(probabilities))))

    def leave_pages(self, customers: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """See ``Draws``."""
        return _below(probabilities, self._uniforms(Kind.LEAVE, customers, np.zeros(1, int)))[:, 0]

    def answers(self, customers: np.ndarray, pages: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """See ``Draws``."""
        return _below(probabilities, self._uniforms(Kind.PAGE, customers, 2 * pages[:, None] + np.arange(2)))

    def part(self, customers: int) -> None:
        """Nothing."""

    def _uniforms(self, kind: Kind, customers: np.ndarray, places: np.ndarray) -> np.ndarray:
        return counter.uniforms(self._keys(kind, customers), places)

    def _keys(self, kind: Kind, customers: np.ndarray) -> np.ndarray:
        return counter.keys_of(self._roots[kind], customers)[:, None]


def _below(probabilities: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The categories [n, groups] at which sums of a table [groups, m, n] pass numbers [n, groups] in [0, 1).

    The table is overwritten.
    """
    sums = probabilities
    for category in range(1, sums.shape[1]):  # a row of all customers at a time
        sums[:, category] += sums[:, category - 1]
    whole = sums[:, -1]
    drawn = np.minimum(drawn.T * whole, np.nextafter(whole, np.float32(0)))  # a product may be rounded up to the whole
    return (sums <= drawn[:, None]).sum(axis=1, dtype=np.int8).T.astype(int)
