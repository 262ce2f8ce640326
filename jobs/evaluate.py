"""Evaluate policies and baselines on the same held-out goals, each goal once for every arm.

    python jobs/evaluate.py --shop shops/demo --policies imitation=runs/demo/seed-0/imitation/policy --out runs/again

A name given several times is one arm trained with several seeds: --policies dpo=a/policy dpo=b/policy
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import chain
from typing import TYPE_CHECKING, Annotated

from algorithms.experiments.policy_flags import arms_of, playable_goals, training_of
from rl_recsys.console.command import run_job
from rl_recsys.console.progress import progress
from rl_recsys.console.ranges import COUNT, SEED, WEIGHT
from rl_recsys.console.terminal import say
from rl_recsys.core.outcome import MODES, Mode, Outcome
from rl_recsys.core.play import goals_of
from rl_recsys.core.task import Task
from rl_recsys.core.task_flags import TaskFlags
from rl_recsys.errors import UserError
from rl_recsys.evaluation.claims import ASKED, EPISODES, RESULTS, read_episodes
from rl_recsys.evaluation.comparison import arm_result, comparison_table
from rl_recsys.runs.outputs import writes_to_its_out
from rl_recsys.runs.results import write_results
from rl_recsys.runs.settings import goes_on_with
from rl_recsys.storage.files import write_text
from rl_recsys.storage.folders import digest_of
from rl_recsys.storage.locations import Place, absolute, local_folder

if TYPE_CHECKING:
    from algorithms.rollouts.pool import RolloutPool


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
    goals, split = _goals(arguments, task)
    arms = {name: [name] for name in list(task.baselines)[:1]} | arms_of(arguments.policies, task)
    if not arms:
        raise UserError("nothing to evaluate: name policies with --policies, the task has no baseline")
    found = playable_goals(task, goals, chain(*arms.values()))
    goals = list(found.goals)
    if found.too_long:
        say(found)
    from algorithms.cluster.connection import connect
    from algorithms.rollouts.pool import RolloutPool

    connect(num_cpus=arguments.num_workers)
    products = [task.cluster(goal) for goal in goals]
    asked = dict(zip(ASKED, (arguments.seed, goals, task.fingerprint, products), strict=True))
    results, files = [], []
    first: dict[str, list[list[float]]] = {}  # rewards of the first policy by mode
    with RolloutPool(task, num_workers=arguments.num_workers, num_gpus=arguments.num_gpus) as pool:
        for name, folders in arms.items():
            for mode in MODES[:1] if name in task.baselines else arguments.modes:
                label = name if name in task.baselines else f"{name}, {mode}"
                outcomes = [
                    _outcomes(arguments, task, pool, asked, name, number, folder, mode)
                    for number, folder in enumerate(folders)
                ]
                files += [_file(name, number, mode) for number in range(len(folders))]
                minutes = [] if name in task.baselines else [_minutes(folder, task) for folder in folders]
                rewards = [[outcome.reward for outcome in one] for one in outcomes]
                steps = [[outcome.steps for outcome in one] for one in outcomes]
                against = None
                if name not in task.baselines:
                    other = first.setdefault(mode, rewards)
                    against = other if other is not rewards and len(other) == len(rewards) else None
                results.append(arm_result(label, rewards, steps, minutes, against, products))
    title = f"{len(goals)} {split} goals of {arguments.shop or arguments.task}"
    figures: dict[str, object] = {"shop": task.fingerprint, "episodes": files}
    figures |= {"too_long": found.too_long} if found.too_long else {}
    figures["arms"] = [result.to_mapping() for result in results]
    table = comparison_table(results, title)
    write_results(table, figures, page=arguments.out / "table.md", data=arguments.out / RESULTS)


def _goals(arguments: Arguments, task: Task) -> tuple[list[int], str]:
    """The goals to play and what they are called."""
    split = arguments.split or ("test" if arguments.unseen_by is None else "train")
    goals = task.split(split)
    if arguments.unseen_by is None:
        return list(goals)[: arguments.goals], split
    seen = goals_of(arguments.unseen_by, task)
    kept = [goal for goal in goals if goal not in seen][: arguments.goals]
    if not kept:
        raise UserError(f"--unseen-by: {arguments.unseen_by} has trajectories of all {split} goals")
    return kept, f"held-out {split}"


def _outcomes(
    arguments: Arguments,
    task: Task,
    pool: RolloutPool,
    asked: dict,
    name: str,
    number: int,
    folder: str,
    mode: Mode,
) -> list[Outcome]:
    """An arm's episodes with one seed's policy: from the file of an earlier run, or played now.

    ``asked``: what is played, equal for all arms; with the policy it tells whether a file is of the same episodes.
    """
    path = arguments.out / EPISODES / _file(name, number, mode)
    goals = asked["goals"]
    played = {"policy": _identity(folder, task), "training": training_of(folder, task), "mode": mode}
    key = json.loads(json.dumps(played | asked))
    if path.is_file():
        try:
            header, episodes = read_episodes(path, "these episodes are played again")
            if header == key:
                return [Outcome(**episode) for episode in episodes]
        except UserError as error:
            say(error)
    with progress(f"{name} {number} {mode}", len(goals)) as bar:
        outcomes = pool.play(folder, goals, greedy=mode == "greedy", seed=arguments.seed, progress=bar.advance)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "".join(json.dumps(line) + "\n" for line in (key, *map(asdict, outcomes))))
    return outcomes


def _identity(folder: str, task: Task) -> str:
    """What tells a policy from others: what it holds, where its folder says so, else where it lies."""
    return folder if folder in task.baselines else digest_of(local_folder(folder)) or absolute(folder)


def _file(name: str, number: int, mode: Mode) -> str:
    return f"{name}-{number}-{mode}.jsonl"


def _minutes(folder: str, task: Task) -> float:
    """Training minutes from nothing: the policy's own and those of the one it started from."""
    return training_of(folder, task).get("total_training_seconds", 0.0) / 60  # a policy to start from has none


if __name__ == "__main__":
    run_job(main, Arguments, f"{__doc__}\n{goes_on_with(INCIDENTAL)}")
