"""The Ray side of a job: connect quietly, and say at once what a request lacks."""

from __future__ import annotations

import logging
import os
import re
import signal
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import ray
from ray.util import accelerators

from rl_recsys.errors import UserError
from rl_recsys.progress import phase
from rl_recsys.terminal import say

if TYPE_CHECKING:  # every worker process imports this file, and RLlib takes seconds
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

#: What Ray and RLlib print on every run that no user can act on.
_NOISE = re.compile(
    "new API stack|RLModuleConfig|RLModule\\(config=|Install gputil|Trainable.setup took|Overriding environment"
)


ACCELERATOR = "accelerator_type:"  # Ray's prefix; such a node has 1 of it, whatever it is used for
SLACK = 1e-6


class ClusterError(UserError):
    """The cluster cannot serve the request; the message says which resource is short."""


class _Quiet(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not _NOISE.search(record.getMessage())


_QUIET = _Quiet()


def quiet() -> None:
    """Leave out the log lines of ``_NOISE`` in this process; runs in the driver and in every worker."""
    for name in ("ray", "ray.rllib", "ray.tune", "gymnasium"):
        logger = logging.getLogger(name)
        logger.addFilter(_QUIET)  # once, however often it is added
        logger.setLevel(logging.ERROR)
    for handler in logging.getLogger().handlers + logging.getLogger("ray").handlers:
        handler.addFilter(_QUIET)
    os.environ.setdefault("PYTHONWARNINGS", "ignore::DeprecationWarning")


def connect(*, num_cpus: int | None = None) -> None:
    """Join the cluster of RAY_ADDRESS (or of the job this runs in), else start one on this machine.

    On a machine of its own, Ray is told of at least ``num_cpus`` cores, for workers that wait for each other in turn.
    """
    quiet()
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    options = {
        "logging_level": "ERROR",
        "runtime_env": {"worker_process_setup_hook": "algorithms.cluster.quiet"},
    }
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        # "local": never the cluster that somebody started on this machine. Without a token, none is left in the home.
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        cores = max(os.cpu_count() or 1, num_cpus or 1)
        options |= {"address": "local", "num_cpus": cores, "include_dashboard": False}
    with phase(f"joining the Ray cluster {address}" if address else "starting Ray on this machine"):
        ray.init(**options)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _end)  # Ray's own prints a stack of C++ and aborts, and nothing is closed


def _end(number: int, _frame: object) -> None:
    """End as a program does that is asked to, by `ray job stop` say: what is open is closed, and what runs is ended.

    The exit status is 143, or 1 where Ray was waited for: it replaces an exit that it is interrupted by.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the closing
    say(
        "ended by SIGTERM; what is written stays, and jobs that keep checkpoints go on with the same command",
    )
    raise SystemExit(128 + number)


def require(config: AlgorithmConfig) -> None:
    """Raise ``ClusterError`` where the cluster cannot hold the algorithm of ``config``."""
    require_resources(bundles_of(config))


def bundles_of(config: AlgorithmConfig) -> list[dict[str, float]]:
    """What each process of the algorithm of ``config`` asks for."""
    return config.algo_class.default_resource_request(config).bundles


def require_resources(bundles: Sequence[Mapping[str, float]]) -> None:
    """Raise ``ClusterError`` where the cluster cannot hold ``bundles``, each on one node; Ray would wait for ever.

    Says so where it can, but not now.
    """
    short = shortage(bundles)
    if short:
        raise ClusterError(
            f"the cluster is too small ({short}); "
            "lower --num-workers, --num-gpus or --num-learners, name another --learner, or add nodes"
        )
    if busy := occupied(bundles):
        say(f"the cluster is busy ({busy}): this job waits for others to end")


def shortage(bundles: Sequence[Mapping[str, float]]) -> str:
    """What the nodes lack to hold ``bundles``, each on one of them; "" where they lack nothing."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    have = _sum(nodes)
    short = _short(_sum(bundles), have)
    if any(name.startswith(ACCELERATOR) for name in short):
        there = sorted(name.removeprefix(ACCELERATOR) for name in have if name.startswith(ACCELERATOR))
        return f"{_listed(short)}; its accelerators: {', '.join(there) or 'none'}"
    if short:
        return _listed(short)
    for bundle in bundles:
        if all(_short(bundle, node) for node in nodes):
            return (
                f"no node has {', '.join(f'{name}: {amount:g}' for name, amount in bundle.items() if amount)} together"
            )
    return ""


def occupied(bundles: Sequence[Mapping[str, float]]) -> str:
    """What of ``bundles`` is not free now; "" where all is."""
    return _listed(_short(_sum(bundles), ray.available_resources()), "free")


def accelerator_resource(name: str) -> str:
    """What Ray calls the resource of nodes with this accelerator: "t4" gives "accelerator_type:T4"."""
    known = {value.lower(): value for value in vars(accelerators).values() if isinstance(value, str)}
    return ACCELERATOR + known.get(name.lower(), name)


def _sum(bundles: Sequence[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for bundle in bundles:
        for name, amount in bundle.items():
            total[name] += amount
    return dict(total)


def _short(need: Mapping[str, float], have: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Name -> (needed, there) of what is not enough."""
    return {
        name: (amount, have.get(name, 0.0)) for name, amount in need.items() if amount > have.get(name, 0.0) + SLACK
    }


def _listed(short: Mapping[str, tuple[float, float]], there: str = "there") -> str:
    return "; ".join(f"{name}: {needed:g} needed, {have:g} {there}" for name, (needed, have) in short.items())
