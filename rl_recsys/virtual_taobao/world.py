"""Customers who are shown pages: any number at once in the paired stream, one at a time in the original's."""

from __future__ import annotations

import numpy as np

from rl_recsys.errors import UserError
from rl_recsys.virtual_taobao.boredom import Boredom, bored
from rl_recsys.virtual_taobao.draws import Draws, OriginalDraws, PairedDraws
from rl_recsys.virtual_taobao.networks import CUSTOMER, FEATURES, GROUPS, ITEM_ATTRIBUTES
from rl_recsys.virtual_taobao.settings import Settings, SettingsError
from rl_recsys.virtual_taobao.weights import Weights, open_weights

OBSERVED = FEATURES + 3  # a customer's one-hot attributes, the last page's two answers, pages shown


class NoCustomerError(UserError, RuntimeError):
    """A page for a customer who has left, or before any came."""


class World:
    """``size`` places with one customer each: ``begin`` fills them, ``show`` shows each customer a page.

    All of the arrays are by place. ``customers``: their numbers; ``categories`` [size, 11]: their attributes;
    ``leave_pages``: the page after which they leave; ``pages``: pages shown so far; ``answers`` [size, 2]: clicks and
    second number of the last page; ``clicks``: all clicks so far; ``left``: who is gone; ``clipped``: pages so far
    whose action was clipped. A place whose customer has left does not change until the next ``begin``.
    ``pasts`` [size, 27] and ``recent`` [size, memory, 27] bore them, the last page first, where customers can be bored;
    else there are none. ``weights``: the networks, where they are open already.
    Raises ``SettingsError`` for several places in the original's stream, which is one after the other.
    """

    def __init__(self, settings: Settings, size: int = 1, *, weights: Weights | None = None):
        if settings.stream == "original" and size > 1:
            raise SettingsError("many customers at once need stream='paired': the original's are drawn one by one")
        self.settings, self.size = settings, size
        self.weights = open_weights(settings.weights) if weights is None else weights
        self._networks = networks = self.weights.networks
        self.customers = np.full(size, -1)
        self.categories = np.zeros((size, len(GROUPS)), int)
        self.leave_pages, self.pages, self.clicks, self.clipped = (np.zeros(size, int) for _ in range(4))
        self.answers = np.zeros((size, 2), int)
        self.left = np.ones(size, bool)
        self._features = np.zeros((size, FEATURES), np.float32)
        self._begun = networks.begun(self._features)
        self._boredom = Boredom(networks) if settings.leave_when_bored else None
        memory = settings.bored_memory if settings.leave_when_bored else 0
        self.recent = np.zeros((size, memory, ITEM_ATTRIBUTES), np.float32)
        self.pasts = np.zeros((size, ITEM_ATTRIBUTES if memory else 0))
        self.seed_customers(settings.random_seed)

    def seed_customers(self, seed: int) -> None:
        """Customers of another seed from the next ``begin`` on."""
        self._draws: Draws = (OriginalDraws if self.settings.stream == "original" else PairedDraws)(seed)

    def begin(self, places: np.ndarray, customers: np.ndarray) -> None:
        """Put new customers, by their numbers, into places (indices)."""
        draws, networks = self._draws, self._networks
        categories = draws.categories(customers, networks.categories(draws.noise(customers)))
        features = np.zeros((len(customers), FEATURES), np.float32)
        features[np.arange(len(customers))[:, None], categories + CUSTOMER.starts] = 1
        self.customers[places], self.categories[places], self._features[places] = customers, categories, features
        self.leave_pages[places] = draws.leave_pages(customers, networks.leave_pages(features))
        self._begun[places] = networks.begun(features)
        if self._boredom is not None:
            self.pasts[places] = self._boredom.pasts(categories)
        for each in (self.pages, self.clicks, self.clipped, self.answers, self.recent):
            each[places] = 0
        self.left[places] = False

    def show(self, actions: np.ndarray) -> np.ndarray:
        """Show each customer who is there the page of an action [size, 27]; the clicks [size], 0 where nobody is.

        Raises ``NoCustomerError`` where nobody is anywhere.
        """
        there = (~self.left).nonzero()[0]
        if not len(there):
            raise NoCustomerError("the customers have left: begin others")
        rows = slice(None) if len(there) == self.size else there  # without copies where all are there
        given = np.asarray(actions, np.float32)[rows]
        shown = self._taken(given)
        self.clipped[rows] += (shown != given).any(axis=1)
        pages = self.pages[rows].copy()
        probabilities = self._networks.answers(self._begun[rows], pages, shown)
        answers = self._draws.answers(self.customers[rows], pages, probabilities)
        left = pages + 1 >= self.leave_pages[rows]
        if self._boredom is not None:
            recent = self.recent[rows]
            left |= bored(shown, self.pasts[rows], recent, pages)
            self.recent[rows] = np.concatenate([shown[:, None], recent[:, :-1]], axis=1)
        self.answers[rows], self.left[rows] = answers, left
        self.pages[rows] += 1
        self.clicks[rows] += answers[:, 0]
        self._draws.part(np.count_nonzero(left))
        clicks = np.zeros(self.size, int)
        clicks[rows] = answers[:, 0]
        return clicks

    def click_probabilities(self, places: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Of 0 to 10 clicks [n, 11] at places [n], on pages of actions [n, 27]: what a recommender cannot see."""
        actions = self._taken(np.asarray(actions, np.float32))
        return self._networks.answers(self._begun[places], self.pages[places], actions)[0].T

    def would_bore(self, places: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Whether each page would bore its customer [n] (bool), as above: a recommender cannot see this either."""
        if self._boredom is None:
            return np.zeros(len(places), bool)
        shown = self._taken(np.asarray(actions, np.float32))
        return bored(shown, self.pasts[places], self.recent[places], self.pages[places])

    def observation(self) -> np.ndarray:
        """What a recommender sees [size, 91] (float32): one-hot attributes, the last page's answers, pages shown.

        Where customers can be bored, the actions of the last pages come after these, the last page first.
        """
        observed = np.empty((self.size, OBSERVED + self.recent[0].size), np.float32)
        observed[:, :FEATURES] = self._features
        observed[:, FEATURES : FEATURES + 2] = self.answers
        observed[:, OBSERVED - 1] = self.pages
        observed[:, OBSERVED:] = self.recent.reshape(self.size, -1)
        return observed

    def _taken(self, actions: np.ndarray) -> np.ndarray:
        return np.minimum(np.maximum(actions, -1), 1) if self.settings.clip_actions else actions
