"""The recommender on Ray Serve: the ledger's process, the application, and serving it until it is ended."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algorithms.experiments.policy_flags import arms_of
from rl_recsys.console.terminal import say
from rl_recsys.console.verbosity import shows_everything
from rl_recsys.core.task import EPISODES_A_REQUEST, Task
from rl_recsys.errors import UserError
from rl_recsys.evaluation.bandit import Objective
from rl_recsys.storage.folders import CONTENTS
from rl_recsys.storage.locations import Place, absolute, local_folder

APPLICATION, LEDGER_ACTOR, NAMESPACE = "recommender", "recommender ledger", "serve"
ONGOING = 1000  # requests that a replica holds at most; more of them wait for the engine than may, and are told so
#: Serve ends a proxy that is not ready in three times five seconds, which on a busy machine none is, and gives up.
PATIENCE = {"RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60"}
GRACE_S = 10.0  # in which a replica that ends answers what is under way
DRAIN_S = 2.0  # that one stays after that: HAProxy is told at once, and Serve's 30 s are for balancers that ask


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is served. ``policies``: the folder of each by its name. ``cores``: of a replica."""

    task: str
    policies: Mapping[str, Place]
    episodes: int = EPISODES_A_REQUEST
    at_once: int
    waiting: int
    objective: Objective = "success"
    seed: int = 0
    replicas: int = 1
    cores: int = 1


def haproxy_variables(folder: Path) -> dict[str, str]:
    """What every process of Serve must have in its environment so that HAProxy carries the requests.

    Serve's own proxy takes several times the CPU. HAProxy's files lie in ``folder``, so that two services of a machine
    do not share them.
    """
    prefix = "RAY_SERVE_HAPROXY_"
    return PATIENCE | {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": str(DRAIN_S),
        f"{prefix}CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        f"{prefix}SOCKET_PATH": str(folder / "admin.sock"),
        f"{prefix}METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        f"{prefix}SERVER_STATE_BASE": str(folder),
        f"{prefix}SERVER_STATE_FILE": str(folder / "server-state"),
        f"{prefix}METRICS_PORT": str(free_port()),
        f"{prefix}STATS_PORT": str(free_port()),
        f"{prefix}NBTHREAD": "1",
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(free_port()),
    }


def log_level() -> dict[str, str]:
    """What Serve's processes say: as much as this one."""
    return {"log_level": "INFO" if shows_everything() else "WARNING"}


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens at now."""
    with socket.socket() as listening:
        listening.bind((host, 0))
        return listening.getsockname()[1]


def policies_of(named: Sequence[str], task: Task) -> dict[str, str]:
    """NAME=FOLDER flags as name -> folder. Raises ``UserError``, ``PolicyError``."""
    arms = arms_of(named, task)
    for name, folders in arms.items():
        if name in task.baselines or len(folders) > 1:
            raise UserError(f"--policies {name}: give one policy folder for each name")
    return {name: absolute(folder) for name, (folder,) in arms.items()}


def weights_of(policy: Place) -> str:
    """A digest of a policy folder, by which a policy is told from another that takes its name."""
    return hashlib.sha256((local_folder(policy) / CONTENTS).read_bytes()).hexdigest()[:16]


def start_ledger(folder: Path, settings: Settings) -> Any:
    """The process that writes a folder, on this node; it lives as long as this driver, and starts again when lost."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from algorithms.services.recommender.ledger import Ledger, world_of
    from rl_recsys.core.task import open_task

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"name": LEDGER_ACTOR, "namespace": NAMESPACE, "num_cpus": 0, "max_restarts": -1, "max_task_retries": -1}
    actor = ray.remote(Ledger).options(**options, scheduling_strategy=here)
    arms = {name: weights_of(policy) for name, policy in settings.policies.items()}
    task = open_task(settings.task)
    made = actor.remote(
        folder.resolve(), task=task.name, world=world_of(task), arms=arms, objective=settings.objective,
        seed=settings.seed,
    )  # fmt: skip
    ray.get(made.standings.remote())
    return made


def application(settings: Settings, *, token: str | None = None, local: bool = True) -> Any:
    """The Serve application of ``settings``, whose ledger runs already."""
    from ray import serve

    from algorithms.services.recommender.replica import Replica

    deployment = serve.deployment(
        name=APPLICATION,
        num_replicas=settings.replicas,
        max_ongoing_requests=ONGOING,
        ray_actor_options={"num_cpus": settings.cores},
        graceful_shutdown_timeout_s=GRACE_S,
        logging_config=log_level(),
    )(serve.ingress()(Replica))
    return deployment.bind(settings, token, local)


def serve_until_ended(
    settings: Settings, folder: Path, *, host: str, port: int, token: str | None, local: bool
) -> None:
    """Run the application in the foreground, with its ledger in ``folder``, until Ctrl-C or SIGTERM."""
    port = port or free_port(host)
    # A short path: Serve puts 57 characters into it, and that of a socket may have 97.
    with tempfile.TemporaryDirectory(prefix="rl-", dir="/tmp") as files:
        variables = haproxy_variables(Path(files))
        os.environ.update(variables)  # before Serve is imported, which reads them then
        from ray import serve

        from algorithms.cluster.connection import connect

        connect(num_cpus=settings.replicas * settings.cores, variables=variables)
        ledger = start_ledger(folder, settings)
        try:
            where = "HeadOnly" if local else "EveryNode"
            options = {"host": host, "port": port}
            serve.start(proxy_location=where, http_options=options, logging_config=log_level())
            served = application(settings, token=token, local=local)
            serve.run(served, name=APPLICATION, route_prefix="/")
            say(f"serving at http://{f'[{host}]' if ':' in host else host}:{port}/ (Ctrl-C ends it)")
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
        finally:
            serve.shutdown()
            end_ledger(ledger)


def end_ledger(ledger: Any) -> None:
    """Close it and end its process."""
    import ray

    with suppress(ray.exceptions.RayError):
        ray.get(ledger.close.remote(), timeout=30)
    ray.kill(ledger)
