"""The goals of verl-agent's validations, which its followers report: each a draw of 128 from all goals.

Its code gives every worker a seed of its own, by which it shuffles the goals anew, and keeps the first 500 of that
order for validation. The order of another worker has those goals among the ones for training, so nothing is held out.
Read in JonP07/HiPER-agent@9d3c118 (a fork of verl-agent), agent_system/environments/env_package/webshop/envs.py and
web_agent_site/envs/web_agent_text_env.py; the same in SkillRL, BEACON and RetroAgent. The price limits, which each
worker draws too, are this shop's.
"""

from __future__ import annotations

import random

import numpy as np

from rl_recsys.webshop.goals.goal import webshop_order

VALIDATION_GOALS = 128  # val_data_size of its scripts: as many workers
TRAINING_WORKERS = 16  # train_data_size
FIRST = 500  # goals of each worker's order, from which it validates
_VALIDATION_SEED = 1000  # above the training workers' seeds


def validation_goals(count: int, validations: int, *, seed: int = 0) -> list[list[int]]:
    """The goals [validations, 128] of the first so many validations, of a shop's ``count`` goals in WebShop's order.

    ``seed`` is verl-agent's env.seed. A goal may come twice. Raises ValueError for no more than 500 goals.
    """
    if count <= FIRST:
        raise ValueError(f"{count} goals: a validation draws positions of {FIRST}, and the rest is for training")
    orders = [_order(count, _VALIDATION_SEED + seed + worker)[:FIRST] for worker in range(VALIDATION_GOALS)]
    drawing = np.random.RandomState(_VALIDATION_SEED + seed)
    drawn = [drawing.choice(FIRST, VALIDATION_GOALS, replace=False) for _ in range(validations)]
    return [[int(order[place]) for order, place in zip(orders, places, strict=True)] for places in drawn]


def training_goals(count: int, *, seed: int = 0) -> set[int]:
    """The goals that its training workers can draw."""
    found: set[int] = set()
    for worker in range(TRAINING_WORKERS):
        if len(found) < count:
            found.update(_order(count, seed + worker)[FIRST:].tolist())
    return found


def _order(count: int, seed: int) -> np.ndarray:
    """The order of a worker of this seed, as positions in WebShop's own order."""
    order = list(range(count))
    random.Random(seed).shuffle(order)
    position = np.empty(count, int)
    position[np.frombuffer(webshop_order(count), np.int64)] = np.arange(count)
    return position[order]
