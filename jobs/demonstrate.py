"""Record demonstrations: the task's demonstrator, which knows what an episode brings, plays training goals.

python jobs/demonstrate.py --shop shops/demo --out runs/demo/demonstrations
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from rl_recsys.console.command import run_job
from rl_recsys.console.progress import progress
from rl_recsys.console.ranges import COUNT_OR_ZERO, SEED
from rl_recsys.console.terminal import say
from rl_recsys.core.play import demonstration
from rl_recsys.core.task import Task
from rl_recsys.core.task_flags import TaskFlags
from rl_recsys.core.trajectory import TrajectoryWriter, read_trajectories
from rl_recsys.errors import UserError
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.settings import claim, goes_on_with
from rl_recsys.storage.locations import Place, place_of

WHAT = ("seed", "trajectories", "variations")  # decide what is played
INCIDENTAL = ("out", "shop", "task")


@dataclass(kw_only=True)
class Arguments(TaskFlags):
    """Record demonstrations."""

    out: Place
    """Folder of trajectories to write, or to go on with after a kill: what is there is not played again."""
    trajectories: Annotated[int, COUNT_OR_ZERO] = 1200
    """Episodes of the task's goals, each of another training goal (the paper has 1,200)."""
    variations: Annotated[int, COUNT_OR_ZERO] = 0
    """Episodes besides, each of a goal that the task makes up: of a shop, some of a product's attributes."""
    seed: Annotated[int, SEED] = 0
    """Decides which goals are played."""

    def validate(self) -> None:
        """Something must be played."""
        super().validate()
        if not self.trajectories + self.variations:
            raise UserError("--trajectories and --variations are both 0: there is nothing to play")


@writes_to_its_out("demonstrate")
def main(arguments: Arguments) -> None:
    """Play, and print how it went."""
    task = arguments.open_task()
    training = task.split("train")
    if arguments.trajectories > len(training):
        raise UserError(
            f"{arguments.trajectories} trajectories asked for, {len(training)} training goals there: "
            f"use --trajectories {len(training)} or fewer"
        )
    goals = _goals(arguments, task, training)
    begun = bool(list(arguments.out.glob("part-*.arrows")))
    settings = {"shop": task.fingerprint, "shopper": task.demonstrator.version} | {
        name: getattr(arguments, name) for name in WHAT
    }
    claim(arguments.out, settings, begun=begun)
    played = [trajectory.goal for trajectory in read_trajectories(arguments.out)] if begun else []
    left = _left(task, goals, Counter(map(_key, played)))
    with TrajectoryWriter(arguments.out, task.name) as writer, progress("demonstrate", len(goals)) as bar:
        bar.resume(len(goals) - len(left))
        for goal in left:
            writer.append(demonstration(task, goal, seed=arguments.seed))
            bar.advance()
    recorded = list(read_trajectories(arguments.out))
    successes = sum(trajectory.success for trajectory in recorded)
    steps = sum(len(trajectory.steps) for trajectory in recorded) / len(recorded)
    say(f"{place_of(arguments.out)}: {len(recorded)} trajectories, {successes} successful, {steps:.1f} steps each")


def _left(task: Task, goals: Sequence[Any], played: Counter[str]) -> list[Any]:
    """The goals that were not played yet, also where a part of what was played is gone."""
    left = []
    for goal in goals:
        key = _key(task.goal(goal) if isinstance(goal, int) else goal)
        if played[key]:
            played[key] -= 1
        else:
            left.append(goal)
    return left


def _key(goal: Mapping[str, Any]) -> str:
    return json.dumps(goal, sort_keys=True)


def _goals(arguments: Arguments, task: Task, training: Sequence[int]) -> list[Any]:
    """What to play, in order: goals of the task and others, mixed, so that the first ones are of both."""
    rng = random.Random(arguments.seed)
    goals: list[Any] = list(rng.sample(training, arguments.trajectories))
    if arguments.variations:
        goals += [task.variation(number, seed=arguments.seed) for number in range(arguments.variations)]
        rng.shuffle(goals)
    return goals


if __name__ == "__main__":
    run_job(main, Arguments, f"{__doc__}\n{goes_on_with(INCIDENTAL)}")
