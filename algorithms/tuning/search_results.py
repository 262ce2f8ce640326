"""What a hyperparameter search found: its table, its picture, and the command that trains with the best settings."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from algorithms.tuning.search_space import SPACES, SearchArguments, common_flags
from rl_recsys.console.table import Table
from rl_recsys.evaluation.plots import Axis, parallel_coordinates
from rl_recsys.runs.provenance import MADE_WITH, note_maker
from rl_recsys.storage.files import write_json, write_text
from rl_recsys.storage.locations import absolute, inside, place_of


@dataclass(frozen=True)
class HeldOut:
    """The goals that every trial plays, and how many of them a trajectory is about."""

    goals: tuple[int, ...]
    known: int = 0

    def __str__(self) -> str:
        kind = f"{self.known} of them of trajectories" if self.known else "held out"
        return f"{len(self.goals)} training goals, {kind}"


@dataclass(frozen=True)
class TrialResult:
    """A trial's last result: ``score`` is 100 x the mean reward on the held-out goals, ``success`` a share of them.

    Both are None for a trial that failed before its first result. ``settings``: flag -> value.
    """

    number: int
    state: Literal["finished", "stopped early", "failed"]
    iterations: int
    score: float | None
    success: float | None
    minutes: float
    settings: dict[str, float]
    folder: str


def training_command(arguments: SearchArguments, trial: TrialResult) -> str:
    """The command that trains as a trial did, for as many iterations, and leaves the policy in best/ of the search."""
    flags = common_flags(arguments) | {
        "policy": absolute(arguments.policy),
        "out": inside(absolute(place_of(arguments.out)), "best"),
        "iterations": trial.iterations,
    }
    if arguments.algorithm == "dpo":
        flags |= {"trajectories": absolute(arguments.trajectories), "updates": arguments.updates}
    else:
        flags |= {"rollout_steps": arguments.rollout_steps}
    words = [[f"--{flag.replace('_', '-')}", str(value)] for flag, value in (flags | trial.settings).items()]
    words += [["--any-world"]] if arguments.any_world else []
    return shlex.join(["python", f"jobs/{arguments.algorithm}.py", *(word for some in words for word in some)])


def rank(result: TrialResult) -> tuple:
    """What trials are sorted by, the best first."""
    return result.state == "failed", -(result.score or 0.0), result.number


def trial_table(arguments: SearchArguments, results: Sequence[TrialResult], title: str) -> Table:
    """The trials as a table, one a row."""
    settings = [setting.flag for setting in SPACES[arguments.algorithm]]
    columns = ["trial", "score", "success %", "iterations", "state", "minutes", *settings]
    rows = [
        [
            str(result.number),
            "-" if result.score is None else f"{result.score:.1f}",
            "-" if result.success is None else f"{100 * result.success:.1f}",
            str(result.iterations),
            result.state,
            f"{result.minutes:.1f}",
            *(f"{value:.3g}" for value in result.settings.values()),
        ]
        for result in results
    ]
    return Table(title, columns, rows)


def write_results(
    arguments: SearchArguments, results: Sequence[TrialResult], held_out: HeldOut, folder: Path, title: str
) -> None:
    """Write trials.csv, table.md, best.json and parallel-coordinates.png of trials, best first.

    best.json says which versions of the code made them (``note_maker``).
    """
    text = io.StringIO()
    rows = [{**asdict(result), **result.settings} for result in results]
    names = [name for name in rows[0] if name != "settings"]
    writer = csv.DictWriter(text, names, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "trials.csv", text.getvalue())
    write_text(folder / "table.md", trial_table(arguments, results, title).to_markdown())
    best = results[0]
    write_json(
        folder / "best.json",
        {
            "trial": best.number,
            "score": best.score,
            "success": best.success,
            "iterations": best.iterations,
            "goals": len(held_out.goals),
            "goals_of_trajectories": held_out.known,
            "settings": best.settings,
            "command": training_command(arguments, best),
            MADE_WITH: note_maker(folder),
        },
    )
    scored = [result for result in results if result.score is not None]
    scores = [result.score for result in scored]
    axes = {setting.flag: setting.axis for setting in SPACES[arguments.algorithm]}
    axes["score"] = Axis((min(scores), max(scores)))
    parallel_coordinates(
        axes,
        [{**result.settings, "score": result.score} for result in scored],
        [result.state == "finished" for result in scored],
        folder / "parallel-coordinates.png",
        title,
    )
