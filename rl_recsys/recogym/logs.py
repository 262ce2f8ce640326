"""What users did and what they were shown, as logs to learn from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rl_recsys.recogym.agents import Agent, RandomLogging
from rl_recsys.recogym.settings import MOST_USERS, SettingsError
from rl_recsys.recogym.world import World

NONE = -1  # in a column of whole numbers: not there


@dataclass
class Log:
    """A row an event, in order, as columns. A view has ``v``; a recommendation has ``a``, ``c`` and ``ps``."""

    t: list[float] = field(default_factory=list)
    """Time of the view, or of the decision what to recommend."""
    u: list[int] = field(default_factory=list)
    """User."""
    v: list[int] = field(default_factory=list)
    """Product viewed, or ``NONE``."""
    a: list[int] = field(default_factory=list)
    """Product recommended, or ``NONE``."""
    c: list[int] = field(default_factory=list)
    """1 for a click, 0 for none, ``NONE`` for a view."""
    ps: list[float] = field(default_factory=list)
    """The agent's probability of the product recommended; nan for a view."""

    def add(self, t: float, u: int, *, v: int = NONE, a: int = NONE, c: int = NONE, ps: float = np.nan) -> None:
        """Append a row."""
        for column, value in ((self.t, t), (self.u, u), (self.v, v), (self.a, a), (self.c, c), (self.ps, ps)):
            column.append(value)

    @property
    def recommendations(self) -> int:
        """Rows with a recommendation."""
        return sum(product != NONE for product in self.a)

    @property
    def clicks(self) -> int:
        """Rows with a click."""
        return sum(click == 1 for click in self.c)


def generate_logs(
    world: World, users: int, agent: Agent | None = None, *, organic_users: int = 0, first_user: int = 0
) -> Log:
    """Play users with an agent, by default the random logging policy, and log all.

    ``organic_users`` come first and leave after their first visit to the shop. Under the quirk "phantom_rows" the agent
    is asked once more after a user has left, and a recommendation without a click is logged; under "user_limit" more
    users than 16 bits can number raise ``SettingsError``.
    """
    quirks = world.settings.quirks
    if "user_limit" in quirks and first_user + organic_users + users > MOST_USERS + 1:
        raise SettingsError(f"users above {MOST_USERS:,} need quirks without 'user_limit', as the original has it")
    agent, log = agent or RandomLogging(world), Log()
    for user in range(first_user, first_user + organic_users):
        world.begin(user)
        _add_views(log, world)
    for user in range(first_user + organic_users, first_user + organic_users + users):
        world.begin(user)
        agent.begin()
        while not world.left:
            _add_views(log, world)
            time, (product, propensity) = world.time, agent.act(world.views)
            log.add(time, user, a=product, c=int(world.recommend(product)), ps=propensity)
        _add_views(log, world)
        if "phantom_rows" in quirks:
            product, propensity = agent.act(world.views)
            log.add(world.time, user, a=product, c=0, ps=propensity)
    return log


def _add_views(log: Log, world: World) -> None:
    for time, view in zip(world.view_times, world.views, strict=True):
        log.add(time, world.user, v=view)
