"""What a recommender of Virtual-Taobao has to beat, of any networks.

    python -m rl_recsys.virtual_taobao.baselines worlds/virtual-taobao
    python -m rl_recsys.virtual_taobao.baselines stand-in:0 --leave-when-bored

Takes a minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import tyro

from rl_recsys.console.command import Flags, run_module
from rl_recsys.console.progress import phase
from rl_recsys.console.ranges import COUNT, SEED
from rl_recsys.console.table import Table
from rl_recsys.evaluation.comparison import percent, with_interval
from rl_recsys.virtual_taobao.agents import Truth, expected_clicks
from rl_recsys.virtual_taobao.evaluation import compare_arms
from rl_recsys.virtual_taobao.networks import ITEM_ATTRIBUTES
from rl_recsys.virtual_taobao.search import FIRST, best_program
from rl_recsys.virtual_taobao.settings import Settings
from rl_recsys.virtual_taobao.weights import open_weights
from rl_recsys.virtual_taobao.world import World

DRAWN, KEPT, LOOKED_AT = 2048, 256, 32  # actions drawn, and kept of them for the truth; customers by whom


@dataclass(kw_only=True)
class Arguments(Flags):
    """Play the baselines."""

    weights: Annotated[str, tyro.conf.Positional]
    """Whose networks: a folder made by jobs/prepare_virtual_taobao.py, or stand-in:SEED."""
    leave_when_bored: bool = False
    """Customers tire of the same; the best of two pages in turn is an arm too then."""
    customers: Annotated[int, COUNT] = 1000
    """Customers that each arm serves, the same for all."""
    seed: Annotated[int, SEED] = 0
    """Decides the customers."""


def main(arguments: Arguments) -> None:
    """Print a row an arm."""
    settings = Settings(
        weights=arguments.weights, random_seed=arguments.seed, leave_when_bored=arguments.leave_when_bored
    )
    called = open_weights(settings.weights).called
    arms = {f"the truth among {KEPT} actions": Truth(good_actions(settings))}
    with phase("search for what is best for everybody"):
        constant = best_program(settings, 1)
        if settings.leave_when_bored:
            arms["best two pages in turn"] = best_program(settings, 2)
    with phase("play"):
        results = compare_arms(settings, arms, customers=arguments.customers, constant=constant)
    rows = [
        (name, percent(result.rate, result.rate_interval),
         with_interval(result.clicks.mean(), result.clicks_interval), f"{result.pages.mean():.2f}")
        for name, result in results.items()
    ]  # fmt: skip
    bored = ", who leave when bored" if settings.leave_when_bored else ""
    caption = (
        f"{called}; {arguments.customers:,} customers of seed {arguments.seed}{bored}; 95 % intervals over customers"
    )
    Table("", ("arm", "click rate, %", "clicks a customer", "pages"), rows, caption).show()


def good_actions(settings: Settings) -> np.ndarray:
    """Of actions drawn uniformly those with most clicks on the first page [256, 27]: what the truth chooses among."""
    actions = np.random.default_rng(0).uniform(-1, 1, (DRAWN, ITEM_ATTRIBUTES)).astype(np.float32)
    places = np.arange(LOOKED_AT)
    world = World(settings, LOOKED_AT)
    world.begin(places, FIRST + places)
    clicks = expected_clicks(world, np.repeat(places, DRAWN), np.tile(actions, (LOOKED_AT, 1)))
    return actions[np.argsort(-clicks.reshape(LOOKED_AT, DRAWN).mean(axis=0))[:KEPT]]


if __name__ == "__main__":
    run_module(main, Arguments, __doc__)
