"""Generated trajectories: a policy plays training goals until enough of its episodes succeed (reward exactly 1)."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from algorithms.cluster.connection import connect
from algorithms.rollouts.goal_sampler import later_seed
from algorithms.rollouts.pool import RolloutPool
from rl_recsys.console.terminal import say
from rl_recsys.core.encoding import fitting_goals, load_decision_encoder
from rl_recsys.core.episode_counts import EpisodeCounts
from rl_recsys.core.policy_folder import TRAINING_FILE, read_policy_file
from rl_recsys.core.preferences import without_loops
from rl_recsys.core.recording import FINGERPRINT, RECORDED_IN, recorded_before, recording
from rl_recsys.core.task import Task
from rl_recsys.core.trajectory import Trajectory
from rl_recsys.errors import UserError
from rl_recsys.storage.files import read_object, write_json
from rl_recsys.storage.locations import Place

REPORT = "report.json"
PASSES = 20  # times the training goals are gone through before the policy is given up


@dataclass(frozen=True, slots=True)
class Generated:
    """The episodes of a folder, and the seconds that all its runs took for them."""

    counts: EpisodeCounts
    seconds: float


def generate_trajectories(
    task: Task, policy: Place, out: Path, *, successes: int, group: int, seed: int, num_workers: int, num_gpus: float
) -> Generated:
    """Record sampled episodes of a policy folder, ``group`` of each goal, until so many have succeeded.

    Loops are cut out of the successful ones; failed ones stay whole. What is in ``out`` already is not played again.
    Raises ``UserError`` where a part of it is gone, and where the policy is too weak.
    """
    fitting = fitting_goals(task, task.split("train"), load_decision_encoder(policy))
    if fitting.too_long:
        say(fitting)
    training = read_policy_file(policy, TRAINING_FILE)
    world = {FINGERPRINT: task.fingerprint, RECORDED_IN: task.spec}
    settings = {**world, "policy": training, "seed": seed, "group": group}
    counts = EpisodeCounts.of(recorded_before(out, settings))
    start = time.monotonic() - _seconds_before(out, counts)
    if counts.successes < successes:
        connect(num_cpus=num_workers)
        with (
            RolloutPool(task, num_workers=num_workers, num_gpus=num_gpus) as pool,
            recording(out, task, "generate", successes, done=counts.successes) as (writer, bar),
        ):
            for trajectory in _episodes(pool, policy, fitting.goals, group=group, seed=seed, skip=counts.episodes):
                if trajectory.success:
                    trajectory = replace(trajectory, steps=tuple(without_loops(trajectory.steps)))
                writer.append(trajectory)
                counts.add(trajectory)
                bar.update(counts.successes, f"{counts.success_rate:.0%} of {counts.episodes} episodes succeed")
                _report(out, counts, time.monotonic() - start)
                if counts.successes == successes:
                    break
            else:
                raise UserError(
                    f"{counts.successes} successes in {counts.episodes} episodes, {PASSES} times through "
                    f"{len(fitting.goals)} training goals: the policy is too weak; train it further or ask for fewer "
                    "--trajectories"
                )
    return Generated(counts, time.monotonic() - start)


def _seconds_before(out: Path, counts: EpisodeCounts) -> float:
    """The seconds that earlier runs took. Raises ``UserError`` where they played more episodes than there are."""
    if not (out / REPORT).is_file():
        return 0.0
    report = read_object(out / REPORT, "use another --out", fields={"episodes": int, "seconds": float})
    if counts.episodes < report["episodes"]:
        raise UserError(
            f"{out}: {report['episodes']} episodes were played, {counts.episodes} are here: a part is missing; use "
            "another --out"
        )
    return report["seconds"]


def _episodes(
    pool: RolloutPool, policy: Place, training: Sequence[int], *, group: int, seed: int, skip: int
) -> Iterator[Trajectory]:
    """The training goals in a random order, again and again with other draws, from the ``skip``-th episode on."""
    episodes_a_pass = len(training) * group
    passes, skip = divmod(skip, episodes_a_pass)
    for number in range(passes, PASSES):
        order = random.Random(f"{seed}:{number}").sample(training, len(training))
        goals = [(goal, draw) for goal in order for draw in range(group)]
        yield from pool.trajectories(policy, goals[skip:], seed=later_seed(seed, number))
        skip = 0


def _report(out: Path, counts: EpisodeCounts, seconds: float) -> None:
    write_json(
        out / REPORT,
        {
            "episodes": counts.episodes,
            "successes": counts.successes,
            "acceptance_rate": counts.success_rate,
            "seconds": round(seconds, 1),
            "episodes_per_second": round(counts.episodes / seconds, 3),
        },
    )
