"""What a training run holds on to while it trains, role by role: memory, files, processes; and what it leaves behind.

The run is a command of its own, with a Ray of its own; it is looked at from outside, so nothing of this is in what is
measured.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import matplotlib.figure
import numpy as np
import psutil
from grpc import RpcError
from matplotlib.backends.backend_agg import FigureCanvasAgg

from algorithms.benchmarks.flags import TrainingSoakFlags
from algorithms.common.rllib_compat import REMOTE_LEARNER, actors_and_store, titled_class
from algorithms.runs.run_folder import RESULTS
from rl_recsys.console.dispatch import JOBS
from rl_recsys.core.policy_folder import CONFIG_FILE, read_policy_file
from rl_recsys.core.task import open_task, task_of_shop
from rl_recsys.errors import UserError
from rl_recsys.evaluation.plots import STYLES
from rl_recsys.runs.measurement import MEGABYTE, Figure, own_memory
from rl_recsys.runs.processes import ending_with_parent

NAME = "training-soak"
ENDLESS = 1_000_000  # iterations
RUN, TEMPORARY = "run", "tmp"  # folders of a soak's work
DRIVER, LEARNER, WORKER, RAY, ALL = "driver", "learner", "rollout worker", "rest of Ray", "all"
LEARNERS, PLAYERS = ("PPOLearner", REMOTE_LEARNER), ("WatchedEnvRunner", "_RolloutWorker", "SimulatedWorker")
START_PATIENCE_S, END_PATIENCE_S = 600.0, 60.0
LEAST_LOOKS = 3  # that a line is drawn through
HELD = (
    ("processes", "processes", ""),
    ("files", "open files", ""),
    ("java", "Java VMs", ""),
    ("actors", "living actors", ""),
    ("store", "object store in use", "MB"),
)


@dataclass(frozen=True)
class Sample:
    """What the processes of one role hold. ``uss`` and ``own`` in MB: unique set size, and what is behind no file.

    ``java``: those of the processes that run a Java VM. Of the role "all" also the run's living ``actors`` and the MB
    of its object ``store`` that are in use; nan where Ray did not say.
    """

    minutes: float
    role: str
    processes: int
    uss: float
    own: float
    files: int
    java: int
    actors: float = float("nan")
    store: float = float("nan")


class Family:
    """The processes that one process started, by their role. A role's processes are numbered as they are first seen."""

    def __init__(self, root: psutil.Process):
        self.root = root
        self._numbers: dict[str, dict[psutil.Process, int]] = defaultdict(dict)
        self.seen: set[psutil.Process] = set()

    def by_role(self) -> dict[str, list[psutil.Process]]:
        """Those that are alive: "driver", "learner 1", "rollout worker 1", ..., "rest of Ray"."""
        by_role: dict[str, list[psutil.Process]] = {DRIVER: [self.root]}
        for process in self.root.children(recursive=True):
            role = _role(actor_class(process))
            if role != RAY:
                numbers = self._numbers[role]
                role = f"{role} {numbers.setdefault(process, len(numbers) + 1)}"
            by_role.setdefault(role, []).append(process)
        self.seen.update(process for processes in by_role.values() for process in processes)
        return dict(sorted(by_role.items()))

    def left(self) -> list[psutil.Process]:
        """Those ever seen that still run."""
        return [process for process in self.seen if running(process)]


def actor_class(process: psutil.Process) -> str | None:
    """The class of the actor in a process, as Ray titles it ("IDLE": none yet); None of any other process."""
    with suppress(psutil.Error):
        return titled_class(" ".join(process.cmdline()))
    return None


def _role(name: str | None) -> str:
    return LEARNER if name in LEARNERS else WORKER if name in PLAYERS else RAY


def running(process: psutil.Process) -> bool:
    """Whether it still runs; one that only waits to be collected does not."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def hosts_java(process: psutil.Process) -> bool:
    """Whether a Java VM runs in it."""
    with suppress(psutil.Error):
        return any(mapping.path.endswith("libjvm.so") for mapping in process.memory_maps())
    return False


def look(family: Family, minutes: float) -> list[Sample]:
    """One look at a family: a sample a role, and one of all together."""
    samples = []
    for role, processes in family.by_role().items():
        count = files = java = 0
        uss = own = 0.0
        for process in processes:
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):  # it ended meanwhile
                held = process.memory_full_info().uss, own_memory(process), process.num_fds(), hosts_java(process)
                count, uss, own = count + 1, uss + held[0] / MEGABYTE, own + held[1] / MEGABYTE
                files, java = files + held[2], java + held[3]
        samples.append(Sample(minutes, role, count, uss, own, files, java))
    summed = ("processes", "uss", "own", "files", "java")
    sums = {name: sum(getattr(sample, name) for sample in samples) for name in summed}
    return [*samples, Sample(minutes, ALL, **sums, **_of_ray(family))]


def _of_ray(family: Family) -> dict[str, float]:
    """{"actors" alive, "store" MB} of the Ray of a family, asked as `ray memory` asks; {} where it does not answer."""
    with suppress(psutil.Error, StopIteration, RpcError, AssertionError, OSError, RuntimeError):
        flags = (flag for process in family.seen if running(process) for flag in process.cmdline())
        address = next(flag for flag in flags if flag.startswith("--gcs-address=")).partition("=")[2]
        actors, store = actors_and_store(address)
        return {"actors": actors, "store": store / MEGABYTE}
    return {}


@dataclass(frozen=True)
class Growth:
    """How a series grew after its first tenth. ``settled`` is its value there, ``line`` a least squares line's rise."""

    settled: float
    most: float  # % that the largest value lies above the settled one
    line: float  # % of the settled value over the rest of the time
    hourly: float  # the line's rise in units an hour


def growth(minutes: Sequence[float], values: Sequence[float]) -> Growth:
    """The growth of at least two values at these times."""
    first = min(len(values) // 10, len(values) - 2)
    times, settled_values = np.asarray(minutes[first:]), np.asarray(values[first:])
    slope = float(np.polyfit(times, settled_values, 1)[0])
    settled = float(settled_values[0])
    rise = slope * float(times[-1] - times[0])
    return Growth(settled, 100 * (float(settled_values.max()) / settled - 1), 100 * rise / settled, 60 * slope)


def ppo_soak_figures(arguments: TrainingSoakFlags, work: Path) -> Iterator[Figure]:
    """``soak_figures`` of a PPO run that does not end by itself.

    Raises ``UserError``, before it starts anything, where the shop or the policy is none.
    """
    open_task(task_of_shop(arguments.shop))
    read_policy_file(arguments.policy, CONFIG_FILE)
    flags = {
        "--shop": arguments.shop,
        "--policy": arguments.policy,
        "--num-workers": arguments.num_workers,
        "--num-learners": arguments.num_learners,
        "--rollout-steps": arguments.rollout_steps,
        "--iterations": ENDLESS,
    }
    command = [sys.executable, str(JOBS / "ppo.py"), *(str(part) for flag in flags.items() for part in flag)]
    minutes, every_s = arguments.minutes, arguments.every_seconds
    yield from soak_figures(command, work, arguments.out, minutes=minutes, every_s=every_s)


def soak_figures(
    command: Sequence[str], work: Path, out: Path | None, *, minutes: float, every_s: float
) -> Iterator[Figure]:
    """The figures of a training command, which is given ``--out``, once it has trained for ``minutes`` and was ended.

    The minutes begin with its first iteration. Left in ``out``: training-soak.csv with a look every ``every_s``
    seconds, .png, and .log with what the run said. ``work`` is for the run itself and its temporary files; its path
    must be short, for Ray's sockets lie in it. Raises ``UserError`` where the run ends by itself.
    """
    folder = out or work
    with _training(command, work, folder / f"{NAME}.log") as (process, family):
        samples = _watch(process, family, folder / f"{NAME}.csv", minutes, every_s)
        iterations, alive = _iterations(work), family.left()
        java = [member for member in alive if hosts_java(member)]
        actors = [member for member in alive if _role(actor_class(member)) != RAY]
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _wait(lambda: process.poll() is not None and not family.left(), END_PATIENCE_S)
        seconds, left = time.monotonic() - start, family.left()
    if out is not None:
        _draw(samples, out / f"{NAME}.png")
    yield Figure("trained", samples[-1].minutes, "min", note=f"{iterations} iterations, a look every {every_s:g} s")
    yield from _growth_figures(samples)
    totals = [sample for sample in samples if sample.role == ALL]
    for name, what, unit in HELD:
        yield _last(f"{what} at the end", [getattr(sample, name) for sample in totals], unit)
    yield Figure("the end after SIGTERM", seconds, "s", note=f"exit status {process.returncode}")
    yield Figure("  processes left", len(left), f"of {len(alive)}", 0)
    yield Figure("  actors left", sum(actor in left for actor in actors), f"of {len(actors)}", 0)
    yield Figure("  Java VMs left", sum(host in left for host in java), f"of {len(java)}", 0)
    yield from _left_figures(work / TEMPORARY)


@contextmanager
def _training(command: Sequence[str], work: Path, log: Path) -> Iterator[tuple[subprocess.Popen, Family]]:
    """The run, from its first iteration on; whatever becomes of it, no process of it is left."""
    temporary = work / TEMPORARY
    temporary.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment |= {"TMPDIR": str(temporary), "RAY_TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}
    arguments = [*command, "--out", str(work / RUN)]
    with (
        open(log, "w") as said,
        subprocess.Popen(
            ending_with_parent(arguments),
            stdout=said,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        ) as process,
    ):
        family = Family(psutil.Process(process.pid))
        try:
            _wait(lambda: process.poll() is not None or _iterations(work) > 0, START_PATIENCE_S)
            if not _iterations(work):
                raise UserError(f"{log}: the run came to no iteration; its last line: {_last_line(log)}")
            yield process, family
        finally:
            for survivor in (*family.left(), family.root):
                with suppress(psutil.NoSuchProcess):
                    survivor.kill()


def _watch(process: subprocess.Popen, family: Family, path: Path, minutes: float, every_s: float) -> list[Sample]:
    """Looks at a family until its time is over, each written to a file at once."""
    samples: list[Sample] = []
    start = time.monotonic()
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Sample)])
        writer.writeheader()
        for number in itertools.count():
            time.sleep(max(0.0, start + number * every_s - time.monotonic()))
            if process.poll() is not None:
                raise UserError(f"{path}: the run ended by itself, with status {process.returncode}")
            passed = (time.monotonic() - start) / 60
            samples += look(family, passed)
            writer.writerows(asdict(sample) for sample in samples if sample.minutes == passed)
            file.flush()
            if passed >= minutes:
                return samples


def _growth_figures(samples: Sequence[Sample]) -> Iterator[Figure]:
    series: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        series[sample.role].append(sample)
    for role, role_samples in series.items():
        if len(role_samples) < LEAST_LOOKS:  # of a process that was soon gone
            continue
        times = [sample.minutes for sample in role_samples]
        own = growth(times, [sample.own for sample in role_samples])
        uss = growth(times, [sample.uss for sample in role_samples])
        note = f"{own.settled:,.0f} MB after the first tenth, {len(role_samples)} looks"
        yield Figure(f"{role}: memory behind no file, growth at most", own.most, "%", note=note)
        yield Figure("  by a least squares line", own.line, "%", 2, note=f"{own.hourly:+,.0f} MB an hour")
        note = f"{uss.settled:,.0f} MB after the first tenth, {uss.hourly:+,.0f} MB an hour"
        yield Figure("  of its unique set, by such a line", uss.line, "%", note=note)


def _last(name: str, values: Sequence[float], unit: str) -> Figure:
    known = [value for value in values if value == value]
    if not known:
        return Figure(name, float("nan"), unit)
    return Figure(name, known[-1], unit, note=f"{known[0]:.4g} at first, {max(known):.4g} at most")


def _left_figures(temporary: Path) -> Iterator[Figure]:
    """What a run left in its folder for temporary files. Ray itself leaves the logs of its session."""
    paths = [path for path in temporary.rglob("*") if not path.is_dir() or not any(path.iterdir())]
    logs = [path for path in paths if path.relative_to(temporary).parts[0] == "ray"]
    others = [path for path in paths if path not in logs]
    names = ", ".join(sorted({path.relative_to(temporary).parts[0] for path in others})[:5])
    yield Figure("  temporary files left, Ray's session folder apart", len(others), "files", 0, note=names)
    size = sum(path.lstat().st_size for path in logs) / MEGABYTE
    yield Figure("  Ray's session folder", size, "MB", note=f"{len(logs)} files; Ray never removes it")


def _iterations(work: Path) -> int:
    path = work / RUN / RESULTS
    lines = path.read_text().splitlines() if path.is_file() else []
    return max((json.loads(line)["iteration"] for line in lines if line.endswith("}")), default=0)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    """Until the condition holds, or so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.5)


def _draw(samples: Sequence[Sample], path: Path) -> None:
    """Memory behind no file against minutes, a line a role."""
    figure = matplotlib.figure.Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    roles = list(dict.fromkeys(sample.role for sample in samples if sample.role != ALL))
    for role, (color, marker) in zip(roles, itertools.cycle(STYLES), strict=False):
        points = [(sample.minutes, sample.own) for sample in samples if sample.role == role]
        every = max(1, len(points) // 8)
        axes.plot(*zip(*points, strict=True), color=color, marker=marker, markevery=every, ms=5, lw=1.5, label=role)
    axes.set(xlabel="minutes since the first iteration", ylabel="MB behind no file", title="Memory of a training run")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
