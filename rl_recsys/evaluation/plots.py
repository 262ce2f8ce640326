"""Pictures of a study, in colours that colour-blind readers tell apart, with the data behind them as CSV beside."""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # it takes half a second, which no --help needs
    from matplotlib.figure import Figure

from rl_recsys.console.escaping import for_picture
from rl_recsys.storage.files import naming

#: Okabe and Ito's palette; every line also has a marker of its own, for print.
STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"))


def learning_curves(
    curves: Mapping[str, Sequence[Sequence[tuple[float, float]]]], baseline: Mapping[str, float], path: Path, title: str
) -> None:
    """Success (share in [0, 1]) against training minutes: one line a seed, one style an arm; dashed baselines.

    ``curves``: arm -> a list of (minutes, success) points for each seed.
    """
    figure = _figure(8)
    axes = figure.add_subplot()
    for (arm, lines), (color, marker) in zip(curves.items(), itertools.cycle(STYLES), strict=False):
        for number, points in enumerate(filter(None, lines)):
            minutes, success = zip(*points, strict=True)
            label = for_picture(arm) if number == 0 else None
            axes.plot(minutes, [100 * s for s in success], color=color, marker=marker, ms=5, lw=1.5, label=label)
    for arm, success in baseline.items():
        axes.axhline(100 * success, color="0.4", ls="--", lw=1, label=for_picture(arm))
    axes.set(xlabel="training minutes, those of the starting policy included", ylabel="success %")
    axes.set_title(for_picture(title))
    axes.set_ylim(-3, 100)  # a baseline of 0 is seen beside the axis
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    _save(figure, path)
    rows = [(arm, seed, *point) for arm, lines in curves.items() for seed, line in enumerate(lines) for point in line]
    rows += [(arm, "", "", success) for arm, success in baseline.items()]
    _write_data(path, ("arm", "seed", "minutes", "success"), rows)


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
    figure = _figure(8)
    axes = figure.add_subplot()
    arms = list(order or dict.fromkeys(arm for arm, _ in curves))
    styles = dict(zip(arms, itertools.cycle(STYLES), strict=False))
    named = set()
    for (arm, _), points in curves.items():
        if not points:
            continue
        (color, marker), (rollouts, means) = styles[arm], zip(*points, strict=True)
        every = max(1, len(points) // 8)
        name = None if arm in named else for_picture(arm)
        axes.plot(rollouts, means, color=color, marker=marker, markevery=every, ms=4, lw=1, alpha=0.8, label=name)
        named.add(arm)
    axes.set(xlabel="rollouts", ylabel=for_picture(label), title=for_picture(title))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if named:  # else matplotlib warns of an empty box
        axes.legend()
    _save(figure, path)
    rows = ((arm, run, x, round(y, 4)) for (arm, run), points in curves.items() for x, y in points)
    _write_data(path, ("arm", "run", "rollout", label), rows)


def by_size(
    points: Mapping[str, Sequence[tuple[int, float, float, float]]],
    levels: Mapping[str, tuple[float, float, float]],
    path: Path,
    title: str,
) -> None:
    """Success % against the number of generated trajectories: points (size, mean, low, high), one line a mode.

    ``levels``: other arms as horizontal lines (mean, low, high) with their intervals as bands.
    """
    figure = _figure(8)
    axes = figure.add_subplot()
    styles = itertools.cycle(STYLES)
    for mode, line in points.items():
        (color, marker), label = next(styles), for_picture(mode)
        sizes, means, lows, highs = zip(*sorted(line), strict=True)
        errors = [[m - low for m, low in zip(means, lows, strict=True)],
                  [high - m for m, high in zip(means, highs, strict=True)]]  # fmt: skip
        axes.errorbar(sizes, means, errors, color=color, marker=marker, ms=6, lw=1.5, capsize=3, label=label)
    for (label, (mean, low, high)), dashes in zip(levels.items(), itertools.cycle(("--", ":", "-.")), strict=False):
        axes.axhline(mean, color="0.35", ls=dashes, lw=1.2, label=for_picture(label))
        axes.axhspan(low, high, color="0.5", alpha=0.12)
    axes.set_xscale("log", base=2)
    ticks = sorted({size for line in points.values() for size, *_ in line})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set(xlabel="generated trajectories", ylabel="success %", title=for_picture(title))
    axes.grid(alpha=0.3)
    axes.legend()
    _save(figure, path)
    rows = [(mode, *point) for mode, line in points.items() for point in line]
    rows += [(label, "", *level) for label, level in levels.items()]
    _write_data(path, ("line", "trajectories", "success", "low", "high"), rows)


def _figure(width: float) -> Figure:
    """An empty picture, ``width`` inches wide."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    with naming(path):
        figure.savefig(path, dpi=150)


def _write_data(picture: Path, columns: Sequence[str], rows: Iterable[Sequence]) -> None:
    path = picture.with_suffix(".csv")
    with naming(path), open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(columns)
        table.writerows(rows)


@dataclass(frozen=True)
class Axis:
    """An upright axis from the first to the last of ``values``: linear, logarithmic, or "each" value at equal steps."""

    values: tuple[float, ...]
    scale: Literal["linear", "log", "each"] = "linear"

    def place(self, value: float) -> float:
        """Where a value is, 0 at the foot and 1 at the head."""
        if self.scale == "each":
            return self.values.index(value) / max(1, len(self.values) - 1)
        low, value, high = (math.log(x) if self.scale == "log" else x for x in (self.values[0], value, self.values[-1]))
        return (value - low) / (high - low) if high > low else 0.5

    @property
    def ticks(self) -> list[float]:
        """The values that are written beside it."""
        if self.scale == "each":
            return list(self.values)
        low, high = self.values[0], self.values[-1]
        if self.scale == "linear":
            return [low + (high - low) * quarter / 4 for quarter in range(5)] if high > low else [low]
        tens = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        between = (step * 10.0**ten for ten in tens for step in (1, 2, 5))
        return [low, *(tick for tick in between if low * 1.2 < tick < high / 1.2), high]


def parallel_coordinates(
    axes: Mapping[str, Axis], rows: Sequence[Mapping[str, float]], whole: Sequence[bool], path: Path, title: str
) -> None:
    """A line a row across upright axes; where it meets the last axis decides its colour.

    ``rows``: a value for each axis, the best row first, which is drawn thickest. ``whole``: which rows were not stopped
    early; the others are thin and dashed. Dark is high, in a map that keeps its order in grey and for the colour-blind.
    """
    from matplotlib import colormaps, patheffects
    from matplotlib.lines import Line2D

    figure = _figure(2 + 1.6 * len(axes))
    plot = figure.add_subplot()
    places = range(len(axes))
    last = list(axes)[-1]
    white = patheffects.withStroke(linewidth=3, foreground="white")
    outline = [patheffects.withStroke(linewidth=6, foreground="black"), patheffects.Normal()]
    looks = {
        "best": {"ls": "-", "lw": 4, "ms": 7, "path_effects": outline},
        "all iterations": {"ls": "-", "lw": 1.8, "ms": 4},
        "stopped early": {"ls": "--", "lw": 0.9, "ms": 3},
    }
    for number, (row, complete) in reversed(list(enumerate(zip(rows, whole, strict=True)))):
        color = colormaps["cividis_r"](0.15 + 0.85 * axes[last].place(row[last]))  # the lightest is lost on paper
        look = looks["best" if number == 0 else "all iterations" if complete else "stopped early"]
        plot.plot(places, [axis.place(row[name]) for name, axis in axes.items()], color=color, marker="o", **look)
    for place, axis in zip(places, axes.values(), strict=True):
        plot.axvline(place, color="0.3", lw=1, zorder=0)
        for tick in axis.ticks:
            label = f"{tick:.1f}" if axis.scale == "linear" else f"{tick:g}"
            plot.annotate(
                label, (place, axis.place(tick)), (9, 0), textcoords="offset points", va="center", fontsize=8,
                path_effects=[white],
            )  # fmt: skip
    plot.set_xticks(list(places), list(axes))
    plot.set_yticks([])
    plot.set_xlim(-0.15, len(axes) - 0.55)
    plot.set_ylim(-0.06, 1.06)
    plot.spines[:].set_visible(False)
    plot.set_title(for_picture(title), fontsize=10)
    plot.legend(
        [Line2D([], [], color="0.3", **look) for look in looks.values()], looks, ncols=len(looks), frameon=False,
        loc="upper left", bbox_to_anchor=(0, -0.08),
    )  # fmt: skip
    _save(figure, path)
