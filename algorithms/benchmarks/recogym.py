"""Recommendations a second of RecoGym's environments, beside the original where there is a Python that has it."""

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
from algorithms.benchmarks.flags import RecoGymBenchmarkFlags
from rl_recsys.runs.measurement import Figure, in_child

SEED = 42
WARM = 2_000  # recommendations before those that count: the original compiles with numba
ONE_BY_ONE, AT_ONCE = 12, 100  # how many times the original's speed is aimed at

#: Plays the original, by its own names, and prints recommendations a second of CPU time.
SCRIPT = """
import sys, time
from recogym import env_0_args, env_1_args
from recogym.envs.reco_env_v0 import RecoEnv0
from recogym.envs.reco_env_v1 import RecoEnv1
version, products, seed, warm, count = sys.argv[1], *map(int, sys.argv[2:])
kind, arguments = {"RecoGym-v0": (RecoEnv0, env_0_args), "RecoGym-v1": (RecoEnv1, env_1_args)}[version]
env = kind()
env.init_gym({**arguments, "random_seed": seed, "num_products": products})
def play(count):
    shown = user = 0
    while shown < count:
        env.reset(user)
        done = env.step(None)[2]
        user += 1
        while not done:
            done = env.step(shown % products)[2]
            shown += 1
    return shown
play(warm)
start = time.process_time()
shown = play(count)
print(shown / (time.process_time() - start))
"""


def recogym_figures(flags: RecoGymBenchmarkFlags) -> Iterator[Figure]:
    """Of both simulators: the original, one user after the other in both streams, and many at once."""
    for name in envs.RECOGYM_IDS:
        arguments = name, flags.products, flags.recommendations
        alone, together = (partial(in_child, __name__, way, one_core=True) for way in ("one_by_one", "at_once"))
        measured = {
            "original's stream": (partial(alone, "original", *arguments), ONE_BY_ONE),
            "paired stream": (partial(alone, "paired", *arguments), None),
            f"{flags.users:,} users at once": (partial(together, flags.users, *arguments), AT_ONCE),
        }
        if flags.original_python is not None:
            measured[ORIGINAL] = (partial(original_rate, flags.original_python, *arguments), None)
        yield from rates_in_turn(name, measured, "recommendations", repeats=flags.repeats)


def original_rate(python: Path, name: str, products: int, count: int) -> float:
    """Recommendations a second of the original. Raises ``OriginalError``."""
    needs = "RecoGym: install recogym for it (docs/worlds/recogym.md)"
    return printed_rate(python, SCRIPT, name, products, SEED, WARM, count // ONE_BY_ONE, needs=needs)


def one_by_one(stream: str, name: str, products: int, count: int) -> float:
    """Recommendations a second of CPU time of the environment, views and infos made."""
    env = gymnasium.make(name, stream=stream, num_products=products, random_seed=SEED).unwrapped
    return steps_a_second(env, lambda shown: shown % products, warm=WARM, count=count)


def at_once(users: int, name: str, products: int, count: int) -> float:
    """Recommendations a second of CPU time of the vector environment; steps that begin a user are not counted."""
    env = gymnasium.make_vec(
        name, num_envs=users, vectorization_mode="vector_entry_point", num_products=products, random_seed=SEED
    )
    actions = np.arange(users) % products
    return steps_at_once_a_second(env, lambda _: actions, warm=10, steps=max(10, 10 * count // users))
