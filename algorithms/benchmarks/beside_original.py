"""How fast a simulator's environments are, beside the original simulator where a user has it.

Each measurement runs in a fresh process on one core, all of them in turn, so that what else the machine does meets all.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from operator import truediv
from pathlib import Path
from typing import Any

import gymnasium

from rl_recsys.errors import UserError
from rl_recsys.runs.measurement import Figure
from rl_recsys.runs.processes import on_one_core

ORIGINAL = "the original"


class OriginalError(UserError):
    """The original cannot be run with what was named; the message says what it needs."""


def rates_in_turn(
    name: str, measured: Mapping[str, tuple[Callable[[], float], float | None]], unit: str, *, repeats: int
) -> Iterator[Figure]:
    """Medians of what was measured ``repeats`` times in turn, and how many times ``ORIGINAL``'s speed each has.

    ``measured``: what it is -> how to measure it, in ``unit`` a second, and how many times the original's is aimed at.
    """
    rates: dict[str, list[float]] = {what: [] for what in measured}
    for _ in range(repeats):
        for what, (measure, _) in measured.items():
            rates[what].append(measure())
    for what, each in rates.items():
        spread = f"{min(each):,.0f} to {max(each):,.0f} in {len(each)} measurements"
        yield Figure(f"{name}, {what}", statistics.median(each), f"{unit}/s", note=spread)
    for what, (_, target) in measured.items():
        if ORIGINAL in rates and what != ORIGINAL:
            # Of two measurements in turn, which met the same machine.
            ratio = statistics.median(map(truediv, rates[what], rates[ORIGINAL]))
            yield Figure(f"  {what}, beside the original", ratio, "times", target, at_least=True)


def printed_rate(python: Path, script: str, *arguments: object, needs: str) -> float:
    """The number that a script prints last, by another Python on one core. Raises ``OriginalError`` with ``needs``."""
    command = [str(python), "-c", script, *map(str, arguments)]
    try:
        run = subprocess.run(on_one_core(command), capture_output=True, text=True)
        return float(run.stdout.split()[-1])
    except (OSError, ValueError, IndexError):
        raise OriginalError(f"{python} cannot play the original {needs}") from None


def steps_a_second(env: gymnasium.Env, action: Callable[[int], Any], *, warm: int, count: int) -> float:
    """Steps a second of CPU time in whole episodes, after ``warm`` steps. ``action``: of a step, by its number."""

    def play(count: int) -> int:
        shown = 0
        while shown < count:
            env.reset()
            done = False
            while not done:
                done = env.step(action(shown))[2]
                shown += 1
        return shown

    play(warm)
    start = time.process_time()
    shown = play(count)
    return shown / (time.process_time() - start)


def steps_at_once_a_second(
    env: gymnasium.vector.VectorEnv, actions: Callable[[int], Any], *, warm: int, steps: int
) -> float:
    """The same of a vector environment, of ``steps`` of all after ``warm``; those that begin an episode count not."""
    env.reset()
    for step in range(warm):
        _, _, terminated, _, _ = env.step(actions(step))
    shown, start = 0, time.process_time()
    for step in range(steps):
        shown += env.num_envs - int(terminated.sum())
        _, _, terminated, _, _ = env.step(actions(step))
    return shown / (time.process_time() - start)
