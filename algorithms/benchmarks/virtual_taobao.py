"""Pages a second of Virtual-Taobao's environments, beside the original where its checkout and a Python are named.

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
from algorithms.benchmarks.flags import VirtualTaobaoBenchmarkFlags
from rl_recsys.errors import UserError
from rl_recsys.runs.measurement import Figure, in_child
from rl_recsys.runs.processes import on_one_core

SEED = 42
WARM = 300  # pages before those that count
ONE_BY_ONE, AT_ONCE = 4, 150  # how many times the original's speed is aimed at

#: Plays the original, by its own names, and prints pages a second of CPU time.
ORIGINAL = """
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


class OriginalError(UserError):
    """The original Virtual-Taobao cannot be run with the Python and the checkout that were named."""


def virtual_taobao_figures(flags: VirtualTaobaoBenchmarkFlags) -> Iterator[Figure]:
    """The original, one customer after the other in both streams, and many at once."""
    arguments = flags.weights, flags.pages
    measured = {
        "original's stream": lambda: in_child(__name__, "one_by_one", "original", *arguments, one_core=True),
        "paired stream": lambda: in_child(__name__, "one_by_one", "paired", *arguments, one_core=True),
        f"{flags.customers:,} customers at once": lambda: in_child(
            __name__, "at_once", flags.customers, *arguments, one_core=True
        ),
    }
    targets = dict(zip(measured, (ONE_BY_ONE, None, AT_ONCE), strict=True))
    beside = flags.original_python is not None
    if beside:
        measured["the original"] = lambda: original_rate(flags.original_python, flags.checkout, flags.pages)
    rates: dict[str, list[float]] = {what: [] for what in measured}
    for _ in range(flags.repeats):
        for what, measure in measured.items():
            rates[what].append(measure())
    for what, each in rates.items():
        spread = f"{min(each):,.0f} to {max(each):,.0f} in {len(each)} measurements"
        yield Figure(f"{envs.VIRTUAL_TAOBAO_ID}, {what}", statistics.median(each), "pages/s", note=spread)
    for what in targets if beside else ():
        # Of two measurements in turn, which met the same machine.
        ratio = statistics.median(map(truediv, rates[what], rates["the original"]))
        yield Figure(f"  {what}, beside the original", ratio, "times", targets[what], at_least=True)


def original_rate(python: Path, checkout: Path, count: int) -> float:
    """Pages a second of the original. Raises ``OriginalError``."""
    command = [str(python), "-c", ORIGINAL, str(checkout), *map(str, (SEED, WARM, count // ONE_BY_ONE))]
    try:
        run = subprocess.run(on_one_core(command), capture_output=True, text=True)
        return float(run.stdout.split()[-1])
    except (OSError, ValueError, IndexError):
        raise OriginalError(
            f"{python} cannot play the original Virtual-Taobao in {checkout}: install torch and gym for it, and name a "
            "checkout of github.com/eyounx/VirtualTaobao (docs/worlds/virtual-taobao.md)"
        ) from None


def one_by_one(stream: str, weights: str, count: int) -> float:
    """Pages a second of CPU time of the environment."""
    env = gymnasium.make(envs.VIRTUAL_TAOBAO_ID, weights=weights, stream=stream, random_seed=SEED).unwrapped
    actions = np.random.RandomState(SEED).uniform(-1, 1, (1000, 27)).astype(np.float32)

    def play(count: int) -> int:
        shown = 0
        while shown < count:
            env.reset()
            done = False
            while not done:
                done = env.step(actions[shown % 1000])[2]
                shown += 1
        return shown

    play(WARM)
    start = time.process_time()
    shown = play(count)
    return shown / (time.process_time() - start)


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
    env.reset()
    for step in range(20):  # until customers are met at all of their pages
        _, _, terminated, _, _ = env.step(actions[step % 10])
    shown, start = 0, time.process_time()
    for step in range(max(10, 20 * count // customers)):
        shown += customers - int(terminated.sum())
        _, _, terminated, _, _ = env.step(actions[step % 10])
    return shown / (time.process_time() - start)
