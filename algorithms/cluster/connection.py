"""The Ray side of a job: connect quietly, and say at once what a request lacks."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import ray
from ray.autoscaler.sdk import request_resources
from ray.util import accelerators

from rl_recsys.console import threads, verbosity
from rl_recsys.console.progress import format_seconds, phase
from rl_recsys.console.terminal import say
from rl_recsys.console.verbosity import shows_everything
from rl_recsys.errors import UserError

if TYPE_CHECKING:  # every worker process imports this file, and RLlib takes seconds
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

#: What Ray says on every run that no user can act on, by the logger and by how it begins: that PPO is of the new stack,
#: that RLlib itself calls what it has deprecated, that a tool is missing, and that learners take a while to build.
_NOISE = (
    ("ray.rllib.algorithms.algorithm_config", "You are running "),
    ("ray._common.deprecation", "DeprecationWarning: `RLModule(config=[RLModuleConfig object])`"),
    ("ray.tune.utils.util", "Install gputil"),
    ("ray.tune.trainable.trainable", "Trainable.setup took"),
)

Bundle = Mapping[str, float]  # resource -> amount, of a process or of a node
ACCELERATOR = "accelerator_type:"  # Ray's prefix; such a node has 1 of it, whatever it is used for
_DRIVER = [{"CPU": 1.0}]  # what an algorithm asks for that learns in the job's own process and has no workers
SLACK = 1e-6
LOOK_EVERY_S = 2.0
_COUNTED = ("GPU", "CPU")


class ClusterError(UserError):
    """The cluster cannot serve the request; the message says which resource is short."""


class _Quiet(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not any(record.name == logger and record.getMessage().startswith(start) for logger, start in _NOISE)


_QUIET = _Quiet()


def quiet() -> None:
    """Leave out the log lines of ``_NOISE`` in this process, unless all is to be shown; every worker runs it."""
    if shows_everything():
        return
    for name in (None, "ray", "ray.rllib", "ray.tune"):
        logger = logging.getLogger(name)
        for one in (logger, *logger.handlers):  # a logger's filter is not asked about what its children log
            one.addFilter(_QUIET)  # once, however often it is added


def connect(*, num_cpus: int | None = None, variables: Mapping[str, str] = MappingProxyType({})) -> None:
    """Join the cluster of RAY_ADDRESS (or of the job this runs in), else start one on this machine.

    On a machine of its own, Ray is told of at least ``num_cpus`` cores, for workers that wait for each other in turn.
    Its processes have ``variables`` in their environment. A handler of SIGTERM stays: Ray's own prints a stack of C++
    and aborts, and nothing is closed.
    """
    quiet()
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    options = {
        "logging_level": "INFO" if shows_everything() else "WARNING",
        "runtime_env": {
            "worker_process_setup_hook": "algorithms.cluster.connection.quiet",
            "env_vars": verbosity.variables() | threads.variables() | dict(variables),
        },
    }
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        # "local": never the cluster that somebody started on this machine. Without a token, none is left in the home.
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        cores = max(os.cpu_count() or 1, num_cpus or 1)
        options |= {"address": "local", "num_cpus": cores, "include_dashboard": False}
    at_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        with phase(f"joining the Ray cluster {address}" if address else "starting Ray on this machine"):
            ray.init(**options)
    except Exception as error:  # Ray has no error of its own for it
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        if address:
            raise ClusterError(f"RAY_ADDRESS={address} cannot be joined ({reason}); is that cluster up?") from error
        raise ClusterError(f"Ray did not start ({reason}); try again when this machine has less to do") from error
    quiet()  # again: Ray has made its handlers now
    if callable(at_sigterm) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, at_sigterm)


def connect_for(config: AlgorithmConfig, *, wait_s: float = 0.0) -> None:
    """``connect``, and ``require_resources`` for the algorithm of ``config``.

    What learns from recordings, in a single process on a machine of its own, needs no Ray, whose start and end take 8 s
    on two cores.
    """
    bundles = bundles_of(config)
    if bundles == _DRIVER and not config.is_online and not (os.environ.get("RAY_ADDRESS") or ray.is_initialized()):
        quiet()
        return
    connect(num_cpus=len(bundles))
    require_resources(bundles, wait_s=wait_s)


def bundles_of(config: AlgorithmConfig) -> list[dict[str, float]]:
    """What each process of the algorithm of ``config`` asks for."""
    return config.algo_class.default_resource_request(config).bundles


def require_resources(bundles: Sequence[Bundle], *, wait_s: float = 0.0) -> None:
    """Raise ``ClusterError`` where the cluster cannot hold ``bundles``, each on one node; Ray would wait for ever.

    Says so where it can, but not now. ``wait_s``: seconds in which an autoscaler, which is asked to, or a person may
    add the nodes that are lacking.
    """
    if ray.util.get_current_placement_group():
        return  # of a trial: Tune has reserved what it asks for
    short = shortage(bundles)
    if short and wait_s:
        short = _wait_for_nodes(bundles, short, wait_s)
    if short:
        waited = f" after {format_seconds(wait_s)}" if wait_s else ""
        raise ClusterError(
            f"the cluster is too small{waited} ({short}); lower --num-workers, --num-gpus or --num-learners, name "
            "another --learner, add nodes, or wait for them with --wait-for-nodes"
        )
    if busy := occupied(bundles):
        say(f"the cluster is busy ({busy}): this job waits for others to end")


def _wait_for_nodes(bundles: Sequence[Bundle], short: str, wait_s: float) -> str:
    """What the nodes lack at the end of the wait, which is over once they lack nothing."""
    say(f"waiting for nodes, {format_seconds(wait_s)} at most: {short}")
    deadline = time.monotonic() + wait_s
    request_resources(bundles=[dict(bundle) for bundle in bundles])
    try:
        while (missing := shortage(bundles)) and time.monotonic() < deadline:
            if missing != short:
                say(f"waiting for nodes: {missing}")
                short = missing
            time.sleep(min(LOOK_EVERY_S, max(0.0, deadline - time.monotonic())))
        return missing
    finally:
        # Else the nodes would stay for ever. A node is not taken away in the moments until the job is placed on it.
        request_resources(bundles=[])


def shortage(bundles: Sequence[Bundle]) -> str:
    """What the nodes lack to hold ``bundles``, each on one of them; "" where they lack nothing."""
    return lacking(bundles, [node["Resources"] for node in ray.nodes() if node["Alive"]])


def occupied(bundles: Sequence[Bundle]) -> str:
    """What of ``bundles`` is not free now; "" where all is."""
    from algorithms.common.rllib_compat import available_resources_per_node  # here: the setup hook must be light

    return lacking(bundles, list(available_resources_per_node().values()), "free")


def lacking(bundles: Sequence[Bundle], nodes: Sequence[Bundle], there: str = "there") -> str:
    """What ``nodes`` lack to hold ``bundles``, each on one of them; "" where they lack nothing.

    Large bundles are placed first, each where the least room is left over: so almost always a place is found where
    there is one, and Ray, which places them as they come, finds none where there is not.
    """
    have = _sum(nodes)
    short = _short(_sum(bundles), have)
    if any(name.startswith(ACCELERATOR) for name in short):
        kinds = sorted(name.removeprefix(ACCELERATOR) for name in have if name.startswith(ACCELERATOR))
        return f"{_listed(short, there)}; its accelerators: {', '.join(kinds) or 'none'}"
    if short:
        return _listed(short, there)
    left = [dict(node) for node in nodes]
    for bundle in sorted(bundles, key=lambda one: sorted(one.values(), reverse=True), reverse=True):
        fitting = [node for node in left if not _short(bundle, node)]
        if not fitting:
            asked = ", ".join(f"{name}: {amount:g}" for name, amount in bundle.items() if amount)
            alone = all(_short(bundle, node) for node in nodes)
            return f"no node has {asked} {'together' if alone else f'{there} beside the other processes'}"
        tightest = min(fitting, key=lambda node: [node.get(name, 0.0) for name in _COUNTED])
        for name, amount in bundle.items():
            tightest[name] = tightest.get(name, 0.0) - amount
    return ""


def accelerator_resource(name: str) -> str:
    """What Ray calls the resource of nodes with this accelerator: "t4" gives "accelerator_type:T4"."""
    known = {value.lower(): value for value in vars(accelerators).values() if isinstance(value, str)}
    return ACCELERATOR + known.get(name.lower(), name)


def _sum(bundles: Sequence[Bundle]) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for bundle in bundles:
        for name, amount in bundle.items():
            total[name] += amount
    return dict(total)


def _short(need: Bundle, have: Bundle) -> dict[str, tuple[float, float]]:
    """Name -> (needed, there) of what is not enough."""
    return {
        name: (amount, have.get(name, 0.0)) for name, amount in need.items() if amount > have.get(name, 0.0) + SLACK
    }


def _listed(short: Mapping[str, tuple[float, float]], there: str) -> str:
    return "; ".join(f"{name}: {needed:g} needed, {have:g} {there}" for name, (needed, have) in short.items())
