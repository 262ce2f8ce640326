"""How many clicks arms get from the same customers, beside those that have learnt of nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rl_recsys.evaluation.intervals import ratio_interval
from rl_recsys.virtual_taobao.agents import Agent, Program, RandomAgent
from rl_recsys.virtual_taobao.networks import ITEM_ATTRIBUTES, SHOWN
from rl_recsys.virtual_taobao.search import best_program
from rl_recsys.virtual_taobao.settings import Settings, SettingsError
from rl_recsys.virtual_taobao.weights import open_weights
from rl_recsys.virtual_taobao.world import World

BEST_CONSTANT = "best constant"


@dataclass(frozen=True)
class ArmResult:
    """Clicks and pages of an arm [customers]; intervals are over customers, whose pages are alike."""

    clicks: np.ndarray
    pages: np.ndarray

    @property
    def rate(self) -> float:
        """Clicks an item shown: the original's CTR, over all customers."""
        return float(self.clicks.sum() / self.pages.sum() / SHOWN)

    @property
    def rate_interval(self) -> tuple[float, float]:
        """Of ``rate``, 95 %; where all items were clicked, or none, by the rule of three over customers."""
        low, high = ratio_interval(self.clicks, self.pages * SHOWN)
        unseen = 3 / len(self.clicks)
        low = 1 - unseen if self.rate == 1 else max(0.0, low)
        return low, unseen if self.rate == 0 else min(1.0, high)

    @property
    def clicks_interval(self) -> tuple[float, float]:
        """Of the clicks a customer, 95 %."""
        return ratio_interval(self.clicks, np.ones(len(self.clicks)))


def compare_arms(
    settings: Settings, arms: Mapping[str, Agent], *, customers: int, constant: Program | None = None
) -> dict[str, ArmResult]:
    """Serve the same customers with each arm, and with those that every result must stand beside.

    These are random actions, zeros, and the best ``constant``, which is searched where none is given. Raises
    ``SettingsError`` in the original's stream, where arms would meet different customers, and for a name that is taken.
    """
    if settings.stream != "paired":
        raise SettingsError("arms are compared with stream='paired': in the original's they meet different customers")
    constant = best_program(settings, 1) if constant is None else constant
    beside = {
        BEST_CONSTANT: constant,
        "random": RandomAgent(),
        "zeros": Program(np.zeros((1, ITEM_ATTRIBUTES))),
    }
    if taken := beside.keys() & arms.keys():
        raise SettingsError(f"the arm {sorted(taken)[0]!r} is always there: name yours otherwise")
    weights = open_weights(settings.weights)
    results = {}
    for name, agent in {**beside, **arms}.items():
        world = World(settings, customers, weights=weights)
        world.begin(np.arange(customers), np.arange(customers))
        while not world.left.all():
            world.show(agent.act(world))
        results[name] = ArmResult(world.clicks.copy(), world.pages.copy())
    return results
