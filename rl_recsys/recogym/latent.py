"""RecoGym-v1: the catalogue, and one user at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_recsys.recogym.draws import Kind
from rl_recsys.recogym.settings import LatentSettings
from rl_recsys.recogym.world import World


@dataclass(frozen=True)
class LatentCatalogue:
    """What the seed decides: of views ``gamma`` [P, K] and ``mu_organic`` [P], of clicks ``beta`` and ``mu_bandit``."""

    gamma: np.ndarray
    mu_organic: np.ndarray
    beta: np.ndarray
    mu_bandit: np.ndarray

    @classmethod
    def draw(cls, settings: LatentSettings) -> LatentCatalogue:
        """Vectors and popularity, and for clicks the same with similar products in each other's place."""
        rng = np.random.RandomState(settings.random_seed)
        gamma = rng.normal(size=(settings.num_products, settings.K))
        mu = rng.normal(0, settings.sigma_mu_organic, size=settings.num_products)
        order = _flipped(gamma, settings.number_of_flips)
        beta = gamma[order]
        if settings.normalize_beta:
            beta = beta / np.linalg.norm(beta, axis=1, keepdims=True)
        return cls(gamma, mu, beta, mu[order])


def _flipped(gamma: np.ndarray, flips: int) -> np.ndarray:
    """The products [P], of which so many pairs have changed places: the most similar first, each product once."""
    products = len(gamma)
    order = np.arange(products)
    if not flips:
        return order
    similarity = gamma @ gamma.T
    np.fill_diagonal(similarity, 0.0)
    free = np.ones(products, bool)
    for place in similarity.ravel().argsort()[::-1].tolist():
        one, other = divmod(place, products)
        if free[one] and free[other]:  # a product and itself, should they come so early, count as in the original
            order[one], order[other] = other, one
            free[one] = free[other] = False
            flips -= 1
            if not flips:
                break
    return order


def click_rate(score):
    """The click probability of a score beta . omega + mu_bandit; from 0.447 % to 2.931 %. For arrays."""
    first = 1 / (1 + np.exp(-0.3 * score))
    second = 1 / (1 + np.exp(2 - 2 * first))
    return 1 / (1 + np.exp(6 - 5 * second))


class LatentWorld(World):
    """A user is a taste ``omega`` [K], which drifts in the shop."""

    def __init__(self, settings: LatentSettings):
        self._catalogue = LatentCatalogue.draw(settings)
        self._gamma, self._mu = self._catalogue.gamma, self._catalogue.mu_organic
        self.omega = np.zeros(settings.K)
        self._rates: np.ndarray | None = None  # of this taste, once they are asked for
        self._width, self._sigma, self._normal_time = settings.K, settings.sigma_omega, settings.normal_time
        self.tick = 1.0 if settings.normal_time is None else 0.0
        self._drifts_always = settings.change_omega_for_bandits
        self.moved_always = self._drifts_always or settings.normal_time is not None
        super().__init__(settings)

    def catalogue(self) -> dict[str, np.ndarray]:
        """ "gamma" [P, K], "mu_organic" [P], "beta" [P, K], "mu_bandit" [P]."""
        return dict(vars(self._catalogue))

    def _begin(self) -> None:
        if self._normal_time is not None:
            self._next_time = self._step()
        self.omega = self.settings.sigma_omega_initial * self._draws.normals(Kind.TASTE, self._width)
        self._rates = None

    def _step(self) -> float:
        """The time from this event to the next one."""
        mean, deviation = self._normal_time
        return abs(mean + deviation * float(self._draws.normals(Kind.TIME, 1)[0]))

    def _view(self) -> int:
        scores = self._gamma @ self.omega
        scores += self._mu
        scores -= np.maximum.reduce(scores)
        sums = np.add.accumulate(np.exp(scores, scores))
        return min(int(sums.searchsorted(self._draw_view() * sums[-1], "right")), len(sums) - 1)

    def _moved(self, organic: bool) -> None:
        passed = 1.0
        if self._normal_time is not None:  # the original draws the time after the next one ahead
            passed, self.time = self._next_time - self.time, self._next_time
            self._next_time += self._step()
        if organic or self._drifts_always:
            drift = self._draws.normals(Kind.TASTE, self._width) * (self._sigma * (passed or 1.0))
            self.omega, self._rates = self.omega + drift, None

    def click_probability(self, product: int) -> float:
        """Of one product. All are computed at once and kept while the taste is the same."""
        if self._rates is None:
            self._rates = self.click_probabilities()
        return self._rates.item(product)

    def click_probabilities(self) -> np.ndarray:
        """Of all products."""
        return click_rate(self._catalogue.beta @ self.omega + self._catalogue.mu_bandit)
