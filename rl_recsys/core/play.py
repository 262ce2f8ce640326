"""Episodes of agents without a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rl_recsys.core.outcome import Outcome
from rl_recsys.core.task import Baseline, Session, Task
from rl_recsys.core.trajectory import Step, Trajectory, read_trajectories
from rl_recsys.storage.locations import Place


def play(
    task: Task,
    goal: Any,
    choose: Callable[[Any], int],
    *,
    source: str,
    author: str,
    seed: int = 0,
    **options: Any,
) -> Trajectory:
    """One whole episode of a task's goal, or another; ``choose`` gives the index of a session's next choice.

    ``options`` go to ``Task.session``.
    """
    session: Session = task.session(goal, **options)
    steps: list[Step] = []
    result = None
    while not (session.done or session.truncated):
        chosen = choose(session)
        steps.append(Step.of(session, chosen))
        result = session.choose(chosen)
    return Trajectory.played(session, steps, result, goal=goal, source=source, author=author, seed=seed)


def scripted_episode(
    task: Task, goal: Any, agent: Baseline, *, author: str, seed: int = 0, **options: Any
) -> Trajectory:
    """One episode of an agent without a model; ``options`` go before its own."""
    options = {**agent.options, **options}
    return play(task, goal, agent.choose, source="scripted", author=author, seed=seed, **options)


def demonstration(task: Task, goal: Any, *, seed: int = 0, **options: Any) -> Trajectory:
    """One episode of the task's demonstrator."""
    return scripted_episode(task, goal, task.demonstrator, author="scripted", seed=seed, **options)


def baseline_episodes(
    task: Task, goals: Sequence[int], name: str, *, max_steps: int | None = None
) -> Iterator[Outcome]:
    """One of the task's baselines on these goals, in order. ``max_steps`` is by default the task's."""
    for goal in goals:
        episode = scripted_episode(task, goal, task.baselines[name], author=name, max_steps=max_steps)
        yield Outcome(goal, episode.reward, len(episode.steps), episode.done, episode.reward_parts)


def goals_of(folder: Place, task: Task) -> set[int]:
    """The task's goals that a folder's episodes are about. Raises as ``read_trajectories`` and ``Task.goals_of`` do."""
    return {goal for trajectory in read_trajectories(folder) for goal in task.goals_of(trajectory)}
