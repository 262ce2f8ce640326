"""The best that can be recommended to everybody alike: what a recommender has to beat to have learnt of customers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rl_recsys.virtual_taobao.agents import Program
from rl_recsys.virtual_taobao.networks import ITEM_ATTRIBUTES
from rl_recsys.virtual_taobao.settings import Settings
from rl_recsys.virtual_taobao.weights import open_weights
from rl_recsys.virtual_taobao.world import World

#: Number of the first customer of a search: evaluations begin with customer 0.
FIRST = 10**9
STEP = 0.7  # how far the normals move in a generation


@dataclass(frozen=True)
class Search:
    """How long to search: ten seconds on one core for a constant, with nearly all clicks of the published world."""

    restarts: int = 16
    generations: int = 30
    population: int = 64
    elite: int = 8
    customers: int = 8
    """That each member of a generation meets; four times as many around the best of the restarts, and in the end."""


def best_program(settings: Settings, pages: int, *, search: Search = Search(), seed: int = 0) -> Program:
    """The best program of so many pages, by clicks a customer: the cross-entropy method (Rubinstein 1999).

    Actions are drawn from normals, which move to the best of them. What is found hangs on where it began, so it is
    begun anew ``restarts`` times, and the best is searched around once more.
    """
    meet = _Customers(replace(settings, stream="paired"))
    rng = np.random.default_rng(seed)
    few, many = search.customers, 4 * search.customers
    start = np.zeros((pages, ITEM_ATTRIBUTES))
    found = [_searched(start, 0.5, few, search, meet, rng) for _ in range(search.restarts)]
    best = _best_of(found, many * search.restarts, meet)
    around = _searched(best, 0.2, many, search, meet, rng)
    return Program(_best_of([best, around], many * search.restarts, meet))


class _Customers:
    """The customers that searches meet, each once."""

    def __init__(self, settings: Settings):
        self._settings, self._weights, self._next = settings, open_weights(settings.weights), FIRST

    def clicks(self, programs: np.ndarray, customers: int) -> np.ndarray:
        """Clicks a customer [n] of programs [n, pages, 27], all of which meet the same so many customers."""
        world = World(self._settings, len(programs) * customers, weights=self._weights)
        numbers = np.arange(self._next, self._next + customers)
        self._next += customers
        world.begin(np.arange(world.size), np.tile(numbers, len(programs)))
        program = np.repeat(np.arange(len(programs)), customers)
        while not world.left.all():
            world.show(programs[program, world.pages % programs.shape[1]])
        return world.clicks.reshape(len(programs), customers).mean(axis=1)


def _searched(
    start: np.ndarray, deviation: float, customers: int, search: Search, meet: _Customers, rng: np.random.Generator
) -> np.ndarray:
    """The mean [pages, 27] to which the normals came."""
    mean, deviations = start, np.full(start.shape, deviation)
    for _ in range(search.generations):
        drawn = np.clip(mean + deviations * rng.standard_normal((search.population, *start.shape)), -1, 1)
        elite = drawn[np.argsort(-meet.clicks(drawn, customers))[: search.elite]]
        mean = (1 - STEP) * mean + STEP * elite.mean(axis=0)
        deviations = (1 - STEP) * deviations + STEP * elite.std(axis=0)
    return mean


def _best_of(programs: Sequence[np.ndarray], customers: int, meet: _Customers) -> np.ndarray:
    return programs[int(np.argmax(meet.clicks(np.array(programs), customers)))]
