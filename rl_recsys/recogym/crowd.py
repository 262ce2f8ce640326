"""Many users at once, in arrays: the paired stream's users as ``world`` plays them, event for event."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from rl_recsys.core import counter
from rl_recsys.recogym.cluster import ClusterCatalogue
from rl_recsys.recogym.draws import Kind
from rl_recsys.recogym.latent import LatentCatalogue, click_rate
from rl_recsys.recogym.settings import ClusterSettings, LatentSettings, Settings, SettingsError
from rl_recsys.recogym.world import ORGANIC, STOP, cumulated


class Crowd(ABC):
    """``size`` places, each with one user: ``begin`` fills them, ``recommend`` shows each user a product.

    ``users`` [size] are their numbers, ``left`` [size] says who is gone, ``last`` [size] the product viewed last and
    ``counts`` [size, P] (int32) this user's views so far. ``event`` [size] is the number of the event that comes next,
    by which chance is drawn. ``views`` is what was viewed since the last recommendation, in order: pairs of places and
    of the product that each viewed. A place whose user has left does not change until the next ``begin``. Raises
    ``SettingsError`` in the original's stream, which is one after the other.
    """

    def __init__(self, settings: Settings, size: int):
        if settings.stream != "paired":
            raise SettingsError("many users at once need stream='paired': the original's is drawn one after the other")
        self.settings, self.size = settings, size
        self.users = np.full(size, -1)
        self.counts = np.zeros((size, settings.num_products), np.int32)
        self.last = np.zeros(size, int)
        self.time = np.zeros(size)
        self.left = np.ones(size, bool)
        self.event = np.zeros(size, int)
        self.views: list[tuple[np.ndarray, np.ndarray]] = []
        self._keys = {kind: np.zeros(size, np.uint64) for kind in Kind}
        # Next state by a draw: above the first number not organic, above the second not bandit either.
        rows = [cumulated(row)[:2] for row in settings.moves]
        self._from_organic, self._from_bandit = rows
        self.seed_users(settings.random_seed)

    def seed_users(self, seed: int) -> None:
        """Users of another seed from the next ``begin`` on; the catalogue stays."""
        self._seed = seed

    def begin(self, places: np.ndarray, users: np.ndarray) -> None:
        """Put new users into places (indices), and play them until a recommendation is due or they have left."""
        self.users[places] = users
        for kind in Kind:
            self._keys[kind][places] = counter.keys(self._seed, kind, users)
        self.event[places], self.time[places], self.counts[places] = 0, 0.0, 0
        self._begin(places)
        self.views = []
        self._visit_shop(places)

    def recommend(self, products: np.ndarray) -> np.ndarray:
        """Show each user who is there a product [size]; whether each was clicked [size] (bool)."""
        there = np.flatnonzero(~self.left)
        clicked = np.zeros(self.size, bool)
        drawn = self._uniforms(Kind.CLICK, there)
        hits = drawn >= 1.0 - self._click_probability(there, np.asarray(products)[there])
        clicked[there] = hits
        self._go_on(there, hits)
        return clicked

    def ignore(self) -> None:
        """Show each user who is there something that nobody clicks."""
        there = np.flatnonzero(~self.left)
        self._go_on(there, np.zeros(len(there), bool))

    def click_probabilities(self) -> np.ndarray:
        """Of all products for every place [size, P], now: what an agent cannot see."""
        return self.rates(self.taste)

    def _go_on(self, there: np.ndarray, clicked: np.ndarray) -> None:
        state = self._move(there, self._from_bandit)
        state[clicked] = ORGANIC
        self.left[there] = state == STOP
        self.views = []
        self._visit_shop(there[state == ORGANIC])

    def _visit_shop(self, places: np.ndarray) -> None:
        self.left[places] = False
        while len(places):
            seen = self._view(places)
            self.views.append((places, seen))
            self.last[places] = seen
            self.counts[places, seen] += 1
            state = self._move(places, self._from_organic)
            self.left[places[state == STOP]] = True
            places = places[state == ORGANIC]

    def _move(self, places: np.ndarray, row: list[float]) -> np.ndarray:
        drawn = self._uniforms(Kind.MOVE, places)
        state = (drawn >= row[0]).astype(np.int8)
        state += drawn >= row[1]
        self.event[places] += 1
        self._moved(places, state == ORGANIC)
        return state

    def _uniforms(self, kind: Kind, places: np.ndarray) -> np.ndarray:
        return counter.uniforms(self._keys[kind][places], self.event[places])

    def _normals(self, kind: Kind, places: np.ndarray, width: int) -> np.ndarray:
        return counter.normals(self._keys[kind][places], self.event[places], width)

    @property
    @abstractmethod
    def taste(self) -> np.ndarray:
        """All of each user that decides what is clicked now [size, W]."""

    @abstractmethod
    def rates(self, taste: np.ndarray) -> np.ndarray:
        """The click probabilities [n, P] of users of such tastes [n, W]."""

    @abstractmethod
    def _begin(self, places: np.ndarray) -> None:
        """Draw what users have."""

    @abstractmethod
    def _view(self, places: np.ndarray) -> np.ndarray:
        """Draw the products that are viewed next."""

    @abstractmethod
    def _moved(self, places: np.ndarray, organic: np.ndarray) -> None:
        """Change what changes with a move; ``organic`` [places]: who is in the shop now."""

    @abstractmethod
    def _click_probability(self, places: np.ndarray, products: np.ndarray) -> np.ndarray:
        """Of one product for each place."""


class ClusterCrowd(Crowd):
    """Users of RecoGym-v0."""

    def __init__(self, settings: ClusterSettings, size: int):
        self._catalogue = ClusterCatalogue.draw(settings)
        self._first = np.array(cumulated(np.ones(settings.num_products) / settings.num_products))
        self._within = np.array(cumulated(np.ones(self._catalogue.block) / self._catalogue.block))
        super().__init__(settings, size)

    @property
    def taste(self) -> np.ndarray:
        """The product viewed last [size, 1]."""
        return self.last[:, None]

    def rates(self, taste: np.ndarray) -> np.ndarray:
        """[n, P]."""
        return self._catalogue.click_probs[:, taste[:, 0]].T

    def _begin(self, places: np.ndarray) -> None:
        self.last[places] = self._first.searchsorted(self._uniforms(Kind.START, places), "right")

    def _view(self, places: np.ndarray) -> np.ndarray:
        last = self.last[places]
        return (
            last - last % self._catalogue.block + self._within.searchsorted(self._uniforms(Kind.VIEW, places), "right")
        )

    def _moved(self, places: np.ndarray, organic: np.ndarray) -> None:
        """Nothing drifts."""

    def _click_probability(self, places: np.ndarray, products: np.ndarray) -> np.ndarray:
        return self._catalogue.click_probs[products, self.last[places]]


class LatentCrowd(Crowd):
    """Users of RecoGym-v1; ``omega`` [size, K] are their tastes."""

    def __init__(self, settings: LatentSettings, size: int):
        self._catalogue = LatentCatalogue.draw(settings)
        self.omega = np.zeros((size, settings.K))
        self._clock = np.zeros(size)
        super().__init__(settings, size)

    @property
    def taste(self) -> np.ndarray:
        """``omega`` [size, K]."""
        return self.omega

    def rates(self, taste: np.ndarray) -> np.ndarray:
        """[n, P]."""
        return click_rate(taste @ self._catalogue.beta.T + self._catalogue.mu_bandit)

    def _begin(self, places: np.ndarray) -> None:
        self._clock[places] = self._new_time(places, np.zeros(len(places)))
        self.omega[places] = self.settings.sigma_omega_initial * self._normals(Kind.TASTE, places, self.settings.K)

    def _new_time(self, places: np.ndarray, time: np.ndarray) -> np.ndarray:
        if self.settings.normal_time is None:
            return time + 1.0
        mean, deviation = self.settings.normal_time
        return time + abs(mean + deviation * self._normals(Kind.TIME, places, 1)[:, 0])

    def _view(self, places: np.ndarray) -> np.ndarray:
        scores = self._catalogue.gamma @ self.omega[places].T  # [P, places]: sums over short rows would be slow
        scores += self._catalogue.mu_organic[:, None]
        scores -= scores.max(axis=0)
        sums = np.exp(scores, out=scores).cumsum(axis=0)
        passed = (sums <= self._uniforms(Kind.VIEW, places) * sums[-1]).sum(axis=0)
        return np.minimum(passed, self.settings.num_products - 1)

    def _moved(self, places: np.ndarray, organic: np.ndarray) -> None:
        now = self._clock[places]
        passed = now - self.time[places]
        self.time[places], self._clock[places] = now, self._new_time(places, now)
        if not self.settings.change_omega_for_bandits:
            places, passed = places[organic], passed[organic]
        if len(places):
            size = self.settings.sigma_omega * np.where(passed == 0, 1.0, passed)
            self.omega[places] += size[:, None] * self._normals(Kind.TASTE, places, self.settings.K)

    def _click_probability(self, places: np.ndarray, products: np.ndarray) -> np.ndarray:
        scores = np.einsum("nk,nk->n", self._catalogue.beta[products], self.omega[places])
        return click_rate(scores + self._catalogue.mu_bandit[products])
