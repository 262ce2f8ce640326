"""Evaluate policies and baselines on the same held-out goals, each goal once for every arm.

    python jobs/evaluate.py --shop shops/demo --policies imitation=runs/demo/seed-0/imitation/policy --out runs/again

A name given several times is one arm trained with several seeds: --policies dpo=a/policy dpo=b/policy
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Annotated

from algorithms.experiments.arm_evaluation import ArmEvaluation, arms_and_baseline, goals_of_split
from algorithms.experiments.policy_flags import playable_goals
from rl_recsys.console.command import run_job
from rl_recsys.console.ranges import COUNT, SEED, WEIGHT
from rl_recsys.console.terminal import say
from rl_recsys.core.outcome import MODES, Mode
from rl_recsys.core.task_flags import TaskFlags
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.settings import goes_on_with
from rl_recsys.storage.locations import Place

#: Flags that may differ where arms that were played are not played again.
INCIDENTAL = ("out", "shop", "task", "policies", "modes", "num_workers", "num_gpus")


@dataclass(kw_only=True)
class Arguments(TaskFlags):
    """Evaluate arms on equal goals."""

    policies: tuple[str, ...] = ()
    """Arms as NAME=FOLDER, FOLDER being a policy folder. The task's first baseline, of WebShop the rule, is always
    there; its others go by their names: "heuristic", "comparing". Policies are compared with the first, pair by pair,
    where they have as many seeds."""
    out: Place
    """Folder for table.md, results.json and the episodes; finished arms found there are not played again."""
    goals: Annotated[int, COUNT] = 500
    """How many goals to play: the first ones of the goal order."""
    split: str | None = None
    """Whose goals: test; to choose settings on, dev (protocols original and product-disjoint) or train. By default
    test, and train with --unseen-by."""
    unseen_by: Place | None = None
    """Leave out the goals that a trajectory of this folder is about, to choose settings on the others."""
    modes: tuple[Mode, ...] = MODES
    """greedy takes the best action, sampled draws from the policy."""
    seed: Annotated[int, SEED] = 0
    """Decides the draws of sampled episodes."""
    num_workers: Annotated[int, COUNT] = 2
    """Rollout processes."""
    num_gpus: Annotated[float, WEIGHT] = 0
    """GPUs shared by the rollout processes."""


@writes_to_its_out("evaluate")
def main(arguments: Arguments) -> None:
    """Play every arm, print the table and write it."""
    task = arguments.open_task()
    goals, split = goals_of_split(task, arguments.split, arguments.goals, unseen_by=arguments.unseen_by)
    arms = arms_and_baseline(arguments.policies, task)
    playable = playable_goals(task, goals, chain(*arms.values()))
    if playable.too_long:
        say(playable)
    evaluation = ArmEvaluation(task, list(playable.goals), arguments.out, seed=arguments.seed)
    evaluation.play(arms, arguments.modes, num_workers=arguments.num_workers, num_gpus=arguments.num_gpus)
    evaluation.write(f"{len(playable.goals)} {split} goals of {arguments.shop or arguments.task}", playable.too_long)


if __name__ == "__main__":
    run_job(main, Arguments, f"{__doc__}\n{goes_on_with(INCIDENTAL)}")
