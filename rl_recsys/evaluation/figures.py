"""Pictures of a study, in colours that colour-blind readers tell apart."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

#: Okabe and Ito's palette; every line also has a marker of its own, for print.
STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"))


def learning_curves(
    curves: Mapping[str, Sequence[Sequence[tuple[float, float]]]], baseline: Mapping[str, float], path: Path, title: str
) -> None:
    """Success (share in [0, 1]) against training minutes: one line a seed, one style an arm; dashed baselines.

    ``curves``: arm -> a list of (minutes, success) points for each seed.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for (arm, lines), (color, marker) in zip(curves.items(), STYLES, strict=False):
        for number, points in enumerate(filter(None, lines)):
            minutes, success = zip(*points, strict=True)
            label = arm if number == 0 else None
            axes.plot(minutes, [100 * s for s in success], color=color, marker=marker, ms=5, lw=1.5, label=label)
    for arm, success in baseline.items():
        axes.axhline(100 * success, color="0.4", ls="--", lw=1, label=arm)
    axes.set(xlabel="training minutes, those of the starting policy included", ylabel="success %", title=title)
    axes.set_ylim(-3, 100)  # a baseline of 0 is seen beside the axis
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=150)


def running_means(
    curves: Mapping[tuple[str, int], Sequence[tuple[int, float]]],
    path: Path,
    label: str,
    title: str,
    *,
    order: Sequence[str] = (),
) -> None:
    """A running mean against rollouts: one line an (arm, run), one style an arm.

    ``order``: all arms of a study, so that one looks alike in every picture; by default those of the curves.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    arms = list(order or dict.fromkeys(arm for arm, _ in curves))
    styles = dict(zip(arms, itertools.cycle(STYLES), strict=False))
    named = set()
    for (arm, _), points in curves.items():
        if not points:
            continue
        (color, marker), (rollouts, means) = styles[arm], zip(*points, strict=True)
        every = max(1, len(points) // 8)
        name = None if arm in named else arm
        axes.plot(rollouts, means, color=color, marker=marker, markevery=every, ms=4, lw=1, alpha=0.8, label=name)
        named.add(arm)
    axes.set(xlabel="rollouts", ylabel=label, title=title)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


def by_size(
    points: Mapping[str, Sequence[tuple[int, float, float, float]]],
    levels: Mapping[str, tuple[float, float, float]],
    path: Path,
    title: str,
) -> None:
    """Success % against the number of generated trajectories: points (size, mean, low, high), one line a mode.

    ``levels``: other arms as horizontal lines (mean, low, high) with their intervals as bands.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    styles = itertools.cycle(STYLES)
    for mode, line in points.items():
        color, marker = next(styles)
        sizes, means, lows, highs = zip(*sorted(line), strict=True)
        errors = [[m - low for m, low in zip(means, lows, strict=True)],
                  [high - m for m, high in zip(means, highs, strict=True)]]  # fmt: skip
        axes.errorbar(sizes, means, errors, color=color, marker=marker, ms=6, lw=1.5, capsize=3, label=mode)
    for (label, (mean, low, high)), dashes in zip(levels.items(), itertools.cycle(("--", ":", "-.")), strict=False):
        axes.axhline(mean, color="0.35", ls=dashes, lw=1.2, label=label)
        axes.axhspan(low, high, color="0.5", alpha=0.12)
    axes.set_xscale("log", base=2)
    ticks = sorted({size for line in points.values() for size, *_ in line})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set(xlabel="generated trajectories", ylabel="success %", title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
