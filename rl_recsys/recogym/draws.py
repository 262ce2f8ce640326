"""Where chance comes from while one user is played: the original's single generator, or draws by user and event."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

import numpy as np

from rl_recsys.core import counter
from rl_recsys.recogym.settings import Settings

BLOCK = 64  # events that are drawn at a time for one user


class Kind(IntEnum):
    """What is drawn. In the paired stream each kind has numbers of its own."""

    START = 0
    VIEW = 1
    CLICK = 2
    MOVE = 3
    TASTE = 4
    TIME = 5
    ACTION = 6


class Draws(Protocol):
    """The draws of one user at a time.

    ``event`` is the number of the user's event: a view or a recommendation, and its move to the next state.
    """

    event: int

    def begin(self, user: int) -> None:
        """Begin a user."""

    def uniforms(self, kind: Kind) -> Callable[[], float]:
        """What draws the event's number in [0, 1)."""

    def normals(self, kind: Kind, width: int) -> np.ndarray:
        """Standard normals [width]."""

    def product(self, products: int) -> int:
        """A product that the random logging policy recommends."""


class OriginalDraws:
    """One legacy generator for everything, in the order of events; times have a second one that runs on over users."""

    def __init__(self, settings: Settings, seed: int):
        # The original makes the generator of the catalogue again: the first user's taste is then the first product.
        users = seed if "first_taste" in settings.quirks else [seed, 1]
        self._users, self._times = np.random.RandomState(users), np.random.RandomState(settings.random_seed)
        self.event = 0  # is counted, and decides nothing

    def begin(self, user: int) -> None:
        """Nothing: the generator runs on."""

    def uniforms(self, kind: Kind) -> Callable[[], float]:
        """What draws the next number, whatever it is for."""
        return self._users.random_sample

    def normals(self, kind: Kind, width: int) -> np.ndarray:
        """The next normals, of the legacy polar method, which keeps its second value for later."""
        return (self._times if kind is Kind.TIME else self._users).standard_normal(width)

    def product(self, products: int) -> int:
        """By the same generator: a logging policy shifts what the users do."""
        return int(self._users.randint(products))


class PairedDraws:
    """A number for each kind, user and event (``counter``); what happened before does not matter."""

    def __init__(self, settings: Settings, seed: int):
        self._seed = seed
        self.begin(0)

    def begin(self, user: int) -> None:
        """Begin a user."""
        self._user, self.event = np.array([user]), 0
        self._blocks: dict[Kind, tuple[int, list]] = {}

    def uniforms(self, kind: Kind) -> Callable[[], float]:
        """What draws the number of this event."""
        return lambda: self._of_block(kind, None)

    def normals(self, kind: Kind, width: int) -> np.ndarray:
        """Those of this event."""
        return self._of_block(kind, width)

    def product(self, products: int) -> int:
        """By numbers of its own, so logging changes no user."""
        return int(self._of_block(Kind.ACTION, None) * products)

    def _of_block(self, kind: Kind, width: int | None):
        start, block = self._blocks.get(kind, (-BLOCK, ()))
        if not start <= self.event < start + BLOCK:
            start = self.event - self.event % BLOCK
            events, key = np.arange(start, start + BLOCK), counter.keys(self._seed, kind, self._user)
            block = counter.uniforms(key, events).tolist() if width is None else counter.normals(key, events, width)
            self._blocks[kind] = start, block
        return block[self.event - start]


def open_draws(settings: Settings, seed: int) -> Draws:
    """The draws of a stream; ``seed`` decides the users."""
    return (OriginalDraws if settings.stream == "original" else PairedDraws)(settings, seed)
