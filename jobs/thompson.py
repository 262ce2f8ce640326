"""Simulated online experiments: Thompson sampling over policies, every rollout one episode of the arm it draws.

    python jobs/thompson.py --shop shops/demo --out runs/demo/thompson \\
        --policies imitation=runs/demo/seed-0/imitation/policy dpo=runs/demo/seed-0/dpo/policy

A name given several times is one arm trained with several seeds: run k plays the k-th of them. Killed and started again
with the same flags, it goes on after the last batch that was logged.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated

from algorithms.experiments.policy_flags import arms_of, playable_goals
from algorithms.experiments.thompson import ThompsonExperiment
from algorithms.experiments.thompson_results import write_experiment
from algorithms.experiments.thompson_truth import evaluated_means
from rl_recsys.console.command import run_job
from rl_recsys.console.ranges import COUNT, SEED, WEIGHT
from rl_recsys.console.terminal import say
from rl_recsys.core.outcome import Mode
from rl_recsys.core.task_flags import TaskFlags
from rl_recsys.evaluation.bandit import Objective
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.settings import deciding, goes_on_with
from rl_recsys.storage.locations import Place, place_of

INCIDENTAL = ("out", "shop", "task", "num_workers", "num_gpus", "truth")


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
    playable = playable_goals(task, list(task.split("test"))[: arguments.goals], chain(*arms.values()))
    if playable.too_long:
        say(playable)
    experiment = ThompsonExperiment(
        task, arms, list(playable.goals), arguments.out, runs=arguments.runs, rollouts=arguments.rollouts,
        batch=arguments.batch, objective=arguments.objective, mode=arguments.mode, seed=arguments.seed,
    )  # fmt: skip
    means = None
    if arguments.truth is not None:
        means = evaluated_means(arguments.truth, arms, objective=arguments.objective, mode=arguments.mode)
    experiment.resume(deciding(arguments, (*INCIDENTAL, "policies")), INCIDENTAL)
    experiment.play(num_workers=arguments.num_workers, num_gpus=arguments.num_gpus)
    write_experiment(experiment, means, arguments.truth)
    say(f"pulls, table and pictures: {place_of(arguments.out)}")


if __name__ == "__main__":
    run_job(main, Arguments, f"{__doc__}\n{goes_on_with(INCIDENTAL)}")
