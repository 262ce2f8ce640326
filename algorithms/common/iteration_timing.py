"""Where the time of an iteration goes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from ray.rllib.utils.metrics import (
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_UPDATE_TIMER,
    OFFLINE_SAMPLING_TIMER,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
)
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

ROLLOUT_WAIT_TIMER = "rollout_wait"
#: What RLlib's and our timers measure, in the words of a run's report.
PARTS = {
    LEARNER_UPDATE_TIMER: "learner",
    ENV_RUNNER_SAMPLING_TIMER: "rollouts",
    ROLLOUT_WAIT_TIMER: "waiting for rollouts",
    OFFLINE_SAMPLING_TIMER: "preparing batches",
    SYNCH_WORKER_WEIGHTS_TIMER: "weights to workers",
}
PREFIX = "seconds/"


def count_seconds(metrics: MetricsLogger) -> None:
    """Have the timers sum over an iteration: RLlib's are averages that one iteration hardly moves."""
    for timer in PARTS:
        metrics.log_value((TIMERS, timer), 0.0, reduce="sum")


def parts_of(timers: Mapping[str, float]) -> dict[str, float]:
    """{"seconds/learner": s, ...} of one iteration's timers; a part that took no time is left out."""
    measured = {name: float(timers.get(timer, 0.0)) for timer, name in PARTS.items()}
    # RLlib has nan for a sum to which an iteration added nothing.
    found = {name: 0.0 if math.isnan(seconds) else seconds for name, seconds in measured.items()}
    found["preparing batches"] -= found["waiting for rollouts"]  # a batch waits for the rollouts that it is made of
    return {f"{PREFIX}{name}": seconds for name, seconds in found.items() if seconds > 0}


def shares(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Each part's share of the rows' "seconds", the largest first, with what no timer covers as "rest"."""
    whole, sums = 0.0, dict.fromkeys(PARTS.values(), 0.0)
    for row in rows:
        whole += row.get("seconds", 0.0)
        for name in sums:
            sums[name] += row.get(f"{PREFIX}{name}", 0.0)
    if not whole:
        return {}
    sums["rest"] = max(0.0, whole - sum(sums.values()))
    ordered = sorted(sums.items(), key=lambda item: -item[1])
    return {name: round(seconds / whole, 4) for name, seconds in ordered if seconds > 0}
