"""How throughput grows with rollout workers, and where the driver's own limit lies.

A machine has room for few real workers. The limit is sought with simulated ones, which are driven by the code that
drives the real ones and return what those played.
"""

from __future__ import annotations

import itertools
import pickle
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib.figure
import numpy as np
import psutil
import ray
from matplotlib.backends.backend_agg import FigureCanvasAgg

from algorithms.benchmarks.simulated_workers import SimulatedWorker
from algorithms.benchmarks.soak import PLAYERS, actor_class
from algorithms.cluster.connection import connect
from algorithms.common.learner import FROZEN_LAYERS
from algorithms.common.ranges import ScalePart
from algorithms.common.rllib_compat import sample_all_env_runners
from algorithms.ppo import PPOConfig
from algorithms.rollouts.goal_sampler import GoalsInTurn
from algorithms.rollouts.groups import TASKS_AHEAD, RolloutGroups
from algorithms.rollouts.pool import RolloutPool
from algorithms.rollouts.published_weights import Weights
from envs import CHOICE_ID, register_with_ray
from policies.base import load_policy
from policies.module_state import module_state
from rl_recsys.core.policy_folder import CONFIG_FILE, read_policy_file
from rl_recsys.core.task import open_task
from rl_recsys.core.trajectory import Trajectory
from rl_recsys.evaluation.plots import STYLES
from rl_recsys.runs.measurement import MEGABYTE, Figure

WORKERS = (1, 2)  # real ones
WARM_GROUPS = 4  # taken before the clock starts: Java, the policy, and what its encoder keeps
WARM_STEPS = 64
ENVIRONMENTS = 8  # of an RLlib worker, as jobs/ppo.py has
BLOCKS = 3  # measurements one after the other with the same actors
ACTOR_GROUPS = 2  # of each actor in a block
LEAST_GROUPS = 4  # in a block
PUBLICATIONS = 5
POLICY = "recorded"  # simulated actors have no policy, and ask for none
SERVERS = ("raylet", "gcs_server")
HEAVY = ("torch", "transformers", "ray.rllib", "jnius")  # what a simulated worker must not import


@dataclass(frozen=True)
class Real:
    """What real workers played in so many seconds, and the CPU seconds that their processes took for it."""

    workers: int
    episodes: int
    steps: int
    seconds: float
    cpu: float


@dataclass(frozen=True)
class Recorded:
    """Groups that a worker played, by their goal, and the seconds that it took for each."""

    groups: Mapping[int, list[Trajectory]]
    seconds: Mapping[int, float]

    @property
    def mean_s(self) -> float:
        """Seconds of a group on average."""
        return statistics.fmean(self.seconds.values())

    def paced(self, mean_s: float, *, alike: bool = False) -> dict[int, float]:
        """Seconds of each group so that their mean is ``mean_s``: in proportion to those recorded, or all ``alike``."""
        return {goal: mean_s if alike else seconds * mean_s / self.mean_s for goal, seconds in self.seconds.items()}


@dataclass(frozen=True)
class Block:
    """Groups that were taken one after the other. CPU seconds: of the driver, and of Ray's own servers beside it."""

    actors: int
    groups: int
    seconds: float
    played: float  # seconds that the actors played for these groups
    driver: float
    servers: float

    @property
    def rate(self) -> float:
        """Groups a second."""
        return self.groups / self.seconds

    @property
    def busy(self) -> float:
        """The share of the actors' time in which they play: their rate's share of the linear one."""
        return self.played / (self.actors * self.seconds)


@dataclass(frozen=True)
class Counted:
    """What was measured with so many actors: blocks of groups as long as recorded, and of groups all alike.

    ``put`` and ``published``: seconds until new weights were in the object store, and until all actors had them.
    """

    actors: int
    blocks: Sequence[Block]
    alike: Sequence[Block]
    put: float
    published: float


@dataclass(frozen=True)
class Load:
    """The driver's CPU seconds: a share of every second that passes, and so many a group."""

    idle: float
    group: float

    @classmethod
    def of(cls, blocks: Sequence[Block]) -> Load:
        """A least squares line through blocks of different rates."""
        used = [block.driver / block.seconds for block in blocks]
        group, idle = np.polyfit([block.rate for block in blocks], used, 1)
        return cls(float(idle), float(group))

    @property
    def full(self) -> float:
        """Groups a second at which one core is full."""
        return (1 - self.idle) / self.group


def scale_figures(
    policy: Path,
    task: str,
    out: Path | None,
    *,
    parts: Sequence[ScalePart],
    group_size: int,
    groups: int,
    rounds: int,
    rollout_steps: int,
    actors: Sequence[int],
    group_seconds: float | None,
) -> Iterator[Figure]:
    """The figures of some parts (names of ``SCALE_PARTS``), each as soon as it is measured; scale.png in ``out``.

    Real workers: ``groups`` groups of ``group_size`` episodes, or ``rollout_steps`` PPO steps, in each of ``rounds``,
    with one worker and with two in turn. Simulated ones: for each number of ``actors``, with groups as long as they
    took a real worker, or of ``group_seconds`` on average. Raises ``UserError``, before anything is measured, where the
    task or the policy cannot be opened.
    """
    groups = min(groups, len(open_task(task).split("train")) - WARM_GROUPS)  # each of another goal
    read_policy_file(policy, CONFIG_FILE)
    connect(num_cpus=max(WORKERS) + 1)
    recorded, real = None, {}
    in_turn = list(itertools.product(range(rounds), WORKERS))
    if "groups" in parts:
        played = [play_groups(policy, task, workers=number, size=group_size, groups=groups) for _, number in in_turn]
        recorded = played[0][1]
        measurements = [measurement for measurement, _ in played]
        for workers in WORKERS:
            real[workers] = statistics.median(
                groups / measurement.seconds for measurement in measurements if measurement.workers == workers
            )
        yield from _real_figures("rollout groups", measurements, f"{groups} groups of {group_size}")
        note = f"{min(recorded.seconds.values()):.2f} to {max(recorded.seconds.values()):.2f} of the clock, first round"
        yield Figure("  a group, on average", recorded.mean_s, "s", note=note)
    if "ppo" in parts:
        measurements = [sample_ppo(policy, task, workers=number, steps=rollout_steps) for _, number in in_turn]
        yield from _real_figures(
            "PPO sampling", measurements, f"{ENVIRONMENTS} sessions a worker, {rollout_steps} steps"
        )
    if "simulated" in parts:
        if recorded is None:
            recorded = play_groups(policy, task, workers=1, size=group_size, groups=groups)[1]
        swept: list[Counted] = []
        yield from _simulated_figures(policy, recorded, sorted(actors), group_seconds or recorded.mean_s, swept)
        if out is not None:
            _draw(swept, group_seconds or recorded.mean_s, real, out / "scale.png")


def play_groups(policy: Path, task: str, *, workers: int, size: int, groups: int) -> tuple[Real, Recorded]:
    """So many groups from a fresh pool of real workers: the same ones, whatever their number.

    One worker never waits, so a group took it the time since the last came; with more the seconds say less.
    """
    with RolloutPool(task, num_workers=workers) as pool:
        source = pool.groups(policy, GoalsInTurn(open_task(task).split("train"), 0), size=size)
        source.publish(policy_state(policy))
        for _ in range(WARM_GROUPS):
            next(source)
        played: dict[int, list[Trajectory]] = {}
        seconds: dict[int, float] = {}
        processes = _players()
        before, start = _cpu(processes), time.perf_counter()
        last = start
        for _ in range(groups):
            group = next(source)
            now = time.perf_counter()
            played[group[0].goal_index], seconds[group[0].goal_index] = group, now - last
            last = now
        cpu = _cpu(processes) - before
    episodes = [episode for group in played.values() for episode in group]
    steps = sum(len(episode.steps) for episode in episodes)
    return Real(workers, len(episodes), steps, last - start, cpu), Recorded(played, seconds)


def policy_state(policy: Path) -> dict[str, np.ndarray]:
    """What a learner publishes of this policy."""
    return module_state(load_policy(policy))


def _real_figures(name: str, measurements: Sequence[Real], what: str) -> Iterator[Figure]:
    """Of one worker and of two in turn; the two are compared round by round."""
    by_workers = {
        workers: [measurement for measurement in measurements if measurement.workers == workers] for workers in WORKERS
    }
    for workers, of_workers in by_workers.items():
        rates = [measurement.steps / measurement.seconds for measurement in of_workers]
        core = statistics.median(measurement.cpu / measurement.seconds / workers for measurement in of_workers)
        note = f"{min(rates):.3g} to {max(rates):.3g}; {what}; each had {core:.0%} of a core"
        yield Figure(f"{name}, {workers} worker{'s' * (workers > 1)}", statistics.median(rates), "steps/s", note=note)
        episodes = statistics.median(measurement.episodes / measurement.seconds for measurement in of_workers)
        yield Figure("  in episodes", episodes, "episodes/s")
        cpu = statistics.median(measurement.cpu / measurement.steps for measurement in of_workers)
        yield Figure("  CPU for a step", 1000 * cpu, "ms")
    pairs = list(zip(*by_workers.values(), strict=True))
    by_clock = [(double.steps / double.seconds) / (single.steps / single.seconds) for single, double in pairs]
    note = f"{min(by_clock):.2f} to {max(by_clock):.2f}, round by round; {psutil.cpu_count()} cores"
    yield Figure("  2 workers to 1", statistics.median(by_clock), "times", note=note)
    if all(measurement.cpu for measurement in measurements):  # on a cluster the workers may be elsewhere
        by_cpu = [2 * (single.cpu / single.steps) / (double.cpu / double.steps) for single, double in pairs]
        note = f"{min(by_cpu):.2f} to {max(by_cpu):.2f}; what they would reach with a core each"
        yield Figure("  2 workers to 1, by CPU time", statistics.median(by_cpu), "times", note=note)


def sample_ppo(policy: Path, task: str, *, workers: int, steps: int) -> Real:
    """At least so many steps from fresh RLlib workers; the slowest is waited for, as PPO waits."""
    register_with_ray()
    config = PPOConfig().environment(
        CHOICE_ID,
        env_config={"task": open_task(task).spec, "policy": str(policy.resolve())},
    )  # fmt: skip
    config.env_runners(num_env_runners=workers, num_envs_per_env_runner=ENVIRONMENTS)
    config.training(policy=str(policy.resolve()), train_batch_size_per_learner=steps)
    config.learners(learner_config_dict={FROZEN_LAYERS: 0})  # nothing is learnt
    algorithm = config.debugging(seed=0, log_level="ERROR").build_algo()
    try:
        algorithm.env_runner_group.foreach_env_runner(
            lambda runner: runner.sample(num_timesteps=WARM_STEPS), local_env_runner=False
        )
        processes = _players()
        before, start = _cpu(processes), time.perf_counter()
        episodes, _ = sample_all_env_runners(algorithm.env_runner_group, steps=steps)
        seconds, cpu = time.perf_counter() - start, _cpu(processes) - before
    finally:
        algorithm.stop()
    return Real(workers, sum(episode.is_done for episode in episodes), sum(map(len, episodes)), seconds, cpu)


def _players() -> list[psutil.Process]:
    """The rollout workers on this machine."""
    return [process for process in psutil.Process().children(recursive=True) if actor_class(process) in PLAYERS]


def _cpu(processes: Sequence[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


@contextmanager
def simulated_workers(recorded: Recorded, count: int) -> Iterator[list]:
    """So many actors that have these groups to return."""
    groups = ray.put(recorded.groups)
    workers = [SimulatedWorker.remote(groups) for _ in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            ray.kill(worker)


def _simulated_figures(
    policy: Path, recorded: Recorded, counts: Sequence[int], mean_s: float, swept: list[Counted]
) -> Iterator[Figure]:
    """Adds to ``swept`` what it measures."""
    state = policy_state(policy)
    sizes = [len(pickle.dumps(group)) / 1000 for group in recorded.groups.values()]
    note = f"{min(sizes):,.0f} to {max(sizes):,.0f}, {len(sizes)} groups"
    yield Figure("a recorded group, pickled", statistics.fmean(sizes), "kB", note=note)
    yield Figure("the weights", sum(array.nbytes for array in state.values()) / MEGABYTE, "MB")
    with simulated_workers(recorded, max(counts)) as workers:
        yield from _light_figures(workers)
        for count in counts:
            swept.append(measure_actors(workers[:count], recorded, mean_s, state))
            yield from _counted_figures(swept[-1], mean_s)
    load = Load.of([block for counted in swept for block in (*counted.blocks, *counted.alike)])
    note = f"by a line through all blocks; and {load.idle:.1%} of a core at rest"
    yield Figure("the driver's CPU for a group", 1000 * load.group, "ms", note=note)
    yield Figure("  one core is full at", load.full, "groups/s", note=f"{load.full * mean_s:,.0f} such actors")


def _light_figures(workers: Sequence) -> Iterator[Figure]:
    start = time.perf_counter()
    imported = {name for modules in ray.get([worker.imported.remote() for worker in workers]) for name in modules}
    seconds = time.perf_counter() - start
    processes = _players()
    if processes:  # on a cluster they may be elsewhere
        memory = statistics.median(process.memory_full_info().uss for process in processes)
        note = f"{len(workers)} actors, all there after {seconds:.0f} s"
        yield Figure("memory of a simulated actor", memory / MEGABYTE, "MB (USS)", note=note)
    heavy = [name for name in HEAVY if name in imported]
    yield Figure(f"  of {', '.join(HEAVY)} it imported", len(heavy), "", 0, note=", ".join(heavy))


def _counted_figures(counted: Counted, mean_s: float) -> Iterator[Figure]:
    rates = [block.rate for block in counted.blocks]
    note = f"{min(rates):.3g} to {max(rates):.3g}; {mean_s:.3g} s a group, {TASKS_AHEAD} tasks ahead"
    actors = f"{counted.actors} actor{'s' * (counted.actors > 1)}"
    yield Figure(f"simulated groups, {actors}", statistics.median(rates), "groups/s", note=note)
    busy, alike = (
        100 * statistics.median(block.busy for block in blocks) for blocks in (counted.blocks, counted.alike)
    )
    yield Figure("  of the linear rate", busy, "%", note=f"{alike:.3g} % where all groups take the same time")
    driver, servers = (
        1000 * statistics.median(seconds / block.groups for seconds, block in zip(of, counted.blocks, strict=True))
        for of in ([block.driver for block in counted.blocks], [block.servers for block in counted.blocks])
    )
    yield Figure("  the driver's CPU", driver, "ms a group", note=f"and {servers:.3g} ms of Ray's own servers")
    note = f"{counted.put:.2g} s of it into the object store"
    yield Figure("  new weights to all of them", counted.published, "s", note=note)


def measure_actors(workers: Sequence, recorded: Recorded, mean_s: float, state: Mapping[str, np.ndarray]) -> Counted:
    """Drive these actors, with groups as long as recorded and all alike, and give all of them new weights."""
    size = len(next(iter(recorded.groups.values())))
    blocks = drive(workers, recorded.paced(mean_s), size, state)
    alike = drive(workers, recorded.paced(mean_s, alike=True), size, state)
    put, published = _publish(workers, state)
    return Counted(len(workers), blocks, alike, put, published)


def drive(workers: Sequence, seconds: Mapping[int, float], size: int, state: Mapping[str, np.ndarray]) -> list[Block]:
    """``BLOCKS`` blocks of groups of ``size`` episodes, from actors that take so many ``seconds`` for each goal's."""
    ray.get([worker.pace.remote(seconds) for worker in workers])
    source = RolloutGroups(workers, POLICY, GoalsInTurn(sorted(seconds), 0), size, seed=0)
    source.publish(state)
    for _ in range(TASKS_AHEAD * len(workers)):
        next(source)
    servers = [process for process in psutil.Process().children(recursive=True) if process.name() in SERVERS]
    blocks = []
    for _ in range(BLOCKS):
        count, played = max(LEAST_GROUPS, ACTOR_GROUPS * len(workers)), 0.0
        start = time.perf_counter(), time.process_time(), _cpu(servers)
        for _ in range(count):
            played += seconds[next(source)[0].goal_index]
        end = time.perf_counter(), time.process_time(), _cpu(servers)
        passed, driver, others = (after - before for before, after in zip(start, end, strict=True))
        blocks.append(Block(len(workers), count, passed, played, driver, others))
    return blocks


def _publish(workers: Sequence, state: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """(seconds into the object store, until every actor has them), medians. A task of no goals only takes weights."""
    taken = []
    for _ in range(PUBLICATIONS):
        start = time.perf_counter()
        weights = Weights(ray.put(state))
        put = time.perf_counter() - start
        ray.get([worker.trajectories.remote(POLICY, [], [], False, 0, weights) for worker in workers])
        taken.append((put, time.perf_counter() - start))
    return tuple(map(statistics.median, zip(*taken, strict=True)))


def _draw(swept: Sequence[Counted], mean_s: float, real: Mapping[int, float], path: Path) -> None:
    """Groups a second against actors, beside the linear line and the rate at which one core of the driver is full."""
    figure = matplotlib.figure.Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    counts = [counted.actors for counted in swept]
    axes.plot(counts, [count / mean_s for count in counts], color="0.4", ls="--", lw=1, label="linear")
    lines = {
        "simulated, all groups take the same time": {counted.actors: counted.alike for counted in swept},
        "simulated, groups as long as recorded": {counted.actors: counted.blocks for counted in swept},
    }
    styles = iter(STYLES)
    for label, line in lines.items():
        color, marker = next(styles)
        rates = [statistics.median(block.rate for block in blocks) for blocks in line.values()]
        axes.plot(list(line), rates, color=color, marker=marker, ms=5, lw=1.5, label=label)
    if real:
        color, marker = next(styles)
        axes.plot(list(real), list(real.values()), color=color, marker=marker, ms=7, ls="", label="real workers")
    load = Load.of([block for counted in swept for block in (*counted.blocks, *counted.alike)])
    axes.axhline(load.full, color="0.4", ls=":", lw=1.2, label="one core of the driver is full (reckoned)")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set(xlabel="rollout actors", ylabel="groups a second", title=f"Groups of {mean_s:.2g} s from one driver")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
