"""The table of arms: equal goals for every arm, each figure with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

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
    ``seed_scores`` are the seeds' scores.
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
) -> ArmResult:
    """The figures of an arm from rewards and steps [seeds, goals] on the same goals, and the training time a seed.

    ``against``: the rewards [seeds, goals] of the arm to compare it with. Raises ValueError for another shape.
    ``products``: what each goal is about; goals of one product succeed or fail together. Without, goals are drawn.
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
        **gained,
    )


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


def with_interval(value: float, interval: Sequence[float]) -> str:
    """A value and its interval as text, such as a score's."""
    low, high = interval
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def percent(share: float, interval: Sequence[float]) -> str:
    """A share in [0, 1] and its interval as text, in per cent."""
    return with_interval(100 * share, [100 * bound for bound in interval])


def _gain(result: ArmResult) -> str:
    if result.gain is None:
        return "-"
    low, high = (100 * bound for bound in result.gain_interval)
    return f"{100 * result.gain:+.1f} ({low:+.1f} to {high:+.1f})"


COLUMNS = ("arm", "score", "success % (95 % interval)", "gain, paired", "steps", "episodes", "training minutes")


def comparison_table(results: Sequence[ArmResult], title: str) -> Table:
    """The arms as a table, one a row."""
    return Table(title, COLUMNS, [cells(result) for result in results])
