"""This checkout beside another one, both by their own jobs, in turn: what changes did to play, training and starts."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from algorithms.benchmarks.flags import VersionPart, VersionsBenchmarkFlags
from algorithms.runs.run_folder import RESULTS
from rl_recsys.errors import UserError
from rl_recsys.runs.measurement import Figure
from rl_recsys.runs.processes import on_one_core
from rl_recsys.storage.files import read_rows

HERE = Path(__file__).parents[2]
WARM = 1  # iterations before those that count: texts are met for the first time
FEW_GOALS = 4  # of a run that is taken off a longer one, so that starting is left out
PPO = ("--learning-rate", "3e-6", "--epochs", "2", "--batch", "4", "--rollout-steps", "256", "--num-workers", "1")


@dataclass(frozen=True)
class Checkout:
    """A folder with the project at a version, and what its jobs are given."""

    root: Path
    policy: Path
    trajectories: Path

    def run(self, job: str, *words: object, one_core: bool = False) -> tuple[float, float]:
        """Seconds, and seconds of CPU of its processes, that a job of this checkout takes. Raises ``UserError``."""
        command = [sys.executable, str(self.root / "jobs" / job), *map(str, words)]
        environment = os.environ | {"PYTHONPATH": str(self.root)}
        before, start = _cpu_of_children(), time.perf_counter()
        done = subprocess.run(
            on_one_core(command) if one_core else command, cwd=self.root, env=environment, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        if done.returncode:
            last = "\n".join(done.stdout.splitlines()[-5:])
            raise UserError(f"{self.root}: jobs/{job} ended with exit status {done.returncode}:\n{last}")
        return seconds, _cpu_of_children() - before


def version_figures(flags: VersionsBenchmarkFlags, work: Path) -> Iterator[Figure]:
    """Each part of both checkouts, as the medians of repeats in turn, and how many times the other's speed is reached.

    Raises ``UserError`` where a job of one of them fails.
    """
    here = Checkout(HERE, flags.policy.absolute(), flags.trajectories.absolute())
    other = Checkout(
        flags.against.absolute(),
        (flags.against_policy or flags.policy).absolute(),
        (flags.against_trajectories or flags.trajectories).absolute(),
    )
    shop = flags.shop.absolute()
    parts: dict[VersionPart, tuple[str, str, float, Callable[[Checkout, Path], float]]] = {
        "play": ("greedy play, one core", "s a goal", play_target(), lambda at, out: play(at, out, shop, flags.goals)),
        "ppo": ("PPO, an iteration", "s", 2.5, lambda at, out: iteration(
            at, out, "ppo.py", flags.iterations, "--shop", shop, "--policy", at.policy, *PPO)),
        "imitation": ("imitation, an iteration", "s", 1.6, lambda at, out: iteration(
            at, out, "imitate.py", flags.iterations, "--shop", shop, "--trajectories", at.trajectories)),
        "dpo": ("DPO, an iteration", "s", 1.6, lambda at, out: iteration(
            at, out, "dpo.py", flags.iterations, "--shop", shop, "--policy", at.policy,
            "--trajectories", at.trajectories)),
        "start": ("imitation, until its first iteration", "s", 2.0, lambda at, out: start(at, out, shop)),
        "help": ("ppo.py --help, of CPU", "s", 2.0, lambda at, out: at.run("ppo.py", "--help")[1]),
    }  # fmt: skip
    for part in flags.parts:
        name, unit, target, measure = parts[part]
        found: tuple[list[float], list[float]] = ([], [])
        for repeat in range(flags.repeats):
            for number, checkout in enumerate((here, other)):
                found[number].append(measure(checkout, work / f"{part}-{number}-{repeat}"))
        for title, seconds in zip((name, f"{name}, {other.root.name}"), found, strict=True):
            yield Figure(title, statistics.median(seconds), unit, note=f"{min(seconds):.3g} to {max(seconds):.3g}")
        ours, theirs = map(statistics.median, found)
        yield Figure("  times as fast", theirs / ours, "times", target, at_least=True)


def play_target() -> float:
    """How many times as fast play should be, by what the processor says that it has."""
    has = torch.cpu.get_capabilities()
    return 3.0 if has.get("amx_tile") else 1.8 if has.get("avx512_bf16") else 1.3


def play(checkout: Checkout, out: Path, shop: Path, goals: int) -> float:
    """Seconds a goal of greedy play on one core, starting left out; encodings are made anew."""
    words = "--shop", shop, "--policies", f"policy={checkout.policy}", "--modes", "greedy", "--num-workers", 1
    times = [
        checkout.run("evaluate.py", *words, "--goals", count, "--out", out / str(count), one_core=True)[0]
        for count in (FEW_GOALS, goals)
    ]
    return (times[1] - times[0]) / (goals - FEW_GOALS)


def iteration(checkout: Checkout, out: Path, job: str, iterations: int, *words: object) -> float:
    """The median of the seconds of a training's iterations but the first."""
    ends = "--iterations", WARM + iterations, "--evaluate-every", 0, "--out", out
    checkout.run(job, *words, *ends)
    return statistics.median(_seconds(out)[WARM:])


def start(checkout: Checkout, out: Path, shop: Path) -> float:
    """Seconds of a training of one iteration, less those of that iteration."""
    words = "--shop", shop, "--trajectories", checkout.trajectories, "--iterations", 1, "--evaluate-every", 0
    return checkout.run("imitate.py", *words, "--out", out)[0] - sum(_seconds(out))


def _seconds(run: Path) -> list[float]:
    rows = read_rows(run / RESULTS, "measure again")
    return [row["seconds"] for row in rows if "seconds" in row]


def _cpu_of_children() -> float:
    times = psutil.Process().cpu_times()
    return times.children_user + times.children_system
