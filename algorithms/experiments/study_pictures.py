"""The pictures of a study's report."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from algorithms.experiments.study_results import StudyResults, learning_curve
from rl_recsys.core.outcome import MODES
from rl_recsys.evaluation.claims import Played
from rl_recsys.evaluation.intervals import mean_interval
from rl_recsys.evaluation.plots import by_size, learning_curves, running_means
from rl_recsys.evaluation.report_page import Picture


def pictures(study: StudyResults, figures: Path) -> Iterable[Picture]:
    """Draw every picture into the folder ``figures``, with its points beside it."""
    groups = (
        ("3", "4", ("imitation", "ppo", "dpo", "dpo-generated")),
        ("5", "6", ("dpo", "dpo-on-top", "dpo-again")),
    )
    for score, success, arms in groups:
        for number, objective, label in (
            (score, "score", "running average score"),
            (success, "success", "running success rate, %"),
        ):
            curves = study.running_means(objective, arms)
            path = figures / f"figure-{number}-{objective}.png"
            named = {(study.label(arm), run): points for (arm, run), points in curves.items()}
            title = f"Figure {number}: {label} over Thompson rollouts"
            running_means(named, path, label, title, order=[study.label(arm) for arm in study.runs])
            yield Picture(title, path, "One line an arm and run; the paper's axes.")
    yield _training_curves(study, figures)
    if study.settings["sizes"]:
        yield _sizes(study, figures)


def _training_curves(study: StudyResults, figures: Path) -> Picture:
    curves = {study.label(arm): [learning_curve(Path(run)) for run in runs] for arm, runs in study.runs.items()}
    path = figures / "training-minutes.png"
    title = f"Greedy success on {study.settings['evaluation_goals']} training goals while training"
    baseline = study.baseline_result
    levels = {f"{baseline.arm} (test goals)": baseline.success} if baseline else {}
    learning_curves(curves, levels, path, title)
    return Picture(
        "Success against training minutes", path, "A line a seed; the goals are few, so the lines are rough."
    )


def _sizes(study: StudyResults, figures: Path) -> Picture:
    """Of the first seed, which alone has all sizes."""
    played = study.played
    arms = {size: f"dpo-size-{size}" for size in study.settings["sizes"]}
    arms = sorted((arms | {study.settings["generated"]: "dpo-generated"}).items())
    points = {mode: [(size, *_first_seed(played[arm, mode])) for size, arm in arms] for mode in MODES}
    levels = {f"{study.label(arm)}, greedy": _first_seed(played[arm, "greedy"]) for arm in ("imitation", "dpo")}
    path = figures / "generated-trajectories.png"
    title = "DPO on generated trajectories, first seed"
    by_size(points, levels, path, title)
    caption = f"One training a size, of the first seed; intervals bootstrapped over {study.task.words.cluster}s."
    return Picture("Success against the number of generated trajectories", path, caption)


def _first_seed(played: Played) -> tuple[float, float, float]:
    """Success and its interval in %."""
    success = played.values("success")[:1]
    return 100 * float(success.mean()), *(100 * bound for bound in mean_interval(success, played.products))
