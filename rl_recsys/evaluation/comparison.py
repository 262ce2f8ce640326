"""The table of arms: equal goals for every arm, each figure with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np

from rl_recsys.console.table import Table
from rl_recsys.core.outcome import is_success
from rl_recsys.evaluation.intervals import difference_interval, mean_interval, wilson_interval


@dataclass(frozen=True)
class ArmResult:
    """One arm's figures. ``success`` and its interval are shares in [0, 1], ``score`` is 100 x the mean reward.

    Intervals are bootstrapped over seeds and over the products that goals are about; with one seed that of the success
    is at least Wilson's. ``seeds`` holds each seed's success. ``gain`` is the success above that of the arm it is
    compared with and ``gain_interval`` its interval, pair by pair: the same goal, the policy of the same seed.
    ``seed_scores`` are the seeds' scores. ``parts``: of each part of the reward (mean, low, high), over the goals whose
    episodes all have it.
    """

    arm: str
    score: float
    score_interval: tuple[float, float]
    success: float
    success_interval: tuple[float, float]
    steps: float
    episodes: int
    training_minutes: float
    seeds: tuple[float, ...]
    seed_scores: tuple[float, ...] = ()
    gain: float | None = None
    gain_interval: tuple[float, float] | None = None
    parts: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)

    def to_mapping(self) -> dict:
        """Plain values for JSON."""
        return asdict(self)


def arm_result(
    arm: str,
    rewards: Sequence[Sequence[float]],
    steps: Sequence[Sequence[int]],
    training_minutes: Sequence[float] = (),
    against: Sequence[Sequence[float]] | None = None,
    products: Sequence[str] | None = None,
    parts: Sequence[Sequence[Mapping[str, float | bool | None]]] = (),
) -> ArmResult:
    """The figures of an arm from rewards and steps [seeds, goals] on the same goals, and the training time a seed.

    ``against``: the rewards [seeds, goals] of the arm to compare it with. Raises ValueError for another shape.
    ``products``: what each goal is about; goals of one product succeed or fail together. Without, goals are drawn.
    ``parts``: those of the rewards [seeds, goals], by name.
    """
    table = np.asarray(rewards, float)
    success = is_success(table).astype(float)
    gained: dict[str, object] = {}
    if against is not None:
        other = is_success(np.asarray(against, float)).astype(float)
        if other.shape != success.shape:
            raise ValueError(f"{arm}: rewards {success.shape} cannot be paired with {other.shape}")
        apart = success - other
        gained = {"gain": float(apart.mean()), "gain_interval": difference_interval(apart, 1.0, products)}
    interval = mean_interval(success, products)
    if len(table) == 1:
        low, high = wilson_interval(int(success.sum()), success.size)
        interval = min(low, interval[0]), max(high, interval[1])
    return ArmResult(
        arm=arm,
        score=100 * float(table.mean()),
        score_interval=tuple(100 * bound for bound in mean_interval(table, products)),
        success=float(success.mean()),
        success_interval=interval,
        steps=float(np.mean(np.asarray(steps, float))),
        episodes=table.size,
        training_minutes=float(np.mean(training_minutes)) if len(training_minutes) else 0.0,
        seeds=tuple(float(row.mean()) for row in success),
        seed_scores=tuple(100 * float(row.mean()) for row in table),
        parts=_parts(parts, products),
        **gained,
    )


def _parts(
    parts: Sequence[Sequence[Mapping[str, float | bool | None]]], products: Sequence[str] | None
) -> dict[str, tuple[float, float, float]]:
    names = sorted({name for row in parts for each in row for name, value in each.items() if value is not None})
    found = {}
    for name in names:
        table = np.array([[each.get(name) for each in row] for row in parts], float)  # None becomes nan
        had = ~np.isnan(table).any(0)
        if had.any():
            owners = None if products is None else [owner for owner, has in zip(products, had, strict=True) if has]
            found[name] = float(table[:, had].mean()), *mean_interval(table[:, had], owners)
    return found


def cells(result: ArmResult) -> list[str]:
    """An arm's row as text."""
    return [
        result.arm,
        with_interval(result.score, result.score_interval),
        percent(result.success, result.success_interval),
        _gain(result),
        f"{result.steps:.1f}",
        str(result.episodes),
        f"{result.training_minutes:.1f}" if result.training_minutes else "-",
    ]


def with_interval(value: float, interval: Sequence[float], *, sign: Literal["-", "+"] = "-") -> str:
    """A value and its interval as text, such as a score's: with a decimal, or as many as the interval has two of.

    ``sign``: "+" for one of gains, too.
    """
    low, high = interval
    width = high - low
    decimals = 1 if not 0 < width < 1 else 1 + math.ceil(-math.log10(width))
    form = f"{sign}.{decimals}f"
    return f"{value:{form}} ({low:{form}} to {high:{form}})"


def percent(share: float, interval: Sequence[float], *, sign: Literal["-", "+"] = "-") -> str:
    """A share in [0, 1] and its interval as text, in per cent."""
    return with_interval(100 * share, [100 * bound for bound in interval], sign=sign)


def _gain(result: ArmResult) -> str:
    if result.gain is None:
        return "-"
    return percent(result.gain, result.gain_interval, sign="+")


PARTS = "Means over the goals whose episodes all have the part; 95 % intervals."
COLUMNS = ("arm", "score", "success % (95 % interval)", "gain, paired", "steps", "episodes", "training minutes")


def comparison_table(results: Sequence[ArmResult], title: str) -> Table:
    """The arms as a table, one a row."""
    return Table(title, COLUMNS, [cells(result) for result in results])


def parts_table(results: Sequence[ArmResult], names: Mapping[str, str], title: str) -> Table:
    """The parts of the arms' rewards, one arm a row. ``names``: the parts, and what people call them."""
    rows = [
        [result.arm, *(with_interval(parts[0], parts[1:]) if parts else "-" for parts in map(result.parts.get, names))]
        for result in results
    ]
    return Table(title, ("arm", *names.values()), rows, PARTS)
