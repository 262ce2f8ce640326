"""RecoGym-v0: the catalogue, and one user at a time."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from rl_recsys.recogym.draws import Kind
from rl_recsys.recogym.settings import ClusterSettings
from rl_recsys.recogym.world import World, cumulated


@dataclass(frozen=True)
class ClusterCatalogue:
    """What the seed decides: ``phi`` and ``click_probs`` [product shown, product viewed last]."""

    phi: np.ndarray
    click_probs: np.ndarray
    block: int

    @classmethod
    def draw(cls, settings: ClusterSettings) -> ClusterCatalogue:
        """s(P/5 (T + T') + phi - 5), s the logistic function and T the moves between products in the shop."""
        products, block = settings.num_products, settings.num_products // settings.num_clusters
        cluster = np.arange(products) // block
        moves = (cluster[:, None] == cluster) / block
        rng = np.random.RandomState(settings.random_seed)
        phi = rng.normal(scale=np.sqrt(settings.phi_var), size=(products, products))
        return cls(phi, 1 / (1 + np.exp(5 - products / 5 * (moves + moves.T) - phi)), block)


class ClusterWorld(World):
    """A user is the product viewed last. The clock stands still, as in the original."""

    def __init__(self, settings: ClusterSettings):
        self._catalogue = ClusterCatalogue.draw(settings)
        # The threshold is the inversion method's of a binomial of one trial, which computes 1 - p by a logarithm.
        self._no_click = np.exp(np.log(1.0 - self._catalogue.click_probs)).tolist()
        self._first = cumulated(np.ones(settings.num_products) / settings.num_products)
        self._block = self._catalogue.block
        self._within = cumulated([1 / self._block] * self._block)
        self._last = 0
        super().__init__(settings)

    def catalogue(self) -> dict[str, np.ndarray]:
        """ "phi" and "click_probs", both [product shown, product viewed last]."""
        return {"phi": self._catalogue.phi, "click_probs": self._catalogue.click_probs}

    def _begin(self) -> None:
        self._last = bisect_right(self._first, self._draws.uniforms(Kind.START)())  # is not shown

    def _view(self) -> int:
        start = self._last - self._last % self._block
        self._last = start + bisect_right(self._within, self._draw_view())
        return self._last

    def _moved(self, organic: bool) -> None:
        """Nothing drifts."""

    def click_probability(self, product: int) -> float:
        """Of one product, beside the last one viewed."""
        return 1.0 - self._no_click[product][self._last]

    def click_probabilities(self) -> np.ndarray:
        """Of all products."""
        return self._catalogue.click_probs[:, self._last]
