"""How often what an agent recommends is clicked: as the original measures it, and of arms on the same users."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass

import numpy as np

from rl_recsys.evaluation.intervals import beta_interval, ratio_interval
from rl_recsys.recogym.agents import Agent, RandomLogging
from rl_recsys.recogym.logs import generate_logs
from rl_recsys.recogym.settings import Settings, SettingsError
from rl_recsys.recogym.world import World
from rl_recsys.recogym.worlds import open_world


def train(world: World, agent: Agent, users: int, *, organic_users: int = 0, first_user: int = 0) -> None:
    """Have an agent learn from users whom the random logging policy serves, in order.

    Under the quirk "phantom_rows" from a recommendation after the user has left, too.
    """
    logging = RandomLogging(world)
    for user in range(first_user, first_user + organic_users):
        world.begin(user)
        agent.train(world.views, None, None, True)
    for user in range(first_user + organic_users, first_user + organic_users + users):
        world.begin(user)
        while not world.left:
            views, (product, _) = world.views, logging.act(world.views)
            clicked = int(world.recommend(product))
            agent.train(views, product, clicked, world.left and "phantom_rows" not in world.settings.quirks)
        if "phantom_rows" in world.settings.quirks:
            agent.train(world.views, logging.act(world.views)[0], 0, True)


def evaluate_as_original(
    world: World,
    agent: Agent,
    *,
    offline_users: int = 1000,
    online_users: int = 100,
    organic_offline_users: int = 0,
    epochs: int = 1,
    epoch_with_random_reset: bool = False,
) -> tuple[float, float, float]:
    """The original's ``test_agent``: train, then play other users; (median, low, high) of the click rate.

    Clicks and recommendations of all epochs are added. ``epoch_with_random_reset``: training and playing both begin
    with the users of seed ``random_seed`` + epoch.
    """
    clicks = recommendations = 0
    for epoch in range(epochs):
        training = playing = world
        if epoch_with_random_reset:
            training, playing = deepcopy(world), deepcopy(world)
            for each in (training, playing):
                each.seed_users(world.settings.random_seed + epoch)
        learner = deepcopy(agent, {id(world): playing})  # an agent that reads its world reads the one it plays in
        train(training, learner, offline_users, organic_users=organic_offline_users)
        # In the paired stream users are new by their numbers; in the original's the numbers decide nothing.
        first = 0 if epoch_with_random_reset else offline_users + organic_offline_users
        log = generate_logs(playing, online_users, learner, first_user=first)
        clicks, recommendations = clicks + log.clicks, recommendations + log.recommendations
    return beta_interval(clicks, recommendations)


@dataclass(frozen=True)
class ArmResult:
    """Clicks and recommendations of an arm [users], and the interval of its rate, clustered by user."""

    clicks: np.ndarray
    recommendations: np.ndarray
    interval: tuple[float, float]

    @property
    def rate(self) -> float:
        """Clicks a recommendation."""
        return float(self.clicks.sum() / self.recommendations.sum())


def compare_arms(
    settings: Settings, arms: Mapping[str, Callable[[World], Agent]], *, offline_users: int, online_users: int
) -> dict[str, ArmResult]:
    """Train each arm on the same users of random logs, then play the same other users with it.

    An arm is made of the world that it plays in. Raises ``SettingsError`` in the original's stream, where arms would
    meet different users.
    """
    if settings.stream != "paired":
        raise SettingsError("arms are compared with stream='paired': in the original's they meet different users")
    results = {}
    for name, make in arms.items():
        world = open_world(settings)
        agent = make(world)
        train(world, agent, offline_users)
        log = generate_logs(world, online_users, agent, first_user=offline_users)
        users, clicks = np.array(log.u) - offline_users, np.array(log.c)
        shown = np.bincount(users[clicks >= 0], minlength=online_users)
        clicked = np.bincount(users[clicks == 1], minlength=online_users)
        results[name] = ArmResult(clicked, shown, ratio_interval(clicked, shown))
    return results
