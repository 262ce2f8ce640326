"""Who recommends without having learnt: by chance, the same to everybody, or knowing the truth."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from rl_recsys.core import counter
from rl_recsys.virtual_taobao.draws import Kind
from rl_recsys.virtual_taobao.networks import ITEM_ATTRIBUTES
from rl_recsys.virtual_taobao.world import World


class Agent(Protocol):
    """Recommends to all the customers of a world at once."""

    def act(self, world: World) -> np.ndarray:
        """An action for each place [size, 27]; what is said for those who have left is not used."""


class RandomAgent:
    """Uniform in [-1, 1]: by seed, customer and page alone, so however many customers are served at once."""

    def __init__(self, seed: int = 0):
        self._seed = seed

    def act(self, world: World) -> np.ndarray:
        """See ``Agent``."""
        keys = counter.keys(self._seed, Kind.ACTION, world.customers)[:, None]
        place = world.pages[:, None] * ITEM_ATTRIBUTES + np.arange(ITEM_ATTRIBUTES)
        return (2 * counter.uniforms(keys, place) - 1).astype(np.float32)


class Program:
    """The same to every customer: actions [n, 27], page by page, over and over. One action is a constant."""

    def __init__(self, actions: np.ndarray):
        self.actions = np.atleast_2d(np.asarray(actions, np.float32))

    def act(self, world: World) -> np.ndarray:
        """See ``Agent``."""
        return self.actions[world.pages % len(self.actions)]


class Truth:
    """Of some actions [n, 27] the one with most clicks for this customer on this page, read from the world.

    Where customers can be bored, one of those that do not bore, if there is any.
    """

    def __init__(self, actions: np.ndarray):
        self.actions = np.asarray(actions, np.float32)

    def act(self, world: World) -> np.ndarray:
        """See ``Agent``."""
        chosen = np.zeros((world.size, ITEM_ATTRIBUTES), np.float32)
        for place in np.flatnonzero(~world.left):
            places = np.full(len(self.actions), place)
            clicks = expected_clicks(world, places, self.actions)
            chosen[place] = self.actions[np.argmax(clicks - 100 * world.would_bore(places, self.actions))]
        return chosen


def expected_clicks(world: World, places: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Of pages of actions [n, 27] for the customers at places [n]: [n]."""
    probabilities = world.click_probabilities(places, actions)
    return probabilities @ np.arange(probabilities.shape[1])
