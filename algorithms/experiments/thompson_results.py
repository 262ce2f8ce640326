"""What came of Thompson sampling: each run's arms as figures and as a table, its regret, and running means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from algorithms.experiments.thompson import ThompsonExperiment
from rl_recsys.console.table import Table
from rl_recsys.evaluation.bandit import Pull, ThompsonRun, regret, running
from rl_recsys.evaluation.comparison import percent
from rl_recsys.evaluation.intervals import wilson_interval
from rl_recsys.evaluation.plots import running_means
from rl_recsys.runs.results import write_results

COLUMNS = ("run", "arm", "pulls", "success % (95 % interval)", "score", "probability to be the best")
UNITS = {"success": "successes", "score": "episodes' worth of reward"}  # of regret
PICTURES = {"score": "running average score", "success": "running success rate, %"}


def write_experiment(
    experiment: ThompsonExperiment, means: Mapping[str, Sequence[float]] | None = None, means_from: object = None
) -> None:
    """Show the table of all runs, and write thompson.md, thompson.json and the pictures into the folder.

    ``means``: name -> each policy's mean success or reward in [0, 1], which regret is reckoned from, and where they
    are from; by default the means of all pulls.
    """
    if means is None:
        means, means_from = _pooled_means(experiment), "the mean of all pulls"
    source = str(means_from)
    runs = []
    for run in experiment.runs:
        expected = {arm: by_policy[run.run % len(by_policy)] for arm, by_policy in means.items()}
        lost = regret(run.pulls, expected)
        runs.append({"run": run.run, "regret": lost, "means": expected, "arms": arm_figures(run)})
    folder, heading = experiment.folder, _heading(experiment)
    delay = f"a run draws {experiment.batch} rollouts before it sees what the last ones came to"
    table = Table(
        title=f"{heading}, seed {experiment.seed}; {delay}",
        columns=COLUMNS,
        rows=[arm_cells(run["run"], arm, figures) for run in runs for arm, figures in run["arms"].items()],
        caption=f"Regret, in {UNITS[experiment.objective]}, by {source}: {regrets(runs)}.",
    )
    figures = {"means_from": source, "runs": runs}
    write_results(table, figures, page=folder / "thompson.md", data=folder / "thompson.json")
    for objective, label in PICTURES.items():
        means_of = {run.run: running(run.pulls, objective) for run in experiment.runs}
        curves = {(arm, run): curve.get(arm, []) for run, curve in means_of.items() for arm in experiment.arms}
        running_means(curves, folder / f"running_{objective}.png", label, heading)


def _heading(experiment: ThompsonExperiment) -> str:
    return (
        f"Thompson sampling on {experiment.objective}: {len(experiment.runs)} runs of {experiment.rollouts:,} "
        f"rollouts, {experiment.mode}"
    )


def arm_figures(run: ThompsonRun) -> dict[str, dict[str, Any]]:
    """Each arm's pulls and what they came to in a run; success, its interval and score are None where there is none.

    Success is a share in [0, 1], the score 100 x the mean reward.
    """
    best, intervals = run.best_probabilities(), run.intervals()
    figures = {}
    for arm in run.arms:
        rewards = [(pull.reward, pull.success) for pull in run.pulls if pull.arm == arm]
        pulls, successes = len(rewards), sum(success for _, success in rewards)
        figures[arm] = {
            "pulls": pulls,
            "success": successes / pulls if pulls else None,
            "success_interval": wilson_interval(successes, pulls) if pulls else None,
            "score": 100 * sum(reward for reward, _ in rewards) / pulls if pulls else None,
            "credible_interval": intervals[arm],
            "best_probability": best[arm],
        }
    return figures


def arm_cells(run: int, label: str, figures: Mapping[str, Any]) -> list[str]:
    """An arm's row of a table, from its ``arm_figures``."""
    pulled = figures["pulls"] > 0
    success = percent(figures["success"], figures["success_interval"]) if pulled else "-"
    score = f"{figures['score']:.1f}" if pulled else "-"
    return [str(run), label, str(figures["pulls"]), success, score, f"{figures['best_probability']:.1%}"]


def regrets(runs: Sequence[Mapping[str, Any]]) -> str:
    """The regret of every run as text."""
    return ", ".join(f"{run['regret']:.1f}" for run in runs)


def _pooled_means(experiment: ThompsonExperiment) -> dict[str, list[float]]:
    """Each arm's mean over the pulls of all runs; 0 where there is none."""

    def value(pull: Pull) -> float:
        return pull.success if experiment.objective == "success" else pull.reward

    pulls = [pull for run in experiment.runs for pull in run.pulls]
    values = {arm: [value(pull) for pull in pulls if pull.arm == arm] for arm in experiment.arms}
    return {arm: [sum(of_arm) / len(of_arm) if of_arm else 0.0] for arm, of_arm in values.items()}
