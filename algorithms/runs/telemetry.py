"""What can be looked at while a run goes on: TensorBoard, Ray's metrics, and experiment trackers."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ray.tune.logger import LoggerCallback
from ray.util.metrics import Gauge
from tensorboardX import SummaryWriter

from algorithms.common.ranges import Tracker
from algorithms.common.rllib_compat import RunAsTrial, tracker_callback
from rl_recsys.console.escaping import for_label
from rl_recsys.errors import UserError
from rl_recsys.storage.locations import absolute, place_of

TENSORBOARD = "tensorboard"  # in a run folder
AGAIN_S = 5.0  # between two times that the gauges are set
PREFIX = "rl_recsys_"  # of the metrics' names; Ray puts "ray_" before it


@dataclass(frozen=True)
class Metric:
    """A figure of a row as a Ray metric. A ``figure`` that ends in "*" stands for several, told apart by ``label``."""

    figure: str
    name: str
    description: str
    label: str = ""


METRICS = (
    Metric("rollouts/success", "success", "Share of the iteration's episodes with a reward of exactly 1"),
    Metric("rollouts/score", "score", "100 x mean reward of the iteration's episodes"),
    Metric("rollouts/parts/*", "reward_part", "Mean of a part of the reward over purchases, 0 to 1", "part"),
    Metric("rollouts/steps", "episode_steps", "Mean steps of an episode"),
    Metric("rollouts/goals", "goals", "Different goals that episodes were begun with so far"),
    Metric("rollouts/steps_per_second", "env_steps_per_second", "Environment steps a second of training"),
    Metric("learners/tokens_per_second", "tokens_per_second", "Tokens the learners read a second of training"),
    Metric("seconds/*", "iteration_seconds", "Seconds of an iteration by what they were spent on", "part"),
    Metric("learners/*_loss", "loss", "Losses, means of the last updates", "loss"),
    Metric("learners/kl", "kl", "Divergence from the policy that the run started from, nats"),
    Metric("learners/entropy", "entropy", "Entropy of the policy on the pages that are learnt from, nats"),
    Metric("learners/clipped_share", "clipped_share", "Share of probability ratios that were clipped"),
    Metric("learners/reward_margin", "reward_margin", "DPO's implicit reward of the preferred over the rejected"),
    Metric("learners/preference_accuracy", "preference_accuracy", "Share of pairs with a positive reward margin"),
    Metric("learners/agreement", "agreement", "Share of decisions in which the policy takes the recorded action"),
    Metric("learners/updates", "updates", "Gradient steps so far"),
    Metric("learners/skipped_updates", "skipped_updates", "Gradient steps left out, as a gradient was not finite"),
    Metric("evaluation/success", "evaluation_success", "Share of evaluation goals with a reward of exactly 1, greedy"),
    Metric("evaluation/score", "evaluation_score", "100 x mean reward on the evaluation goals, greedy"),
    Metric("iteration", "iteration", "Iterations so far"),
    Metric("minutes", "training_minutes", "Minutes of training so far"),
)


class Watching:
    """Shows the rows of a run: each has "iteration" and figures under names like "rollouts/success".

    ``done``: iterations of an earlier part of the run, after which TensorBoard's old points are dropped. Raises
    ``UserError`` for a tracker that is not installed.
    """

    def __init__(
        self, folder: Path, algorithm: str, settings: Mapping, *, trackers: Sequence[Tracker] = (), done: int = 0
    ):
        place = PurePosixPath(absolute(place_of(folder)))  # equal after each restart, on whatever node
        self._run = RunAsTrial(place.name, place.parent.name, str(folder), dict(settings))
        self._callbacks = [tracker(name) for name in trackers]
        self._writer = SummaryWriter(str(folder / TENSORBOARD), purge_step=done + 1)
        labels = ("run", "algorithm")
        self._gauges = {
            metric: Gauge(PREFIX + metric.name, metric.description, labels + ((metric.label,) if metric.label else ()))
            for metric in METRICS
        }
        self._labels = {"run": for_label(f"{place.parent.name}/{place.name}"), "algorithm": algorithm}
        self._shown: dict[tuple[str, str], tuple[Gauge, float, dict[str, str]]] = {}
        self._ended = threading.Event()
        self._showing = threading.Thread(target=self._show_again, name="metrics", daemon=True)
        for callback in self._callbacks:
            callback.setup()
            callback.log_trial_start(self._run)
        self._showing.start()  # last: what fails before leaves no thread behind

    def log(self, row: Mapping[str, float]) -> None:
        """Show a row."""
        for name, value in row.items():
            self._writer.add_scalar(name, value, int(row["iteration"]))
        self._writer.flush()
        for metric, gauge in self._gauges.items():
            for label, value in _values(metric, row):
                labels = self._labels | ({metric.label: label} if metric.label else {})
                self._shown[metric.name, label] = gauge, value, labels
                gauge.set(value, labels)
        result = dict(row) | {"training_iteration": int(row["iteration"])}
        for callback in self._callbacks:
            callback.log_trial_result(int(row["iteration"]), self._run, result)

    def _show_again(self) -> None:
        """Ray drops a gauge that was not set for two exports (some 20 s); an iteration may take minutes, and there are
        many between two evaluations."""
        while not self._ended.wait(AGAIN_S):
            for gauge, value, labels in list(self._shown.values()):
                gauge.set(value, labels)

    def __enter__(self) -> Watching:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._ended.set()
        self._showing.join()
        self._writer.close()
        for callback in self._callbacks:
            callback.log_trial_end(self._run, failed=kind is not None)
            callback.on_experiment_end([])


def tracker(name: Tracker) -> LoggerCallback:
    """Ray's callback for an experiment tracker; where it sends to is said by the tracker's own variables."""
    try:
        return tracker_callback(name, project="rl-recsys")
    except (ImportError, RuntimeError) as error:
        raise UserError(f"--log-to {name}: {error}. pip install {name}") from None


def _values(metric: Metric, row: Mapping[str, float]) -> list[tuple[str, float]]:
    """(label, value) of what a row has for a metric."""
    start, several, end = metric.figure.partition("*")
    if not several:
        return [("", row[start])] if start in row else []
    return [
        (name.removeprefix(start).removesuffix(end), value)
        for name, value in row.items()
        if name.startswith(start) and name.endswith(end) and math.isfinite(value)
    ]
