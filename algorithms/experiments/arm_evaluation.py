"""Arms evaluated on equal goals, each goal once for every policy and mode."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from algorithms.experiments.policy_flags import arms_of, training_of
from rl_recsys.console.progress import progress
from rl_recsys.console.terminal import say
from rl_recsys.core.outcome import MODES, Mode, Outcome
from rl_recsys.core.play import goals_of
from rl_recsys.core.task import Task
from rl_recsys.errors import UserError
from rl_recsys.evaluation.claims import ASKED, EPISODES, RESULTS, read_episodes
from rl_recsys.evaluation.comparison import ArmResult, arm_result, comparison_table, parts_table
from rl_recsys.runs.results import write_results
from rl_recsys.storage.files import write_text
from rl_recsys.storage.folders import digest_of
from rl_recsys.storage.locations import Place, absolute, local_folder

if TYPE_CHECKING:
    from algorithms.rollouts.pool import RolloutPool


def goals_of_split(
    task: Task, split: str | None, number: int, *, unseen_by: Place | None = None
) -> tuple[list[int], str]:
    """The first ``number`` goals of a split, less those that a trajectory of ``unseen_by`` is about; and their name.

    By default those of "test", with ``unseen_by`` of "train". Raises ``UserError`` where no goal is left.
    """
    split = split or ("test" if unseen_by is None else "train")
    goals = list(task.split(split))
    if unseen_by is None:
        return goals[:number], split
    seen = goals_of(unseen_by, task)
    unseen = [goal for goal in goals if goal not in seen][:number]
    if not unseen:
        raise UserError(f"--unseen-by: {unseen_by} has trajectories of all {split} goals")
    return unseen, f"held-out {split}"


def arms_and_baseline(policies: Sequence[str], task: Task) -> dict[str, list[str]]:
    """The task's first baseline, where it has any, and the arms of ``policies``; see ``arms_of``.

    Raises ``UserError`` where there is neither.
    """
    arms = {name: [name] for name in list(task.baselines)[:1]} | arms_of(policies, task)
    if not arms:
        raise UserError("nothing to evaluate: name policies with --policies, the task has no baseline")
    return arms


class ArmEvaluation:
    """What arms come to on the same ``goals``, with the episodes in a folder: what is there is not played again."""

    def __init__(self, task: Task, goals: Sequence[int], folder: Path, *, seed: int):
        self._task, self._folder = task, folder
        self._products = [task.cluster(goal) for goal in goals]
        self._asked = dict(zip(ASKED, (seed, list(goals), task.fingerprint, self._products), strict=True))
        self._files: list[str] = []
        self.results: list[ArmResult] = []

    def play(
        self, arms: Mapping[str, Sequence[str]], modes: Sequence[Mode], *, num_workers: int, num_gpus: float
    ) -> None:
        """Play all arms in rollout processes, which share the GPUs, for ``results``. Starts Ray.

        ``arms``: name -> policy folders, one for each seed, or a baseline's name alone, which has no modes. The first
        policy is what the others are compared with, pair by pair, where they have as many seeds.
        """
        from algorithms.cluster.connection import connect
        from algorithms.rollouts.pool import RolloutPool

        connect(num_cpus=num_workers)
        rewards_of_first: dict[Mode, list[list[float]]] = {}
        with RolloutPool(self._task, num_workers=num_workers, num_gpus=num_gpus) as pool:
            for arm, folders in arms.items():
                is_baseline = arm in self._task.baselines
                for mode in MODES[:1] if is_baseline else modes:
                    by_seed = [self._outcomes(pool, arm, seed, folder, mode) for seed, folder in enumerate(folders)]
                    rewards = [[outcome.reward for outcome in outcomes] for outcomes in by_seed]
                    steps = [[outcome.steps for outcome in outcomes] for outcomes in by_seed]
                    parts = [[outcome.parts for outcome in outcomes] for outcomes in by_seed]
                    label, minutes, against = arm, [], None
                    if not is_baseline:
                        label = f"{arm}, {mode}"
                        minutes = [_training_minutes(folder, self._task) for folder in folders]
                        first = rewards_of_first.setdefault(mode, rewards)
                        against = first if first is not rewards and len(first) == len(rewards) else None
                    self.results.append(arm_result(label, rewards, steps, minutes, against, self._products, parts))

    def write(self, title: str, too_long: Mapping[int, int]) -> None:
        """Show the table of ``results``, and write table.md and results.json.

        ``too_long``: goals that no arm played -> tokens of their instructions.
        """
        figures: dict[str, Any] = {"shop": self._task.fingerprint, "episodes": self._files}
        figures |= {"too_long": too_long} if too_long else {}
        figures["arms"] = [result.to_mapping() for result in self.results]
        table = comparison_table(self.results, title)
        names = self._task.reward_parts
        parts = [parts_table(self.results, names, "parts of the reward")] if names else []
        write_results(table, figures, *parts, page=self._folder / "table.md", data=self._folder / RESULTS)

    def _outcomes(self, pool: RolloutPool, arm: str, number: int, folder: str, mode: Mode) -> list[Outcome]:
        """An arm's episodes with its policy of this number: from the file of an earlier run, or played now."""
        file = f"{arm}-{number}-{mode}.jsonl"
        self._files.append(file)
        path = self._folder / EPISODES / file
        # With the policy, what is asked tells whether the file is of the same episodes.
        played = {
            "policy": _identity(folder, self._task), "training": training_of(folder, self._task), "mode": mode,
        }  # fmt: skip
        header = json.loads(json.dumps(played | self._asked))
        if path.is_file():
            try:
                written, episodes = read_episodes(path, "these episodes are played again")
                if written == header:
                    return [Outcome(**episode) for episode in episodes]
            except UserError as error:
                say(error)
        goals, seed = self._asked["goals"], self._asked["seed"]
        with progress(f"{arm} {number} {mode}", len(goals)) as bar:
            outcomes = pool.play(folder, goals, greedy=mode == "greedy", seed=seed, progress=bar.advance)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "".join(json.dumps(line) + "\n" for line in (header, *map(asdict, outcomes))))
        return outcomes


def _identity(folder: str, task: Task) -> str:
    """What tells a policy from others: what it holds, where its folder says so, else where it lies."""
    return folder if folder in task.baselines else digest_of(local_folder(folder)) or absolute(folder)


def _training_minutes(folder: str, task: Task) -> float:
    """Training minutes from nothing: the policy's own and those of the policy it started from."""
    return training_of(folder, task).get("total_training_seconds", 0.0) / 60  # a policy to start from has none
