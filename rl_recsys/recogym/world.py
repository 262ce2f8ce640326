"""One user after the other: the Markov chain that both simulators share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import accumulate
from typing import Any

import numpy as np

from rl_recsys.errors import UserError
from rl_recsys.recogym.draws import Kind, open_draws
from rl_recsys.recogym.settings import Settings


class NoRecommendationError(UserError, RuntimeError):
    """A recommendation for a user who has left, or before any user came."""


#: Where a user is: in the shop, elsewhere with a recommendation to come, or gone. Plain numbers are compared fastest.
ORGANIC, BANDIT, STOP = range(3)


def cumulated(probabilities) -> list[float]:
    """The cumulative probabilities, of which the last is exactly 1."""
    sums = list(accumulate(probabilities))
    return [each / sums[-1] for each in sums]


class World(ABC):
    """A simulator that plays a user: ``begin``, then ``recommend`` until ``left``.

    ``views`` are the products seen in the shop since the last recommendation, ``view_times`` their times; ``time`` is
    now, ``user`` the number of the user. ``left``: the user is gone; if not, a recommendation is due.
    """

    tick = 0.0  # how far the clock goes at each move
    moved_always = False  # whether ``_moved`` is called after a move to another state than organic too

    def __init__(self, settings: Settings):
        self.settings = settings
        (self._stay, self._to_bandit, _), (self._to_organic, self._remain, _) = map(cumulated, settings.moves)
        self.views: list[int] = []
        self.view_times: list[float] = []
        self.user, self.time = -1, 0.0
        self.seed_users(settings.random_seed)

    def seed_users(self, seed: int) -> None:
        """Begin again with the users of another seed; the catalogue stays."""
        self._draws = open_draws(self.settings, seed)
        self._bind()
        self.left = True

    def _bind(self) -> None:
        self._draw_view, self._draw_click = self._draws.uniforms(Kind.VIEW), self._draws.uniforms(Kind.CLICK)
        self._draw_move = self._draws.uniforms(Kind.MOVE)

    def __getstate__(self) -> dict[str, Any]:
        # What draws belongs to this world's generators: a copy must have its own.
        return {name: value for name, value in vars(self).items() if not name.startswith("_draw_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._bind()

    def begin(self, user: int) -> None:
        """A new user, who is in the shop until a recommendation is due or the user has left."""
        self._draws.begin(user)
        self.user, self.time = user, 0.0
        self._begin()
        self._visit_shop()

    def recommend(self, product: int) -> bool:
        """Show a product, elsewhere; whether it is clicked. The views that follow are in ``views``.

        Raises ``NoRecommendationError`` where the user has left.
        """
        if self.left:
            raise NoRecommendationError("the user has left: begin another one")
        if self.views:
            self.views, self.view_times = [], []
        clicked = self._draw_click() >= 1.0 - self.click_probability(product)
        drawn = self._draw_move()
        if self._to_organic <= drawn < self._remain and not (clicked or self.moved_always):
            self._draws.event += 1  # what most recommendations come to, so without a call
            self.time += self.tick
            return False
        state = self._move(drawn, self._to_organic, self._remain)
        if clicked or state == ORGANIC:  # a click keeps a user who was about to leave
            self._visit_shop()
        else:
            self.left = state == STOP
        return clicked

    def random_product(self) -> int:
        """What the random logging policy recommends."""
        return self._draws.product(self.settings.num_products)

    def _visit_shop(self) -> None:
        views, times = self.views, self.view_times = [], []
        state = ORGANIC
        while state == ORGANIC:
            views.append(self._view())
            times.append(self.time)
            state = self._move(self._draw_move(), self._stay, self._to_bandit)
        self.left = state == STOP

    def _move(self, drawn: float, organic: float, there: float) -> int:
        """The next state, by cumulative probabilities: of organic, and of either organic or bandit."""
        self._draws.event += 1
        self.time += self.tick
        if drawn < organic or self.moved_always:
            self._moved(drawn < organic)
        return ORGANIC if drawn < organic else BANDIT if drawn < there else STOP

    @abstractmethod
    def click_probability(self, product: int) -> float:
        """Of one product, now."""

    @abstractmethod
    def click_probabilities(self) -> np.ndarray:
        """Of all products [num_products], now: what an agent cannot see."""

    @abstractmethod
    def catalogue(self) -> dict[str, Any]:
        """The arrays that the seed decided, by name."""

    @abstractmethod
    def _begin(self) -> None:
        """Draw what a user has."""

    @abstractmethod
    def _view(self) -> int:
        """Draw the product that is viewed next."""

    @abstractmethod
    def _moved(self, organic: bool) -> None:
        """Change what changes with a move to another state."""
