"""Generate trajectories: a policy plays training goals until enough of its episodes succeed (reward exactly 1).

    python jobs/generate.py --shop shops/demo --policy runs/demo/seed-0/imitation/policy --out runs/demo/generated

Loops are cut out of the successful episodes. The failed ones are kept as they are: they are what better ones can be
preferred to.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from algorithms.experiments.policy_flags import playable_goals
from algorithms.rollouts.goal_sampler import later_seed
from rl_recsys.console.command import run_job
from rl_recsys.console.progress import format_seconds, progress
from rl_recsys.console.ranges import COUNT, SEED, WEIGHT
from rl_recsys.console.terminal import say
from rl_recsys.core.policy_folder import TRAINING_FILE, read_policy_file
from rl_recsys.core.preferences import without_loops
from rl_recsys.core.task_flags import TaskFlags
from rl_recsys.core.trajectory import Trajectory, TrajectoryWriter, read_trajectories
from rl_recsys.errors import UserError
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.settings import claim, goes_on_with
from rl_recsys.storage.files import read_object, write_json
from rl_recsys.storage.locations import Place, place_of

if TYPE_CHECKING:
    from algorithms.rollouts.pool import RolloutPool

REPORT = "report.json"
INCIDENTAL = ("out", "shop", "task", "trajectories", "num_workers", "num_gpus")
PASSES = 20  # times the training goals are gone through before the policy is given up


@dataclass(kw_only=True)
class Arguments(TaskFlags):
    """Generate trajectories."""

    policy: Place
    """Policy folder that plays; its actions are sampled."""
    out: Place
    """Folder of trajectories to write, or to go on with after a kill: what is there is not played again."""
    trajectories: Annotated[int, COUNT] = 100
    """Successful episodes to collect (the paper has 100)."""
    group: Annotated[int, COUNT] = 1
    """Episodes of each goal, one after the other: 8, say, to compare better ones with worse."""
    seed: Annotated[int, SEED] = 0
    """Decides the order of the goals and the draws of the policy."""
    num_workers: Annotated[int, COUNT] = 2
    """Rollout processes."""
    num_gpus: Annotated[float, WEIGHT] = 0
    """GPUs shared by the rollout processes."""


@writes_to_its_out("generate")
def main(arguments: Arguments) -> None:
    """Play until there are enough, and print how it went."""
    task = arguments.open_task()
    found = playable_goals(task, task.split("train"), [arguments.policy])
    training = found.goals
    if found.too_long:
        say(found)
    trained = read_policy_file(arguments.policy, TRAINING_FILE)
    begun = bool(list(arguments.out.glob("part-*.arrows")))
    settings = {"shop": task.fingerprint, "policy": trained, "seed": arguments.seed, "group": arguments.group}
    claim(arguments.out, settings, begun=begun)
    before = [trajectory.success for trajectory in read_trajectories(arguments.out)] if begun else []
    successes, played, start = sum(before), len(before), time.monotonic()
    report = {"episodes": 0, "seconds": 0.0}
    if (arguments.out / REPORT).is_file():
        report = read_object(arguments.out / REPORT, "use another --out", fields={"episodes": int, "seconds": float})
    spent = report["seconds"]
    if played < report["episodes"]:
        raise UserError(
            f"{arguments.out}: {report['episodes']} episodes were played, {played} are here: a part is missing; use "
            "another --out"
        )
    if successes < arguments.trajectories:
        from algorithms.cluster.connection import connect
        from algorithms.rollouts.pool import RolloutPool

        connect(num_cpus=arguments.num_workers)
        with (
            RolloutPool(task, num_workers=arguments.num_workers, num_gpus=arguments.num_gpus) as pool,
            TrajectoryWriter(arguments.out, task.name) as writer,
            progress("generate", arguments.trajectories) as bar,
        ):
            bar.resume(successes)
            for trajectory in _episodes(pool, arguments, training, played):
                if trajectory.success:
                    trajectory = replace(trajectory, steps=tuple(without_loops(trajectory.steps)))
                writer.append(trajectory)
                successes, played = successes + trajectory.success, played + 1
                bar.update(successes, f"{successes / played:.0%} of {played} episodes succeed")
                _report(arguments, played, successes, spent + time.monotonic() - start)
                if successes == arguments.trajectories:
                    break
            else:
                raise UserError(
                    f"{successes} successes in {played} episodes, {PASSES} times through {len(training)} training "
                    "goals: the policy is too weak; train it further or ask for fewer --trajectories"
                )
    took = format_seconds(spent + time.monotonic() - start)
    rate = f"{successes / played:.1%}"
    say(f"{place_of(arguments.out)}: {successes} successful trajectories of {played} episodes ({rate}), {took}")


def _episodes(pool: RolloutPool, arguments: Arguments, training: list[int], skip: int) -> Iterator[Trajectory]:
    """The training goals in a random order, again and again with other draws, from the ``skip``-th episode on."""
    each = len(training) * arguments.group
    for number in range(skip // each, PASSES):
        order = random.Random(f"{arguments.seed}:{number}").sample(training, len(training))
        goals = [(goal, draw) for goal in order for draw in range(arguments.group)]
        first = skip - number * each if number == skip // each else 0
        seed = later_seed(arguments.seed, number)
        yield from pool.trajectories(arguments.policy, goals[first:], seed=seed)


def _report(arguments: Arguments, played: int, successes: int, seconds: float) -> None:
    write_json(
        arguments.out / REPORT,
        {
            "episodes": played,
            "successes": successes,
            "acceptance_rate": successes / played,
            "seconds": round(seconds, 1),
            "episodes_per_second": round(played / seconds, 3),
        },
    )


if __name__ == "__main__":
    run_job(main, Arguments, f"{__doc__}\n{goes_on_with(INCIDENTAL)}")
