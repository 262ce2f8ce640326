"""Episodes on given goals in many processes: Ray actors, each with a world and policies of its own."""

from __future__ import annotations

import itertools
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import ray
import torch
from ray.tune import PlacementGroupFactory

from algorithms.cluster.connection import require_resources
from algorithms.common.malloc import release_memory
from algorithms.rollouts.goal_sampler import GoalsInTurn
from algorithms.rollouts.groups import BranchGroups, RolloutGroups, call_off
from algorithms.rollouts.published_weights import Weights
from algorithms.rollouts.sampled_groups import SampledGroups
from algorithms.rollouts.watchdog import HANG_S, exit_on_hang
from policies.base import Policy, load_policy, precision_to_play
from policies.branches import branched_episodes
from policies.module_state import load_module_state
from policies.play import SESSIONS_AT_ONCE, SampledEpisode, policy_episodes, policy_trajectories, sampled_episodes
from rl_recsys.console.terminal import say
from rl_recsys.core.outcome import Outcome
from rl_recsys.core.play import baseline_episodes
from rl_recsys.core.task import Task, open_task
from rl_recsys.core.trajectory import Trajectory
from rl_recsys.errors import UserError
from rl_recsys.storage.locations import absolute

CHUNK = 2 * SESSIONS_AT_ONCE  # goals a worker is given at a time
KEPT_POLICIES = 16  # a worker keeps the last it played; an arm of an experiment comes again and again
TASKS_AHEAD = 8  # a worker, of the task that is waited for: what is done before it is kept in memory
TASK_RETRIES = 3  # for tasks whose worker is lost; a goal that always hangs must come to light

Episode = TypeVar("Episode", Outcome, Trajectory, SampledEpisode)


@ray.remote(max_restarts=-1, max_task_retries=TASK_RETRIES)
class _RolloutWorker:
    """A ``GroupWorker`` that plays goals with one policy after another; it has a world of its own.

    A task says all that it needs, so a worker that is started again plays it as the lost one would have.
    """

    def __init__(self, task: str, device: str, hang_s: float, precision: str):
        torch.set_num_threads(1)
        self._precision = precision_to_play(precision)
        self._task, self._device, self._hang_s = open_task(task), device, hang_s
        self._policies: dict[str, Policy] = {}  # those played last at the end
        self._versions: dict[str, str] = {}  # of the weights that a policy was given

    def outcomes(
        self, policy: str, goals: Sequence[int], draws: Sequence[int], greedy: bool, seed: int
    ) -> list[Outcome]:
        """The outcomes of these goals, in their order."""
        if policy in self._task.baselines:
            return self._watched(baseline_episodes(self._task, goals, policy))
        player = self._policy(policy)
        return self._watched(policy_episodes(player, self._task, goals, draws=draws, greedy=greedy, seed=seed))

    def trajectories(
        self,
        policy: str,
        goals: Sequence[int],
        draws: Sequence[int],
        greedy: bool,
        seed: int,
        weights: Weights | None = None,
    ) -> list[Trajectory]:
        """The episodes of these goals, in their order; with ``weights`` of ``policy``'s architecture, if given."""
        player = self._policy(policy, weights)
        return self._watched(
            policy_trajectories(player, self._task, goals, draws=draws, author=policy, greedy=greedy, seed=seed)
        )

    def sampled(
        self, policy: str, goals: Sequence[int], draws: Sequence[int], seed: int, temperature: float, weights: Weights
    ) -> list[SampledEpisode]:
        """The sampled episodes of these goals, in their order, with the probabilities that they were sampled with."""
        player = self._policy(policy, weights)
        return self._watched(
            sampled_episodes(player, self._task, goals, author=policy, draws=draws, seed=seed, temperature=temperature)
        )

    def branches(self, policy: str, goal: int, size: int, seed: int, weights: Weights) -> list[Trajectory]:
        """The greedy episode of a goal and its branches, ``size`` at most."""
        player = self._policy(policy, weights)
        return self._watched(branched_episodes(player, self._task, goal, size=size, author=policy, seed=seed))

    def _watched(self, episodes: Iterator[Episode]) -> list[Episode]:
        """All of them, each within the time that a worker may take for one."""
        found = []
        while True:
            with exit_on_hang(self._hang_s):
                episode = next(episodes, None)
            if episode is None:
                release_memory()
                return found
            found.append(episode)

    def _policy(self, policy: str, weights: Weights | None = None) -> Policy:
        player = self._policies.pop(policy, None)
        if player is None or (weights is None and policy in self._versions):  # what it was given is not the folder's
            player = load_policy(policy).to(self._device)
            player.precision = self._precision
            self._versions.pop(policy, None)
        if weights is not None and self._versions.get(policy) != weights.version:
            load_module_state(player, ray.get(weights.state))
            self._versions[policy] = weights.version
        player.share_encodings()
        for other in self._policies.values():
            other.forget_encodings()  # of use only while a policy plays
        self._policies[policy] = player
        while len(self._policies) > KEPT_POLICIES:
            dropped = next(iter(self._policies))
            del self._policies[dropped]
            self._versions.pop(dropped, None)
        return player


def with_rollout_workers(own: PlacementGroupFactory, config: Any) -> PlacementGroupFactory:
    """What an algorithm asks for with its rollout workers beside its ``own`` processes.

    ``config``: with ``rollout_workers`` and ``rollout_gpus``.
    """
    workers = worker_bundles(config.rollout_workers, config.rollout_gpus)
    return PlacementGroupFactory(own.bundles + workers, strategy=config.placement_strategy)


def worker_bundles(num_workers: int, num_gpus: float) -> list[dict[str, float]]:
    """What rollout workers ask for, one bundle each; they share the GPUs."""
    return [{"CPU": 1, "GPU": num_gpus / max(1, num_workers)}] * num_workers


class RolloutPool:
    """Ray actors that play goals in parallel; start it once for many policies, and ``close`` it.

    A worker that is lost, or that needs more than ``hang_s`` seconds for an episode, is started again, and so is its
    task: the episodes are the same.

    Raises ``UserError`` for fewer than one worker, and ``ClusterError`` where the cluster cannot hold them.
    """

    def __init__(
        self,
        task: str | Task,
        *,
        num_workers: int = 2,
        num_gpus: float = 0.0,
        hang_s: float = HANG_S,
        precision: str = "auto",
    ):
        """``task``: see ``open_task``. ``precision`` of the policies' play: "auto" or the name of a type."""
        if num_workers < 1:
            raise UserError(f"{num_workers} rollout workers: at least one is needed")
        bundles = worker_bundles(num_workers, num_gpus)
        require_resources(bundles)
        opened = open_task(task)
        self._baselines = opened.baselines
        arguments = opened.spec, "cuda" if num_gpus else "cpu", hang_s, precision
        say(f"starting {num_workers} rollout worker{'s' if num_workers > 1 else ''}")
        self._workers = [
            _RolloutWorker.options(num_cpus=bundle["CPU"], num_gpus=bundle["GPU"]).remote(*arguments)
            for bundle in bundles
        ]

    def play(
        self,
        policy: str | Path,
        goals: Sequence[int],
        *,
        greedy: bool = True,
        seed: int = 0,
        progress: Callable[[int], None] = lambda episodes: None,
    ) -> list[Outcome]:
        """Outcomes of a policy folder, or one of the task's baselines, on these goals, in their order."""
        return self.play_each([(policy, goal, 0) for goal in goals], greedy=greedy, seed=seed, progress=progress)

    def play_each(
        self,
        plays: Sequence[tuple[str | Path, int, int]],
        *,
        greedy: bool = True,
        seed: int = 0,
        progress: Callable[[int], None] = lambda episodes: None,
    ) -> list[Outcome]:
        """Outcomes of (policy folder or baseline, goal, draw), in their order.

        Sampled episodes of one goal with different draws differ.
        """
        places: dict[str, list[int]] = defaultdict(list)
        for place, (policy, _, _) in enumerate(plays):
            places[self._name(policy)].append(place)
        # As many tasks as workers at least, so that none is idle while another plays all.
        size = max(1, min(CHUNK, -(-len(plays) // len(self._workers))))
        tasks = [(name, some) for name, found in places.items() for some in _chunks(found, size)]
        found: list[Outcome | None] = [None] * len(plays)
        played = self._in_order(
            "outcomes", ((name, [plays[place][1:] for place in some]) for name, some in tasks), greedy, seed, progress
        )
        for (_, some), outcomes in zip(tasks, played, strict=True):
            for place, outcome in zip(some, outcomes, strict=True):
                found[place] = outcome
        return found

    def trajectories(
        self,
        policy: str | Path,
        goals: Iterable[tuple[int, int]],
        *,
        greedy: bool = False,
        seed: int = 0,
    ) -> Iterator[Trajectory]:
        """Episodes of a policy folder on (goal, draw) pairs, in their order, as soon as all before them ended.

        Episodes of one goal with different draws differ. The pairs may be endless: at most ``TASKS_AHEAD`` tasks
        a worker are played beyond what is taken, also while one of them hangs.
        """
        tasks = ((self._name(policy), chunk) for chunk in _chunks(goals, CHUNK))
        ahead = TASKS_AHEAD * len(self._workers)
        for trajectories in self._in_order("trajectories", tasks, greedy, seed, ahead=ahead):
            yield from trajectories

    def _in_order(
        self,
        method: str,
        tasks: Iterable[tuple[str, Sequence[tuple[int, int]]]],
        greedy: bool,
        seed: int,
        progress: Callable[[int], None] = lambda episodes: None,
        ahead: int = sys.maxsize,
    ) -> Iterator[list]:
        """What a worker's method returns for one task (a policy and its goals with their draws) after the other.

        ``ahead``: tasks that are begun at most beyond those whose results were taken.
        """
        rest = iter(tasks)
        idle, pending = list(self._workers), {}
        done: dict[int, list] = {}
        started = wanted = 0
        try:
            while True:
                while idle and started - wanted < ahead and (task := next(rest, None)) is not None:
                    worker = idle.pop()
                    name, pairs = task
                    some, draws = zip(*pairs, strict=True)
                    pending[getattr(worker, method).remote(name, some, draws, greedy, seed)] = started, worker
                    started += 1
                if not pending:
                    return
                ready, _ = ray.wait(list(pending))
                for reference in ready:
                    number, worker = pending.pop(reference)
                    idle.append(worker)
                    done[number] = ray.get(reference)
                    progress(len(done[number]))
                while wanted in done:
                    yield done.pop(wanted)
                    wanted += 1
        finally:
            call_off(pending)

    def groups(
        self, policy: str | Path, goals: GoalsInTurn, *, size: int, seed: int = 0, branching: bool = False
    ) -> RolloutGroups:
        """Endless groups of ``size`` sampled episodes, each of the next goal; ``publish`` weights before.

        ``branching``: of the greedy episode and its branches, ``size`` at most.
        """
        kind = BranchGroups if branching else RolloutGroups
        return kind(self._workers, absolute(policy), goals, size, seed)

    def sampled_groups(
        self, policy: str | Path, goals: GoalsInTurn, *, size: int, temperature: float, seed: int = 0
    ) -> SampledGroups:
        """The same with the probabilities that the episodes were sampled with."""
        return SampledGroups(self._workers, absolute(policy), goals, size, seed, temperature)

    def _name(self, policy: str | Path) -> str:
        """A policy as workers know it, whatever directory they run in."""
        return str(policy) if str(policy) in self._baselines else absolute(policy)

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            ray.kill(worker)

    def __enter__(self) -> RolloutPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _chunks(items: Iterable, size: int) -> Iterator[list]:
    """The items in lists of ``size``, the last one shorter; endless items are no trouble."""
    rest = iter(items)
    return iter(lambda: list(itertools.islice(rest, size)), [])
