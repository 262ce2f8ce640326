"""Pages a second of Virtual-Taobao's environments, beside the original where its checkout and a Python are named."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import gymnasium
import numpy as np

import envs
from algorithms.benchmarks.beside_original import (
    ORIGINAL,
    printed_rate,
    rates_in_turn,
    steps_a_second,
    steps_at_once_a_second,
)
from algorithms.benchmarks.flags import VirtualTaobaoBenchmarkFlags
from rl_recsys.runs.measurement import Figure, in_child

SEED = 42
WARM = 300  # pages before those that count
ONE_BY_ONE, AT_ONCE = 4, 150  # how many times the original's speed is aimed at

#: Plays the original, by its own names, and prints pages a second of CPU time.
SCRIPT = """
import sys, time
checkout, seed, warm, count = sys.argv[1], *map(int, sys.argv[2:])
sys.path.insert(0, checkout)
import numpy, torch
from virtualTB.envs.virtualTB import VirtualTB
torch.set_num_threads(1)
env = VirtualTB()
env.seed(seed)
actions = numpy.random.RandomState(seed).uniform(-1, 1, (1000, 27)).astype(numpy.float32)
def play(count):
    shown = 0
    while shown < count:
        env.reset()
        done = False
        while not done:
            done = env.step(actions[shown % 1000])[2]
            shown += 1
    return shown
play(warm)
start = time.process_time()
shown = play(count)
print(shown / (time.process_time() - start))
"""


def virtual_taobao_figures(flags: VirtualTaobaoBenchmarkFlags) -> Iterator[Figure]:
    """The original, one customer after the other in both streams, and many at once."""
    arguments = flags.weights, flags.pages
    alone, together = (partial(in_child, __name__, way, one_core=True) for way in ("one_by_one", "at_once"))
    measured = {
        "original's stream": (partial(alone, "original", *arguments), ONE_BY_ONE),
        "paired stream": (partial(alone, "paired", *arguments), None),
        f"{flags.customers:,} customers at once": (partial(together, flags.customers, *arguments), AT_ONCE),
    }
    if flags.original_python is not None:
        measured[ORIGINAL] = (partial(original_rate, flags.original_python, flags.checkout, flags.pages), None)
    yield from rates_in_turn(envs.VIRTUAL_TAOBAO_ID, measured, "pages", repeats=flags.repeats)


def original_rate(python: Path, checkout: Path, count: int) -> float:
    """Pages a second of the original. Raises ``OriginalError``."""
    needs = (
        f"Virtual-Taobao in {checkout}: install torch and gym for it, and name a checkout of "
        "github.com/eyounx/VirtualTaobao (docs/worlds/virtual-taobao.md)"
    )
    return printed_rate(python, SCRIPT, checkout, SEED, WARM, count // ONE_BY_ONE, needs=needs)


def one_by_one(stream: str, weights: str, count: int) -> float:
    """Pages a second of CPU time of the environment."""
    env = gymnasium.make(envs.VIRTUAL_TAOBAO_ID, weights=weights, stream=stream, random_seed=SEED).unwrapped
    actions = np.random.RandomState(SEED).uniform(-1, 1, (1000, 27)).astype(np.float32)
    return steps_a_second(env, lambda shown: actions[shown % 1000], warm=WARM, count=count)


def at_once(customers: int, weights: str, count: int) -> float:
    """Pages a second of CPU time of the vector environment; steps that begin a customer are not counted."""
    env = gymnasium.make_vec(
        envs.VIRTUAL_TAOBAO_ID,
        num_envs=customers,
        vectorization_mode="vector_entry_point",
        weights=weights,
        random_seed=SEED,
    )
    actions = np.random.RandomState(SEED).uniform(-1, 1, (10, customers, 27)).astype(np.float32)
    # The first steps are until customers are met at all of their pages.
    return steps_at_once_a_second(env, lambda step: actions[step % 10], warm=20, steps=max(10, 20 * count // customers))
