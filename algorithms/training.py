"""The training run: a folder that can be killed and gone on with, its progress and its result."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from ray.exceptions import ObjectLostError, RayActorError
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.utils.metrics import TIMERS

from algorithms.checkpoints import Checkpoints
from algorithms.cluster import ClusterError, bundles_of, occupied, shortage
from algorithms.goal_order import SEED_STRIDE
from algorithms.learner import ChoiceLearner
from algorithms.ranges import Tracker
from algorithms.run_folder import CHECKPOINTS, POLICY, RESULTS, SNAPSHOTS, snapshot_folder
from algorithms.seconds import parts_of, shares
from algorithms.watching import Watching
from policies.choice_model import ChoiceModel
from policies.module_state import load_module_state
from policies.policy_folder import TRAINING_FILE, read_config, read_policy_file
from rl_recsys.errors import UserError
from rl_recsys.files import full_disk_named, write_text
from rl_recsys.progress import Task, format_seconds, progress
from rl_recsys.settings import claim
from rl_recsys.terminal import say

LOSSES_IN_A_ROW = 3  # learners lost without an iteration between them, before a run is given up
PATIENCE_S, LOOK_EVERY_S = 1800.0, 2.0  # for a node that comes back

Answer = TypeVar("Answer")


class RunError(UserError):
    """Training cannot go on; the message names the remedy."""


@dataclass(frozen=True)
class Evaluation:
    """An evaluation between iterations: ``play`` maps a model to a row of figures, every ``every`` iterations."""

    play: Callable[[ChoiceModel], Mapping[str, float]]
    every: int


@dataclass(frozen=True)
class Schedule:
    """How long a run trains and what it does meanwhile.

    ``iterations`` at most; it ends with the iteration of the ``last_update``, if one is named. ``headline`` makes the
    progress line of a result; ``trackers`` are told of every row. After each of ``snapshot_minutes`` of training the
    policy is written to snapshots/ as well: the last one, where the run is shorter.
    """

    iterations: int
    checkpoint_every: int
    headline: Callable[[dict], str]
    evaluation: Evaluation | None = None
    snapshot_minutes: Sequence[float] = ()
    last_update: int | None = None
    trackers: Sequence[Tracker] = ()

    def length(self, name: str) -> tuple[str, int]:
        """What a run is called where its progress is shown, and how long it is: in updates, where these end it."""
        return (name, self.iterations) if self.last_update is None else (f"{name}, updates", self.last_update)

    def reached(self, row: Mapping[str, float]) -> int:
        """How far of that a run is after the iteration of a row of its results."""
        if self.last_update is None:
            return int(row["iteration"])
        return min(round(row.get("learners/updates", 0)), self.last_update)


class TrainingRun:
    """One run folder: settings.json, result.json (a line an iteration), tensorboard/, checkpoints/, at the end policy/.

    Starting it again with the same settings goes on from the last checkpoint; a finished run is left alone.
    """

    def __init__(self, folder: str | Path, settings: Mapping):
        self.folder = Path(folder)
        self.settings = json.loads(json.dumps(dict(settings), default=str))
        self.rows: list[dict] = []
        self._checkpoints = Checkpoints(self.folder / CHECKPOINTS)
        self._logged = 0

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
        return self._checkpoints.iteration

    def open(self) -> None:
        """Make the folder, or check that what was begun there had the same settings (``SettingsError`` otherwise)."""
        claim(self.folder, self.settings, begun=self.finished or self.trained > 0)

    def train(self, config: AlgorithmConfig, schedule: Schedule) -> dict:
        """Train and write the policy; a run goes on from its last checkpoint, where there is one.

        One whose learner is lost with its process or its node goes on by itself. Returns the run's summary, which
        policy/training.json holds. Raises ``RunError`` where it is lost again and again, ``DiskFullError`` where there
        is no room.
        """
        losses = 0
        with progress(*schedule.length(config.algo_class.__name__)) as task:
            while True:
                before = self._logged
                try:
                    return self._train(config, schedule, task)
                except (RayActorError, ObjectLostError) as error:
                    losses = losses + 1 if self._logged == before else 1
                    if losses == LOSSES_IN_A_ROW:
                        raise RunError(f"{self.folder}: a process was lost {losses} times in a row: {error}") from error
                    say(f"{self.folder}: a process was lost ({_first_line(error)})")
                    _wait_for_room(config)

    def _train(self, config: AlgorithmConfig, schedule: Schedule, task: Task) -> dict:
        algorithm = self._build(config)
        try:
            done = self._resume(algorithm)
            watching = Watching(
                self.folder, type(algorithm).__name__, self.settings, trackers=schedule.trackers, done=done
            )
            with watching, full_disk_named(self.folder, "the same command goes on from the last checkpoint"):
                self._watching = watching
                task.resume(self._reached(schedule))
                if schedule.evaluation and not self.rows:
                    self._evaluate(algorithm, schedule.evaluation, 0)
                for iteration in range(done + 1, schedule.iterations + 1):
                    if self._iterate(algorithm, iteration, schedule, task):
                        break
                made, wanted = self._reached(schedule), schedule.last_update
                if wanted and made < wanted:
                    say(f"{self.folder}: {made} of {wanted} updates, ended by its --iterations")
                summary = self._write_policy(algorithm, iteration, self.policy_folder)
        finally:
            with suppress(RayActorError):  # what is lost need not be ended
                algorithm.stop()
        split = ", ".join(f"{name} {share:.0%}" for name, share in summary["shares_of_time"].items())
        say(f"{self.folder}: {format_seconds(self.seconds)} of training: {split}")
        self._checkpoints.remove()
        return summary

    def _build(self, config: AlgorithmConfig) -> Algorithm:
        config = config.copy(copy_frozen=False)
        if config.is_online:
            # RLlib seeds the environments at their first reset only: without another seed a run that goes on would meet
            # its first goals again.
            config.debugging(seed=(config.seed or 0) + SEED_STRIDE * self.trained)
        algorithm = config.build_algo()
        with suppress(OSError):
            os.rmdir(algorithm.logdir)  # Ray makes an empty folder in the user's home; this run has its own
        return algorithm

    def _iterate(self, algorithm: Algorithm, iteration: int, schedule: Schedule, task: Task) -> bool:
        """One iteration; returns whether it was the last."""
        result = algorithm.train()
        while algorithm.config.is_online and not result["env_runners"].get("num_env_steps_sampled", 0) > 0:
            # All workers are lost and started again: nothing was sampled, and RLlib reports nan for what was learnt.
            time.sleep(LOOK_EVERY_S)
            result = algorithm.train()
        row = self._log(iteration, result)
        task.update(schedule.reached(row), schedule.headline(row))
        last = iteration == schedule.iterations or schedule.reached(row) == schedule.last_update
        evaluation = schedule.evaluation
        if evaluation and (iteration % evaluation.every == 0 or last):
            self._evaluate(algorithm, evaluation, iteration)
        self._snapshot(algorithm, iteration, schedule.snapshot_minutes, last=last)
        if not last and iteration % schedule.checkpoint_every == 0:
            self._checkpoints.save(algorithm, iteration)
        return last

    def _reached(self, schedule: Schedule) -> int:
        return max(map(schedule.reached, self.rows), default=0)

    @property
    def seconds(self) -> float:
        """Training time so far, evaluations and start-up left out, over all parts of an interrupted run."""
        return sum(row["seconds"] for row in self.rows if "seconds" in row)

    def _log(self, iteration: int, result: dict) -> dict:
        row = {"iteration": iteration, "seconds": result["time_this_iter_s"], **flatten(result)}
        row |= _rates(row)
        bad = [name for name, value in row.items() if name.endswith("_loss") and not math.isfinite(value)]
        if bad:
            raise RunError(f"iteration {iteration}: {', '.join(bad)} is not a number; lower the learning rate")
        self.rows.append(row)
        row["minutes"] = self.seconds / 60
        self._append(row)
        self._logged += 1
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
        with open(self.folder / RESULTS, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self._watching.log(row)

    def _resume(self, algorithm: Algorithm) -> int:
        done = self._checkpoints.restore(algorithm)
        if not done:
            # Iterations before the first checkpoint are done again.
            (self.folder / RESULTS).unlink(missing_ok=True)
            shutil.rmtree(self.folder / SNAPSHOTS, ignore_errors=True)
            self.rows = []
            return 0
        lines = (self.folder / RESULTS).read_text().splitlines()
        self.rows = [row for row in map(_parse, lines) if row and row["iteration"] <= done]
        write_text(self.folder / RESULTS, "".join(json.dumps(row) + "\n" for row in self.rows))
        say(f"{self.folder}: goes on after iteration {done} ({format_seconds(self.seconds)} of training)")
        return done

    def _write_policy(self, algorithm: Algorithm, iterations: int, folder: Path) -> dict:
        before = read_policy_file(algorithm.config.policy, TRAINING_FILE).get("total_training_seconds", 0.0)
        model = current_model(algorithm)
        summary = {
            "algorithm": type(algorithm).__name__,
            "iterations": iterations,
            "training_seconds": round(self.seconds, 1),
            "total_training_seconds": round(before + self.seconds, 1),  # with those of the policy it started from
            "shares_of_time": shares(self.rows),
            "precision": learners_precision(algorithm),
            "settings": self.settings,
        }
        model.save_pretrained(folder, tokenizer=algorithm.config.policy, training=summary)
        return summary


def current_model(algorithm: Algorithm) -> ChoiceModel:
    """The learners' policy as a model of its own, in eval mode. Raises ``RayActorError`` where the learner is lost."""
    model = ChoiceModel(read_config(algorithm.config.policy))
    load_module_state(model, _ask_first_learner(algorithm, lambda learner: learner.policy_state()))
    return model.eval()


def learners_precision(algorithm: Algorithm) -> str:
    """What the learners' forward passes compute in. Raises ``RayActorError`` where the learner is lost."""
    return _ask_first_learner(algorithm, lambda learner: learner.precision)


def _ask_first_learner(algorithm: Algorithm, question: Callable[[ChoiceLearner], Answer]) -> Answer:
    """The first of equal learners; another's answer would hide that it is lost, and the run must begin anew then."""
    for result in algorithm.learner_group.foreach_learner(question, remote_actor_ids=[0]):
        if not result.ok:
            raise result.get()
        return result.get()
    raise RayActorError(error_msg="the first learner is lost")


def flatten(result: Mapping) -> dict[str, float]:
    """The figures of an RLlib result that a run keeps, under names like "learners/dpo_loss"."""
    kept = parts_of(result.get(TIMERS, {}))
    for section, prefix in (("learners", "learners"), ("env_runners", "rollouts")):
        values = result.get(section, {})
        values = values.get(DEFAULT_MODULE_ID, {}) if section == "learners" else values
        for name, value in values.items():
            single = isinstance(value, (int, float, np.number)) or (torch.is_tensor(value) and value.numel() == 1)
            if single and (math.isfinite(value) or name.endswith("_loss")):  # RLlib has nan for counts it does not know
                kept[f"{prefix}/{name}"] = float(value)
    return kept


def _rates(row: Mapping[str, float]) -> dict[str, float]:
    """What was done in a second of the iteration."""
    counts = {"learners/tokens": "learners/tokens", "rollouts/num_env_steps_sampled": "rollouts/steps"}
    return {
        f"{rate}_per_second": row[count] / row["seconds"]
        for count, rate in counts.items()
        if row["seconds"] and count in row
    }


def _wait_for_room(config: AlgorithmConfig) -> None:
    """Wait until the cluster has room for the run again. Raises ``ClusterError`` where it has none for long."""
    bundles, deadline, said = bundles_of(config), time.monotonic() + PATIENCE_S, ""
    # A node that is gone is known to be some seconds later: what is free tells more than what there is.
    while missing := shortage(bundles) or occupied(bundles):
        if time.monotonic() > deadline:
            raise ClusterError(f"no room for the run in {format_seconds(PATIENCE_S)}: {missing}")
        if missing != said:
            say(f"waiting for room: {missing}")
            said = missing
        time.sleep(LOOK_EVERY_S)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _parse(line: str) -> dict | None:
    try:
        return json.loads(line)
    except ValueError:  # the line that a kill cut short
        return None
