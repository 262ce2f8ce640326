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
    curves: Mapping[tuple[str, int], Sequence[tuple[int, float]]], path: Path, label: str, title: str
) -> None:
    """A running mean against rollouts: one line an (arm, run), one style an arm."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    arms = list(dict.fromkeys(arm for arm, _ in curves))
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
