"""Thompson sampling over arms: several runs, played side by side, whose pulls are logged as they are made."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from algorithms.experiments.policy_flags import training_of
from rl_recsys.console.progress import progress
from rl_recsys.core.outcome import Mode
from rl_recsys.core.task import Task
from rl_recsys.core.task_flags import FINGERPRINT
from rl_recsys.errors import UserError
from rl_recsys.evaluation.bandit import Objective, Pull, ThompsonRun
from rl_recsys.runs.settings import claim
from rl_recsys.storage.declared import require_declared
from rl_recsys.storage.files import naming, read_rows, write_text

if TYPE_CHECKING:
    from algorithms.rollouts.pool import RolloutPool

ANOTHER = "use another --out"


class ThompsonExperiment:
    """``runs`` runs of ``rollouts`` episodes each on the ``goals``, whose pulls are in a folder.

    ``arms``: name -> policy folders, or a baseline's name alone; run k plays the k-th of them. ``batch``: episodes that
    a run draws before it sees what the last ones came to. Take up what the folder has with ``resume``, then ``play``.
    Raises ``UserError`` for less than two arms.
    """

    def __init__(
        self,
        task: Task,
        arms: Mapping[str, Sequence[str]],
        goals: Sequence[int],
        folder: Path,
        *,
        runs: int,
        rollouts: int,
        batch: int,
        objective: Objective,
        mode: Mode,
        seed: int,
    ):
        if len(arms) < 2:
            raise UserError(f"{len(arms)} arm: there is nothing to choose between; name two in --policies")
        self.arms = {name: tuple(folders) for name, folders in arms.items()}
        self.folder, self.rollouts, self.batch = folder, rollouts, batch
        self.objective, self.mode, self.seed = objective, mode, seed
        self.runs = [
            ThompsonRun(
                list(arms), goals, rollouts=rollouts, batch=batch, objective=objective, seed=seed, run=number
            )
            for number in range(runs)
        ]  # fmt: skip
        self._task = task
        self._logs = [folder / f"pulls-{number}.jsonl" for number in range(runs)]

    @property
    def finished(self) -> bool:
        """Whether all runs are."""
        return all(run.finished for run in self.runs)

    def resume(self, settings: Mapping[str, Any], incidental: Collection[str] = ()) -> None:
        """Make the folder this experiment's, or go on after the pulls that are logged there.

        ``settings`` decide what is played, the ``incidental`` ones do not. Raises ``UserError`` where the folder is
        of other settings, or of policies that were trained otherwise.
        """
        policies = [(name, folder) for name, folders in self.arms.items() for folder in folders]
        settings = {
            **settings,
            FINGERPRINT: self._task.fingerprint,
            "policies": [name for name, _ in policies],
            "training": [training_of(folder, self._task) for _, folder in policies],
        }
        claim(self.folder, settings, begun=any(log.is_file() for log in self._logs), incidental=incidental)
        for run, log in zip(self.runs, self._logs, strict=True):
            _resume(run, log)

    def play(self, *, num_workers: int, num_gpus: float) -> None:
        """Play what is left of all runs in rollout processes, which share the GPUs. Starts Ray."""
        if self.finished:
            return
        from algorithms.cluster.connection import connect
        from algorithms.rollouts.pool import RolloutPool

        connect(num_cpus=num_workers)
        with RolloutPool(self._task, num_workers=num_workers, num_gpus=num_gpus) as pool:
            self._play_in_step(pool)

    def _play_in_step(self, pool: RolloutPool) -> None:
        """A batch of each run is played together, and logged before the next is drawn."""
        with progress("Thompson sampling", len(self.runs) * self.rollouts) as bar:
            bar.resume(sum(len(run.pulls) for run in self.runs))
            while not self.finished:
                under_way = [(run, log) for run, log in zip(self.runs, self._logs, strict=True) if not run.finished]
                batches = [run.batch() for run, _ in under_way]
                plays = [
                    (self.arms[planned.arm][run.run % len(self.arms[planned.arm])], planned.goal, planned.draw)
                    for (run, _), batch in zip(under_way, batches, strict=True)
                    for planned in batch
                ]
                outcomes = iter(pool.play_each(plays, greedy=self.mode == "greedy", seed=self.seed))
                for (run, log), batch in zip(under_way, batches, strict=True):
                    played = list(islice(outcomes, len(batch)))
                    rewards, steps = [outcome.reward for outcome in played], [outcome.steps for outcome in played]
                    _log(run.observe(batch, rewards, steps), log)
                bar.update(sum(len(run.pulls) for run in self.runs), self._leader())

    def _leader(self) -> str:
        shares = [run.best_probabilities() for run in self.runs]
        means = {arm: sum(share[arm] for share in shares) / len(shares) for arm in self.arms}
        best = max(means, key=means.get)
        return f"{best} is the best with {means[best]:.0%}"


def _log(pulls: Sequence[Pull], log: Path) -> None:
    """Add pulls to a log; they are on the disk when it returns."""
    with naming(log), open(log, "a", encoding="utf-8") as file:
        file.write("".join(json.dumps(asdict(pull) | {"success": pull.success}) + "\n" for pull in pulls))
        file.flush()
        os.fsync(file.fileno())


def _resume(run: ThompsonRun, log: Path) -> None:
    """Take up what was logged; a batch that a kill cut short goes from the log and is played again."""
    if not log.is_file():
        return
    rows = read_rows(log, ANOTHER, cut=True)
    pulls = [require_declared(Pull, row, f"{log}, line {number}", ANOTHER) for number, row in enumerate(rows, 1)]
    try:
        used = run.resume(pulls)
    except ValueError as error:
        raise UserError(f"{log}: not the log of this run ({error}); {ANOTHER}") from None
    if not run.finished:  # the next batch must not go on within a line that was cut
        write_text(log, "".join(json.dumps(row) + "\n" for row in rows[:used]))
