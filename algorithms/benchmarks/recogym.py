"""Recommendations a second of RecoGym's environments, beside the original where there is a Python that has it.

Each measurement runs in a fresh process on one core, all of them in turn, so that what else the machine does meets all.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Iterator
from operator import truediv
from pathlib import Path

import gymnasium
import numpy as np

import envs
from algorithms.benchmarks.flags import RecoGymBenchmarkFlags
from rl_recsys.errors import UserError
from rl_recsys.runs.measurement import Figure, in_child
from rl_recsys.runs.processes import on_one_core

SEED = 42
WARM = 2_000  # recommendations before those that count: the original compiles with numba
ONE_BY_ONE, AT_ONCE = 12, 100  # how many times the original's speed is aimed at

#: Plays the original, by its own names, and prints recommendations a second of CPU time.
ORIGINAL = """
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


class OriginalError(UserError):
    """The original RecoGym cannot be run with the Python that was named."""


def recogym_figures(flags: RecoGymBenchmarkFlags) -> Iterator[Figure]:
    """Of both simulators: the original, one user after the other in both streams, and many at once."""
    for name in envs.RECOGYM_IDS:
        arguments = name, flags.products, flags.recommendations
        measured = {
            "original's stream": lambda a=arguments: in_child(__name__, "one_by_one", "original", *a, one_core=True),
            "paired stream": lambda a=arguments: in_child(__name__, "one_by_one", "paired", *a, one_core=True),
            f"{flags.users:,} users at once": lambda a=arguments: in_child(
                __name__, "at_once", flags.users, *a, one_core=True
            ),
        }
        if flags.original_python is not None:
            measured["the original"] = lambda a=arguments: original_rate(flags.original_python, *a)
        rates: dict[str, list[float]] = {what: [] for what in measured}
        for _ in range(flags.repeats):
            for what, measure in measured.items():
                rates[what].append(measure())
        targets = dict(zip(measured, (ONE_BY_ONE, None, AT_ONCE), strict=False))
        for what, each in rates.items():
            spread = f"{min(each):,.0f} to {max(each):,.0f} in {len(each)} measurements"
            yield Figure(f"{name}, {what}", statistics.median(each), "recommendations/s", note=spread)
        for what in targets if flags.original_python is not None else ():
            # Of two measurements in turn, which met the same machine.
            ratio = statistics.median(map(truediv, rates[what], rates["the original"]))
            yield Figure(f"  {what}, beside the original", ratio, "times", targets[what], at_least=True)


def original_rate(python: Path, name: str, products: int, count: int) -> float:
    """Recommendations a second of the original. Raises ``OriginalError``."""
    command = [str(python), "-c", ORIGINAL, name, *map(str, (products, SEED, WARM, count // ONE_BY_ONE))]
    try:
        run = subprocess.run(on_one_core(command), capture_output=True, text=True)
        return float(run.stdout.split()[-1])
    except (OSError, ValueError, IndexError):
        raise OriginalError(
            f"{python} cannot play the original RecoGym: install recogym for it (docs/worlds/recogym.md)"
        ) from None


def one_by_one(stream: str, name: str, products: int, count: int) -> float:
    """Recommendations a second of CPU time of the environment, views and infos made."""
    env = gymnasium.make(name, stream=stream, num_products=products, random_seed=SEED).unwrapped

    def play(count: int) -> int:
        shown = 0
        while shown < count:
            env.reset()
            done = False
            while not done:
                done = env.step(shown % products)[2]
                shown += 1
        return shown

    play(WARM)
    start = time.process_time()
    shown = play(count)
    return shown / (time.process_time() - start)


def at_once(users: int, name: str, products: int, count: int) -> float:
    """Recommendations a second of CPU time of the vector environment; steps that begin a user are not counted."""
    env = gymnasium.make_vec(
        name, num_envs=users, vectorization_mode="vector_entry_point", num_products=products, random_seed=SEED
    )
    actions = np.arange(users) % products
    env.reset()
    for _ in range(10):
        _, _, terminated, _, _ = env.step(actions)
    shown, start = 0, time.process_time()
    for _ in range(max(10, 10 * count // users)):
        shown += users - int(terminated.sum())
        _, _, terminated, _, _ = env.step(actions)
    return shown / (time.process_time() - start)
