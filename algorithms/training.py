"""The training run: a folder that can be killed and gone on with, its progress and its result."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.utils.metrics import TIMERS

from algorithms.seconds import parts_of, shares
from policies.choice_model import TRAINING_FILE, ChoiceModel, read_config, read_policy_file
from policies.module_state import load_module_state
from rl_recsys.errors import UserError
from rl_recsys.files import write_text
from rl_recsys.progress import format_seconds, progress
from rl_recsys.settings import claim

POLICY, CHECKPOINTS, PROGRESS, SNAPSHOTS = "policy", "checkpoints", "progress.jsonl", "snapshots"
KEPT_CHECKPOINTS = 2


class RunError(UserError):
    """Training cannot go on; the message names the remedy."""


@dataclass(frozen=True)
class Evaluation:
    """An evaluation between iterations: ``play`` maps a model to a row of figures, every ``every`` iterations."""

    play: Callable[[ChoiceModel], Mapping[str, float]]
    every: int


class TrainingRun:
    """One run folder: settings.json, progress.jsonl (a line an iteration), checkpoints/, and at the end policy/.

    Starting it again with the same settings goes on from the last checkpoint; a finished run is left alone.
    """

    def __init__(self, folder: str | Path, settings: Mapping):
        self.folder = Path(folder)
        self.settings = json.loads(json.dumps(dict(settings), default=str))
        self.rows: list[dict] = []

    @property
    def policy_folder(self) -> Path:
        """Where the trained policy is, once the run is finished."""
        return self.folder / POLICY

    @property
    def finished(self) -> bool:
        """Whether the run has written its policy."""
        return (self.policy_folder / "config.json").is_file()

    @property
    def trained(self) -> int:
        """Iterations in the last checkpoint; 0 where there is none."""
        found = _checkpoints(self.folder / CHECKPOINTS)
        return int(found[-1].name.rpartition("-")[2]) if found else 0

    def open(self) -> None:
        """Make the folder, or check that what was begun there had the same settings (``SettingsError`` otherwise)."""
        claim(self.folder, self.settings, begun=self.finished or self.trained > 0)

    def train(
        self,
        config: AlgorithmConfig,
        iterations: int,
        *,
        checkpoint_every: int,
        headline: Callable[[dict], str],
        evaluation: Evaluation | None = None,
        snapshot_minutes: Sequence[float] = (),
        last_update: int | None = None,
    ) -> dict:
        """Train to ``iterations``, or to the iteration of the ``last_update``, and write the policy.

        A run goes on from its last checkpoint, where there is one.

        ``headline`` makes the progress line of a result. After so many minutes of training each, the policy is written
        to snapshots/ as well: the last one, where the run is shorter. Returns the run's summary, which
        policy/training.json holds.
        """
        algorithm = config.build_algo()
        with suppress(OSError):
            os.rmdir(algorithm.logdir)  # Ray makes an empty folder in the user's home; this run has its own
        try:
            done = self._resume(algorithm)
            if evaluation and not self.rows:
                self._evaluate(algorithm, evaluation, 0)
            with progress(f"{type(algorithm).__name__}", iterations) as task:
                task.resume(done)
                for iteration in range(done + 1, iterations + 1):
                    result = algorithm.train()
                    row = self._log(iteration, result)
                    task.update(iteration, headline(row))
                    ended = last_update is not None and row.get("learners/updates", 0) > last_update - 0.5
                    last = iteration == iterations or ended
                    if evaluation and (iteration % evaluation.every == 0 or last):
                        self._evaluate(algorithm, evaluation, iteration)
                    self._snapshot(algorithm, iteration, snapshot_minutes, last=last)
                    if last:
                        break
                    if iteration % checkpoint_every == 0:
                        self._checkpoint(algorithm, iteration)
            summary = self._write_policy(algorithm, iteration, self.policy_folder)
        finally:
            algorithm.stop()
        split = ", ".join(f"{name} {share:.0%}" for name, share in summary["shares_of_time"].items())
        print(f"{self.folder}: {format_seconds(self.seconds)} of training: {split}", flush=True)
        shutil.rmtree(self.folder / CHECKPOINTS, ignore_errors=True)  # the policy is written; 300 MB each
        return summary

    @property
    def seconds(self) -> float:
        """Training time so far, evaluations and start-up left out, over all parts of an interrupted run."""
        return sum(row["seconds"] for row in self.rows if "seconds" in row)

    def _log(self, iteration: int, result: dict) -> dict:
        row = {"iteration": iteration, "seconds": result["time_this_iter_s"], **flatten(result)}
        bad = [name for name, value in row.items() if name.endswith("_loss") and not math.isfinite(value)]
        if bad:
            raise RunError(f"iteration {iteration}: {', '.join(bad)} is not a number; lower the learning rate")
        self.rows.append(row)
        row["minutes"] = self.seconds / 60
        self._append(row)
        return row

    def _evaluate(self, algorithm: Algorithm, evaluation: Evaluation, iteration: int) -> None:
        figures = evaluation.play(current_model(algorithm))
        row = {"iteration": iteration, "minutes": self.seconds / 60} | {
            f"evaluation/{k}": v for k, v in figures.items()
        }
        self.rows.append(row)
        self._append(row)

    def _snapshot(self, algorithm: Algorithm, iteration: int, minutes: Sequence[float], *, last: bool) -> None:
        for passed in (one for one in minutes if last or 60 * one <= self.seconds):
            folder = snapshot_folder(self.folder, passed)
            if not folder.exists():
                self._write_policy(algorithm, iteration, folder)

    def _append(self, row: dict) -> None:
        with open(self.folder / PROGRESS, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _checkpoint(self, algorithm: Algorithm, iteration: int) -> None:
        """Written aside and renamed: a checkpoint that has its name is whole."""
        root = self.folder / CHECKPOINTS
        aside = root / "unfinished"
        shutil.rmtree(aside, ignore_errors=True)
        algorithm.save_to_path(str(aside.resolve()))
        os.rename(aside, root / f"iteration-{iteration:06d}")
        for old in _checkpoints(root)[:-KEPT_CHECKPOINTS]:
            shutil.rmtree(old)

    def _resume(self, algorithm: Algorithm) -> int:
        done = self.trained
        if not done:
            # Iterations before the first checkpoint are done again.
            (self.folder / PROGRESS).unlink(missing_ok=True)
            shutil.rmtree(self.folder / SNAPSHOTS, ignore_errors=True)
            return 0
        algorithm.restore_from_path(str(_checkpoints(self.folder / CHECKPOINTS)[-1].resolve()))
        lines = (self.folder / PROGRESS).read_text().splitlines()
        self.rows = [row for row in map(_parse, lines) if row and row["iteration"] <= done]
        write_text(self.folder / PROGRESS, "".join(json.dumps(row) + "\n" for row in self.rows))
        print(f"{self.folder}: goes on after iteration {done} ({format_seconds(self.seconds)} of training)", flush=True)
        return done

    def _write_policy(self, algorithm: Algorithm, iterations: int, folder: Path) -> dict:
        before = read_policy_file(Path(algorithm.config.policy), TRAINING_FILE).get("total_training_seconds", 0.0)
        summary = {
            "algorithm": type(algorithm).__name__,
            "iterations": iterations,
            "training_seconds": round(self.seconds, 1),
            "total_training_seconds": round(before + self.seconds, 1),  # with those of the policy it started from
            "shares_of_time": shares(self.rows),
            "settings": self.settings,
        }
        current_model(algorithm).save_pretrained(folder, tokenizer=algorithm.config.policy, training=summary)
        return summary


def snapshot_folder(run: str | Path, minutes: float) -> Path:
    """Where a run's policy after so many minutes of training is."""
    return Path(run) / SNAPSHOTS / f"{minutes:g}-minutes"


def current_model(algorithm: Algorithm) -> ChoiceModel:
    """The learners' policy as a model of its own, in eval mode."""
    model = ChoiceModel(read_config(algorithm.config.policy))
    load_module_state(model, algorithm.learner_group.get_weights()[DEFAULT_MODULE_ID])
    return model.eval()


def flatten(result: Mapping) -> dict[str, float]:
    """The figures of an RLlib result that a run keeps, under names like "learners/dpo_loss"."""
    kept = parts_of(result.get(TIMERS, {}))
    for section, prefix in (("learners", "learners"), ("env_runners", "rollouts")):
        values = result.get(section, {})
        values = values.get(DEFAULT_MODULE_ID, {}) if section == "learners" else values
        for name, value in values.items():
            single = isinstance(value, (int, float)) or (torch.is_tensor(value) and value.numel() == 1)
            if single and (math.isfinite(value) or name.endswith("_loss")):  # RLlib has nan for counts it does not know
                kept[f"{prefix}/{name}"] = float(value)
    return kept


def _checkpoints(root: Path) -> list[Path]:
    return sorted(root.glob("iteration-*"))


def _parse(line: str) -> dict | None:
    try:
        return json.loads(line)
    except ValueError:  # the line that a kill cut short
        return None
