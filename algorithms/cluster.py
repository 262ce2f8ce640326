"""The Ray side of a job: connect quietly, and say at once what a request lacks."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import ray

from rl_recsys.errors import UserError

if TYPE_CHECKING:  # every worker process imports this file, and RLlib takes seconds
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

#: What Ray and RLlib print on every run that no user can act on.
_NOISE = re.compile(
    "new API stack|RLModuleConfig|RLModule\\(config=|Install gputil|Trainable.setup took|Overriding environment"
)


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
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**options)
        return
    # "local": never the cluster that somebody started on this machine. Without a token, none is left in the home.
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    cores = max(os.cpu_count() or 1, num_cpus or 1)
    ray.init(address="local", num_cpus=cores, include_dashboard=False, **options)


def require(config: AlgorithmConfig) -> None:
    """``require_resources`` for what the algorithm of ``config`` asks for."""
    require_resources(config.algo_class.default_resource_request(config).required_resources)


def require_resources(need: Mapping[str, float]) -> None:
    """Raise ``ClusterError`` where the cluster cannot meet ``need``; Ray itself would wait for ever."""
    have = ray.cluster_resources()
    short = [
        f"{name}: {amount:g} needed, {have.get(name, 0):g} there"
        for name, amount in need.items()
        if amount > have.get(name, 0)
    ]
    if short:
        raise ClusterError(
            f"the cluster is too small ({'; '.join(short)}); lower --num-workers or --num-gpus, or add nodes"
        )
