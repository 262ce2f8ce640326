"""Simulated online experiments: Thompson sampling over policies, every rollout one episode of the arm it draws.

    python jobs/thompson.py --shop shops/demo --out runs/demo/thompson \\
        --policies imitation=runs/demo/seed-0/imitation/policy dpo=runs/demo/seed-0/dpo/policy

A name given several times is one arm trained with several seeds: run k plays the k-th of them. Killed and started again
with the same flags, it goes on after the last batch that was logged.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_origin, get_type_hints

from algorithms.experiments.policy_flags import arms_of, playable_goals, training_of
from algorithms.experiments.thompson import evaluated_means
from rl_recsys.console.command import run_job
from rl_recsys.console.progress import progress
from rl_recsys.console.ranges import COUNT, SEED, WEIGHT
from rl_recsys.console.table import Table
from rl_recsys.console.terminal import say
from rl_recsys.core.outcome import Mode
from rl_recsys.core.task_flags import FINGERPRINT, TaskFlags
from rl_recsys.errors import UserError
from rl_recsys.evaluation.bandit import Objective, Pull, ThompsonRun, regret, running
from rl_recsys.evaluation.comparison import percent
from rl_recsys.evaluation.intervals import wilson_interval
from rl_recsys.evaluation.plots import running_means
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.results import write_results
from rl_recsys.runs.settings import claim, deciding, goes_on_with
from rl_recsys.storage.files import (
    naming,
    read_rows,
    write_text,
)
from rl_recsys.storage.locations import Place, place_of

if TYPE_CHECKING:
    from algorithms.rollouts.pool import RolloutPool

INCIDENTAL = ("out", "shop", "task", "num_workers", "num_gpus", "truth")
COLUMNS = ("run", "arm", "pulls", "success % (95 % interval)", "score", "probability to be the best")


@dataclass(kw_only=True)
class Arguments(TaskFlags):
    """Thompson sampling over arms."""

    policies: tuple[str, ...]
    """Arms as NAME=FOLDER, FOLDER being a policy folder; the task's baselines go by their names, of WebShop "rule",
    "heuristic" and "comparing"."""
    out: Place
    """Folder for the log of every pull, the table and the pictures."""
    runs: Annotated[int, COUNT] = 4
    """Parallel runs, each with its own posterior."""
    rollouts: Annotated[int, COUNT] = 1000
    """Episodes a run."""
    objective: Objective = "success"
    """success: Beta(1, 1) on a reward of exactly 1. score: a normal posterior on the reward."""
    batch: Annotated[int, COUNT] = 16
    """Rollouts a run draws before it sees what the last ones came to."""
    mode: Mode = "sampled"
    """How policies play: greedy takes the best action (a goal that comes again is played alike), sampled draws."""
    goals: Annotated[int, COUNT] = 500
    """Test goals that are played: the first ones of the goal order."""
    truth: Path | None = None
    """results.json of jobs/evaluate.py with the same arms: regret is reckoned from it. By default from all pulls."""
    seed: Annotated[int, SEED] = 0
    """Decides the draws, the order of the goals and the sampled episodes."""
    num_workers: Annotated[int, COUNT] = 2
    """Rollout processes."""
    num_gpus: Annotated[float, WEIGHT] = 0
    """GPUs shared by the rollout processes."""


@writes_to_its_out("thompson")
def main(arguments: Arguments) -> None:
    """Play all runs, and write what came of them."""
    task = arguments.open_task()
    arms = arms_of(arguments.policies, task)
    found = playable_goals(task, list(task.split("test"))[: arguments.goals], chain(*arms.values()))
    goals = list(found.goals)
    if found.too_long:
        say(found)
    if len(arms) < 2:
        raise UserError(f"{len(arms)} arm: there is nothing to choose between; name two in --policies")
    means = None
    if arguments.truth is not None:
        means = evaluated_means(arguments.truth, arms, objective=arguments.objective, mode=arguments.mode)
    bandits = [
        ThompsonRun(
            list(arms), goals, rollouts=arguments.rollouts, batch=arguments.batch, objective=arguments.objective,
            seed=arguments.seed, run=run,
        )
        for run in range(arguments.runs)
    ]  # fmt: skip
    logs = [arguments.out / f"pulls-{run}.jsonl" for run in range(arguments.runs)]
    settings = deciding(arguments, (*INCIDENTAL, "policies"))
    settings |= {
        FINGERPRINT: task.fingerprint,
        "policies": [name for name, seeds in arms.items() for _ in seeds],
    }
    settings |= {"training": [training_of(f, task) for a in arms.values() for f in a]}
    claim(arguments.out, settings, begun=any(path.is_file() for path in logs), incidental=INCIDENTAL)
    for bandit, log in zip(bandits, logs, strict=True):
        _resume(bandit, log)
    if not all(bandit.finished for bandit in bandits):
        from algorithms.cluster.connection import connect
        from algorithms.rollouts.pool import RolloutPool

        connect(num_cpus=arguments.num_workers)
        with RolloutPool(task, num_workers=arguments.num_workers, num_gpus=arguments.num_gpus) as pool:
            _play(arguments, pool, arms, bandits, logs)
    _report(arguments, bandits, means)


def _play(
    arguments: Arguments,
    pool: RolloutPool,
    arms: Mapping[str, Sequence[str]],
    bandits: Sequence[ThompsonRun],
    logs: Sequence[Path],
) -> None:
    """All runs in step: a batch of each is played together, and logged before the next is drawn."""
    with progress("Thompson sampling", arguments.runs * arguments.rollouts) as bar:
        bar.resume(sum(len(bandit.pulls) for bandit in bandits))
        while under_way := [both for both in zip(bandits, logs, strict=True) if not both[0].finished]:
            batches = [bandit.batch() for bandit, _ in under_way]
            plays = [
                (arms[one.arm][bandit.run % len(arms[one.arm])], one.goal, one.draw)
                for (bandit, _), batch in zip(under_way, batches, strict=True)
                for one in batch
            ]
            outcomes = iter(pool.play_each(plays, greedy=arguments.mode == "greedy", seed=arguments.seed))
            for (bandit, log), batch in zip(under_way, batches, strict=True):
                played = [next(outcomes) for _ in batch]
                pulls = bandit.observe(batch, [one.reward for one in played], [one.steps for one in played])
                with naming(log), open(log, "a", encoding="utf-8") as file:
                    file.write("".join(json.dumps(asdict(pull) | {"success": pull.success}) + "\n" for pull in pulls))
                    file.flush()
                    os.fsync(file.fileno())
            bar.update(sum(len(bandit.pulls) for bandit in bandits), _leader(bandits))


def _leader(bandits: Sequence[ThompsonRun]) -> str:
    shares = [bandit.best_probabilities() for bandit in bandits]
    mean = {arm: sum(share[arm] for share in shares) / len(shares) for arm in shares[0]}
    best = max(mean, key=mean.get)
    return f"{best} is the best with {mean[best]:.0%}"


def _resume(bandit: ThompsonRun, log: Path) -> None:
    """Take up what was logged; a batch that a kill cut short goes from the log and is played again."""
    if not log.is_file():
        return
    fields = {name: get_origin(hint) or hint for name, hint in get_type_hints(Pull).items()}
    rows = read_rows(log, "use another --out", fields=fields, cut=True)
    try:
        used = bandit.resume([Pull(**{name: row[name] for name in fields}) for row in rows])
    except ValueError as error:
        raise UserError(f"{log}: not the log of this run ({error}); use another --out") from None
    if not bandit.finished:  # the next batch must not go on within a line that was cut
        write_text(log, "".join(json.dumps(row) + "\n" for row in rows[:used]))


def _report(arguments: Arguments, bandits: Sequence[ThompsonRun], means: dict[str, float] | None) -> None:
    arms = bandits[0].arms
    value = (lambda pull: pull.success) if arguments.objective == "success" else (lambda pull: pull.reward)
    source = str(arguments.truth) if means else "the mean of all pulls"
    rows, runs = [], []
    for bandit in bandits:
        best, intervals = bandit.best_probabilities(), bandit.intervals()
        found = {}
        for arm in arms:
            own = [pull for pull in bandit.pulls if pull.arm == arm]
            successes = sum(pull.success for pull in own)
            found[arm] = {
                "pulls": len(own),
                "success": successes / len(own) if own else None,
                "success_interval": wilson_interval(successes, len(own)) if own else None,
                "score": 100 * sum(pull.reward for pull in own) / len(own) if own else None,
                "credible_interval": intervals[arm],
                "best_probability": best[arm],
            }
            rows.append(_cells(bandit.run, arm, found[arm]))
        known = means or _pooled(bandits, value)
        expected = {arm: by_seed[bandit.run % len(by_seed)] for arm, by_seed in known.items()}
        runs.append({"run": bandit.run, "regret": regret(bandit.pulls, expected), "means": expected, "arms": found})
    lost = ", ".join(f"{run['regret']:.1f}" for run in runs)
    unit = "successes" if arguments.objective == "success" else "episodes' worth of reward"
    short = (
        f"Thompson sampling on {arguments.objective}: {arguments.runs} runs of {arguments.rollouts:,} rollouts, "
        f"{arguments.mode}"
    )
    delay = f"a run draws {arguments.batch} rollouts before it sees what the last ones came to"
    title = f"{short}, seed {arguments.seed}; {delay}"
    note = f"Regret, in {unit}, by {source}: {lost}."
    folder, figures = arguments.out, {"means_from": source, "runs": runs}
    table = Table(title, COLUMNS, rows, note)
    write_results(table, figures, page=folder / "thompson.md", data=folder / "thompson.json")
    for objective, label in (("score", "running average score"), ("success", "running success rate, %")):
        means_of = {bandit.run: running(bandit.pulls, objective) for bandit in bandits}
        curves = {(arm, run): found.get(arm, []) for run, found in means_of.items() for arm in arms}
        running_means(curves, arguments.out / f"running_{objective}.png", label, short)
    say(f"pulls, table and pictures: {place_of(arguments.out)}")


def _pooled(bandits: Sequence[ThompsonRun], value: Callable[[Pull], float]) -> dict[str, list[float]]:
    """Each arm's mean over the pulls of all runs; 0 where there is none."""
    pulls = [pull for bandit in bandits for pull in bandit.pulls]
    found = {arm: [value(pull) for pull in pulls if pull.arm == arm] for arm in bandits[0].arms}
    return {arm: [sum(values) / len(values) if values else 0.0] for arm, values in found.items()}


def _cells(run: int, arm: str, found: Mapping) -> list[str]:
    if not found["pulls"]:
        return [str(run), arm, "0", "-", "-", f"{found['best_probability']:.1%}"]
    return [
        str(run), arm, str(found["pulls"]), percent(found["success"], found["success_interval"]),
        f"{found['score']:.1f}", f"{found['best_probability']:.1%}",
    ]  # fmt: skip


if __name__ == "__main__":
    run_job(main, Arguments, f"{__doc__}\n{goes_on_with(INCIDENTAL)}")
