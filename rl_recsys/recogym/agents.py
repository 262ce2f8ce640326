"""Who recommends: baselines without a network, those of the original by its names, and the one that knows the truth.

With ``original=True`` an agent has the slips of the original's, for comparison with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from rl_recsys.recogym.logistic import ClickRegression
from rl_recsys.recogym.world import World


class Agent(ABC):
    """Recommends products to one user after the other."""

    def begin(self) -> None:  # noqa: B027 - most have nothing to forget
        """A new user comes."""

    @abstractmethod
    def act(self, views: Sequence[int]) -> tuple[int, float]:
        """(the product to recommend, its probability), after the views since the last recommendation."""

    def train(self, views: Sequence[int], product: int | None, clicked: int | None, done: bool) -> None:  # noqa: B027
        """Learn from a logged recommendation, and from the views before it; None for a user who only looked."""


class RandomLogging(Agent):
    """Any product, drawn by the world itself: the policy of the logs that others learn from."""

    def __init__(self, world: World):
        self._world, self._products = world, world.settings.num_products

    def act(self, views: Sequence[int]) -> tuple[int, float]:
        """See ``Agent``."""
        return self._world.random_product(), 1 / self._products


class RandomAgent(Agent):
    """Any product, by a generator of its own."""

    def __init__(self, products: int, seed: int = 0):
        self._products, self._rng = products, np.random.RandomState(seed)

    def act(self, views: Sequence[int]) -> tuple[int, float]:
        """See ``Agent``."""
        return int(self._rng.randint(self._products)), 1 / self._products


class Oracle(Agent):
    """The product most likely to be clicked, read from the world: what is the most that can be reached."""

    def __init__(self, world: World):
        self._world = world

    def act(self, views: Sequence[int]) -> tuple[int, float]:
        """See ``Agent``."""
        return int(self._world.click_probabilities().argmax()), 1.0


class OrganicUserCount(Agent):
    """What this user viewed: the most viewed product, or one drawn in proportion to the views (``draws``)."""

    def __init__(self, products: int, seed: int = 0, *, draws: bool = False):
        self._draws, self._rng, self._counts = draws, np.random.RandomState(seed), np.zeros(products)

    def begin(self) -> None:
        """Forget the last user."""
        self._counts[:] = 0

    def act(self, views: Sequence[int]) -> tuple[int, float]:
        """See ``Agent``."""
        for view in views:
            self._counts[view] += 1
        if not self._draws:
            return int(self._counts.argmax()), 1.0
        self._rng.random_sample()  # the original asks at each step whether to explore, which it never does by default
        shares = self._counts / self._counts.sum()
        product = int(self._rng.choice(len(shares), p=shares))
        return product, float(shares[product])


class _LastViewed(Agent):
    """Has a table of products by the product viewed last, and recommends the best of a row."""

    def __init__(self, products: int):
        self._last: int | None = None
        self._table = np.zeros((products, products))

    def _look(self, views: Sequence[int]) -> None:
        if len(views):
            self._last = views[-1]

    def act(self, views: Sequence[int]) -> tuple[int, float]:
        """See ``Agent``."""
        self._look(views)
        return int(self._table[self._last].argmax()), 1.0


class OrganicCount(_LastViewed):
    """The product most often viewed in one visit with the product viewed last, mostly that product itself."""

    def train(self, views: Sequence[int], product: int | None, clicked: int | None, done: bool) -> None:
        """Count the pairs of views."""
        if len(views):
            counts = np.bincount(views, minlength=len(self._table)).astype(float)
            self._table += np.outer(counts, counts)


class BanditCount(_LastViewed):
    """The product with the highest (clicks + 1) / (shown + 2) beside the product viewed last."""

    def __init__(self, products: int, *, original: bool = False):
        super().__init__(products)
        self._original = original
        self._shown, self._clicks = np.zeros((products, products)), np.zeros((products, products))
        self._table += 0.5

    def train(self, views: Sequence[int], product: int | None, clicked: int | None, done: bool) -> None:
        """Count a recommendation and its click beside the product viewed last.

        The original's slip: beside the one viewed last *before* ``views``; and the first recommendation of all, before
        which nothing was viewed, counts for the whole row of the product shown.
        """
        if product is None:
            return
        before = self._last
        self._look(views)
        viewed = before if self._original else self._last
        at = (product, slice(None)) if viewed is None else (viewed, product)
        self._shown[at] += 1
        self._clicks[at] += clicked
        self._table[at] = (self._clicks[at] + 1) / (self._shown[at] + 2)


class LogisticAgent(Agent):
    """The product with the highest click probability of a regression on views, product and their products."""

    def __init__(self, products: int, *, original: bool = False):
        self._products, self._counts, self._original = products, np.zeros(products), original
        self._rows: list[tuple[np.ndarray, int, int]] = []
        self._model: ClickRegression | None = None

    def begin(self) -> None:
        """Forget the last user."""
        self._counts[:] = 0

    def train(self, views: Sequence[int], product: int | None, clicked: int | None, done: bool) -> None:
        """Keep a recommendation, and the views of its user so far."""
        for view in views:
            self._counts[view] += 1
        if product is not None:
            self._rows.append((self._counts.copy(), product, clicked))
        if done:
            self._counts[:] = 0

    def act(self, views: Sequence[int]) -> tuple[int, float]:
        """See ``Agent``. The regression is fitted when it is first asked."""
        if self._model is None:
            counts, products, clicks = map(np.array, zip(*self._rows, strict=True))
            # The original's column of the product shown has its number where others have a 1: product 0 has none.
            scale = np.arange(self._products) if self._original else np.ones(self._products)
            self._model = ClickRegression(scale).fit(counts, products, clicks)
        for view in views:
            self._counts[view] += 1
        crossed = self._misplaced() if self._original else None
        return int(self._model.scores(self._counts, crossed).argmax()), 1.0

    def _misplaced(self) -> np.ndarray:
        """The views [product, view] as the original multiplies them with products when it recommends.

        It repeats each number where it should repeat the row of numbers, so most stand beside other products.
        """
        seen = np.flatnonzero(self._counts)
        crossed = np.zeros((self._products, self._products))
        crossed[:, seen] = np.repeat(self._counts[seen], self._products).reshape(self._products, len(seen))
        return crossed
