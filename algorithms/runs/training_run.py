"""The training run: a folder that can be killed and gone on with, its progress and its result."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import torch
from ray.exceptions import ObjectLostError, RayActorError
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import COMPONENT_METRICS_LOGGER, DEFAULT_MODULE_ID
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, NUM_MODULE_STEPS_TRAINED, TIMERS

from algorithms.cluster.connection import ClusterError, bundles_of, occupied, shortage
from algorithms.common.figures import of_the_iteration
from algorithms.common.iteration_timing import parts_of, shares
from algorithms.common.learner import PRECISION, PolicyLearner
from algorithms.common.ranges import Tracker
from algorithms.rollouts.episode_metrics import goals_of
from algorithms.rollouts.goal_sampler import later_seed
from algorithms.runs.checkpoints import Checkpoints
from algorithms.runs.run_folder import CHECKPOINTS, POLICY, RESULTS, begun, snapshot_folder
from algorithms.runs.telemetry import Watching
from policies.base import Policy, precision_to_play, unweighted_policy
from policies.module_state import load_module_state
from rl_recsys.console.progress import Task, format_seconds, progress
from rl_recsys.console.terminal import say
from rl_recsys.core.policy_folder import TRAINING_FILE, read_policy_file
from rl_recsys.errors import UserError
from rl_recsys.runs.provenance import MADE_WITH, note_maker
from rl_recsys.runs.settings import claim
from rl_recsys.storage.files import DiskFullError, full_disk_named, naming, write_text
from rl_recsys.storage.locations import place_of

LOSSES_IN_A_ROW = 3  # learners lost without an iteration between them, before a run is given up
PATIENCE_S, LOOK_EVERY_S = 1800.0, 2.0  # for a node that comes back
SKIPPED_UPDATES = 20  # from the first on, before a run is given up: float16's loss scale is below 1 by then

Answer = TypeVar("Answer")


class RunError(UserError):
    """Training cannot go on; the message names the remedy."""


@dataclass(frozen=True)
class Evaluation:
    """An evaluation between iterations: ``play`` maps a policy to a row of figures, every ``every`` iterations."""

    play: Callable[[Policy], Mapping[str, float]]
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
    """One run folder: settings.json, made_with.json, result.json (a line an iteration), tensorboard/, checkpoints/,
    at the end policy/.

    Starting it again with the same settings goes on from the last checkpoint; a finished run is left alone.
    """

    def __init__(
        self,
        folder: str | Path,
        settings: Mapping,
        *,
        incidental: Collection[str] = (),
        added: Mapping = MappingProxyType({}),
    ):
        """``settings``, ``incidental``, ``added``: see ``claim``."""
        self.folder, self._incidental, self._added = Path(folder), incidental, added
        self.settings = json.loads(json.dumps(dict(settings), default=str))
        self.rows: list[dict] = []
        self._checkpoints = Checkpoints(self.folder / CHECKPOINTS)
        self._logged = 0
        self._goals: set[int] | None = set()  # of all episodes so far; None where nobody counted at first
        self._unsaved: tuple[Any, int] | None = None  # state and number of an iteration that no checkpoint has

    @property
    def policy_folder(self) -> Path:
        """Where the trained policy is, once the run is finished."""
        return self.folder / POLICY

    @property
    def finished(self) -> bool:
        """Whether the run has written its policy."""
        return (self.policy_folder / "config.json").is_file()

    def open(self) -> None:
        """Make the folder, or check that what was begun there had the same settings (``SettingsError`` otherwise).

        Checkpoints of a finished run go: it was killed before it could remove them.
        """
        claim(self.folder, self.settings, begun=begun(self.folder), incidental=self._incidental, added=self._added)
        if self.finished:
            self._checkpoints.remove()

    def train(self, config: AlgorithmConfig, schedule: Schedule) -> dict:
        """Train and write the policy; a run goes on from its last checkpoint, where there is one.

        One whose learner is lost with its process or its node goes on by itself. One that is ended, by SIGTERM or
        Ctrl-C say, leaves a checkpoint of the last iteration that was shown as done. Returns the run's summary, which
        policy/training.json holds. Raises ``RunError`` where it is lost again and again, or where a weight is no
        finite number any more, ``CheckpointError`` where all checkpoints are damaged, ``DiskFullError`` where there is
        no room.
        """
        losses = 0
        note_maker(self.folder)
        with progress(*schedule.length(config.algo_class.__name__)) as task:
            while True:
                before = self._logged
                try:
                    return self._train(config, schedule, task)
                except (RayActorError, ObjectLostError) as error:
                    losses = losses + 1 if self._logged == before else 1
                    if losses == LOSSES_IN_A_ROW:
                        raise RunError(
                            f"{place_of(self.folder)}: a process was lost {losses} times in a row: {error}"
                        ) from error
                    say(f"{place_of(self.folder)}: a process was lost ({_first_line(error)})")
                    _wait_for_room(config)

    def _train(self, config: AlgorithmConfig, schedule: Schedule, task: Task) -> dict:
        checkpoint = self._checkpoints.last()
        state = checkpoint.state() if checkpoint else None
        done = checkpoint.iteration if checkpoint else 0
        self._take_up_rows(state["rows"] if state else [], done)
        self._goals = set() if not state else set(state["goals"]) if state.get("goals") is not None else None
        say(f"starting {_processes(config)}")
        algorithm = self._build(config, done)
        try:
            if state:
                algorithm.set_state(state.pop("algorithm"))
                spent = format_seconds(self.seconds)
                say(f"{place_of(self.folder)}: goes on after iteration {done} ({spent} of training)")
            watching = Watching(
                self.folder, type(algorithm).__name__, self.settings, trackers=schedule.trackers, done=done
            )
            with watching, full_disk_named(self.folder, "the same command goes on from the last checkpoint"):
                self._watching = watching
                task.resume(self._reached(schedule))
                try:
                    iteration = self._iterate(algorithm, done, schedule, task)
                    summary = self._write_policy(algorithm, iteration, self.policy_folder)
                except (Exception, KeyboardInterrupt, SystemExit):  # a kill is none of them
                    self._save_unsaved()
                    raise
        finally:
            with suppress(RayActorError):  # what is lost need not be ended
                algorithm.stop()
        split = ", ".join(f"{name} {share:.0%}" for name, share in summary["shares_of_time"].items())
        say(f"{place_of(self.folder)}: {format_seconds(self.seconds)} of training: {split}")
        self._checkpoints.remove()
        return summary

    def _build(self, config: AlgorithmConfig, done: int) -> Algorithm:
        config = config.copy(copy_frozen=False)
        if config.is_online:
            # RLlib seeds the environments at their first reset only: without another seed a run that goes on would meet
            # its first goals again.
            config.debugging(seed=later_seed(config.seed or 0, done))
        algorithm = config.build_algo()
        with suppress(OSError):
            os.rmdir(algorithm.logdir)  # empty: a run has a folder of its own
        return algorithm

    def _iterate(self, algorithm: Algorithm, done: int, schedule: Schedule, task: Task) -> int:
        """All iterations after the ``done`` ones; returns how many there are then.

        One is shown as done once it cannot be lost: it is in a checkpoint, or its state is at hand for one.
        """
        iteration, last = done, self._is_last(done, schedule)
        self._look(algorithm, iteration, schedule, last=last)  # a kill may have come before
        while not last:
            iteration += 1
            result, seconds = _trained(algorithm)
            row = _row(iteration, result, seconds)
            met = goals_of(result.get(ENV_RUNNER_RESULTS, {}))
            if met and self._goals is not None:
                self._goals.update(met)
                row["rollouts/goals"] = len(self._goals)
            if skipped := _skipped([row], at_least=SKIPPED_UPDATES):
                raise RunError(f"iteration {iteration}: {skipped}")
            self.rows.append(row)
            row["minutes"] = self.seconds / 60
            last = self._is_last(iteration, schedule)
            # The first always, so that a run that has rows has a checkpoint; the last is soon a policy.
            write = iteration == 1 or (not last and iteration % schedule.checkpoint_every == 0)
            self._keep(algorithm, iteration, write=write)
            self._append(row)
            self._logged += 1
            task.update(schedule.reached(row), schedule.headline(row))
            self._look(algorithm, iteration, schedule, last=last)
        if skipped := _skipped(self.rows):
            raise RunError(f"{place_of(self.folder)}: {skipped}")
        made, wanted = self._reached(schedule), schedule.last_update
        if wanted and made < wanted:
            say(f"{place_of(self.folder)}: {made} of {wanted} updates, ended by its --iterations")
        return iteration

    def _look(self, algorithm: Algorithm, iteration: int, schedule: Schedule, *, last: bool) -> None:
        """Evaluate, and write snapshots, where it is time to."""
        evaluation = schedule.evaluation
        looked = any(row["iteration"] == iteration and "seconds" not in row for row in self.rows)
        if evaluation and not looked and (iteration % evaluation.every == 0 or last):
            self._evaluate(algorithm, evaluation, iteration)
        self._snapshot(algorithm, iteration, schedule.snapshot_minutes, last=last)

    def _is_last(self, iteration: int, schedule: Schedule) -> bool:
        return iteration == schedule.iterations or self._reached(schedule) == schedule.last_update

    def _keep(self, algorithm: Algorithm, iteration: int, *, write: bool) -> None:
        """Keep what an iteration came to: in a checkpoint, or in memory until there is a reason to write one."""
        state = algorithm.get_state()
        _require_finite(state, f"iteration {iteration}")
        state = {
            "algorithm": state,
            "rows": list(self.rows),
            "goals": None if self._goals is None else sorted(self._goals),
        }
        if write:
            self._checkpoints.save(state, iteration)
            self._unsaved = None
        else:
            self._unsaved = deepcopy(state), iteration  # a learner in this process goes on to change its arrays

    def _save_unsaved(self) -> None:
        """Write down what is only in memory."""
        if self._unsaved:
            (state, iteration), self._unsaved = self._unsaved, None
            with suppress(DiskFullError):  # what ended the run is said; the checkpoint before this one is whole
                self._checkpoints.save(state, iteration)

    def _reached(self, schedule: Schedule) -> int:
        return max(map(schedule.reached, self.rows), default=0)

    @property
    def seconds(self) -> float:
        """Training time so far, evaluations and start-up left out, over all parts of an interrupted run."""
        return sum(row["seconds"] for row in self.rows if "seconds" in row)

    def _evaluate(self, algorithm: Algorithm, evaluation: Evaluation, iteration: int) -> None:
        say(f"evaluating after iteration {iteration}" if iteration else "evaluating the policy to start from")
        figures = evaluation.play(current_policy(algorithm))
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
        path = self.folder / RESULTS
        with naming(path), open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self._watching.log(row)

    def _take_up_rows(self, rows: list[dict], done: int) -> None:
        """Go on with the rows of a checkpoint, and the evaluation that came after it.

        Raises ``RunError`` where a run has lost its checkpoints: nothing is made again over what there is of it.
        """
        path = self.folder / RESULTS
        written = _read_rows(path, strict=not done)
        made = max((row["iteration"] for row in written), default=0)
        if made and not done:  # the first iteration has a checkpoint before it has a row
            raise RunError(
                f"{place_of(path)} has {made} iterations, and {place_of(self.folder / CHECKPOINTS)} has no checkpoint: "
                "copy one there again, or train in another --out"
            )
        later = [row for row in written if row["iteration"] == done and "seconds" not in row and row not in rows]
        self.rows = rows + later
        if path.exists() or self.rows:
            write_text(path, "".join(json.dumps(row) + "\n" for row in self.rows))

    def _write_policy(self, algorithm: Algorithm, iterations: int, folder: Path) -> dict:
        before = read_policy_file(algorithm.config.policy, TRAINING_FILE).get("total_training_seconds", 0.0)
        policy = current_policy(algorithm)
        _require_finite(policy.state_dict(), f"iteration {iterations}")
        summary = {
            "algorithm": type(algorithm).__name__,
            "iterations": iterations,
            "training_seconds": round(self.seconds, 1),
            "total_training_seconds": round(before + self.seconds, 1),  # with those of the policy it started from
            "shares_of_time": shares(self.rows),
            "precision": learners_precision(algorithm),
            "settings": self.settings,
            MADE_WITH: note_maker(self.folder),
        }
        policy.save_pretrained(folder, training=summary)
        return summary


def _processes(config: AlgorithmConfig) -> str:
    """What an algorithm is made of, in words."""
    learners = f"{config.num_learners} learners" if config.num_learners > 1 else "the learner"
    workers = config.num_env_runners if config.is_online else 0
    return f"{workers} rollout worker{'s' if workers > 1 else ''} and {learners}" if workers else learners


def current_policy(algorithm: Algorithm) -> Policy:
    """The learners' policy as one of its own, in eval mode. Raises ``RayActorError`` where the learner is lost."""
    policy = unweighted_policy(algorithm.config.policy)
    policy.precision = precision_to_play(algorithm.config.learner_config_dict[PRECISION])
    load_module_state(policy, _ask_first_learner(algorithm, lambda learner: learner.policy_state()))
    return policy


def learners_precision(algorithm: Algorithm) -> str:
    """What the learners' forward passes compute in. Raises ``RayActorError`` where the learner is lost."""
    return _ask_first_learner(algorithm, lambda learner: learner.precision)


def _ask_first_learner(algorithm: Algorithm, question: Callable[[PolicyLearner], Answer]) -> Answer:
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
        figures = dict(of_the_iteration(section, values))
        # RLlib has nan for what nothing was logged of: of a loss where something was learnt from it is a loss of nan.
        learnt = figures.get(NUM_MODULE_STEPS_TRAINED, 0.0) > 0
        for name, value in figures.items():
            if math.isfinite(value) or (learnt and name.endswith("_loss")):
                kept[f"{prefix}/{name}"] = value
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


def _row(iteration: int, result: Mapping, seconds: float) -> dict:
    """What is reported of an iteration. Raises ``RunError`` for a loss that is no finite number."""
    row = {"iteration": iteration, "seconds": seconds, **flatten(result)}
    row |= _rates(row)
    bad = [name for name, value in row.items() if name.endswith("_loss") and not math.isfinite(value)]
    if bad:
        raise RunError(f"iteration {iteration}: {', '.join(bad)} is not a number; lower the learning rate")
    return row


def _trained(algorithm: Algorithm) -> tuple[dict, float]:
    """RLlib's result of an iteration, and its seconds by a clock that nobody sets: RLlib's own is the wall's."""
    while True:
        start = time.monotonic()
        result = algorithm.train()
        seconds = time.monotonic() - start
        if not algorithm.config.is_online or result["env_runners"].get("num_env_steps_sampled", 0) > 0:
            return result, seconds
        # All workers are lost and started again: nothing was sampled, and RLlib reports nan for what was learnt.
        time.sleep(LOOK_EVERY_S)


def _skipped(rows: Sequence[Mapping[str, float]], *, at_least: int = 1) -> str:
    """What to say where every update so far, of ``at_least`` many, was skipped; "" elsewhere."""
    last = next((row for row in reversed(rows) if "learners/updates" in row), {})
    updates = round(last.get("learners/updates", 0))
    if updates < at_least or round(last.get("learners/skipped_updates", 0)) < updates:
        return ""
    return (
        f"all {updates} updates were skipped, as their gradients were not finite: nothing was learnt. Lower "
        "--learning-rate, or take --precision float32"
    )


def _require_finite(state: Any, when: str, path: tuple[str, ...] = ()) -> None:
    """Raise ``RunError`` for a number of an algorithm's or a model's state that is not finite.

    What is only reported may be: RLlib's metrics have nan for what they do not know.
    """
    if isinstance(state, Mapping):
        for name, value in state.items():
            if name != COMPONENT_METRICS_LOGGER:
                _require_finite(value, when, (*path, str(name)))
    elif isinstance(state, (list, tuple)):
        for place, value in enumerate(state):
            _require_finite(value, when, (*path, str(place)))
    elif not _is_finite(state):
        raise RunError(
            f"{when}: {'/'.join(path)} is no finite number any more, so no checkpoint and no policy is made of it; "
            "lower --learning-rate"
        )


def _is_finite(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return bool(value.isfinite().all())
    if isinstance(value, (float, np.floating, np.ndarray)):
        return np.asarray(value).dtype.kind not in "fc" or bool(np.isfinite(value).all())
    return True


def _read_rows(path: Path, *, strict: bool) -> list[dict]:
    """The rows of a result.json. A line that is none is left out, as a kill cuts the last one short; if ``strict``,
    another raises ``RunError``."""
    rows = []
    lines = path.read_bytes().splitlines() if path.is_file() else []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if type(row["iteration"]) is not int:
                raise TypeError("its iteration is no number")
            rows.append(row)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            if strict and number < len(lines):
                raise RunError(f"{place_of(path)}, line {number}: damaged ({error}); train in another --out") from None
    return rows
