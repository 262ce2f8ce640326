"""Demonstrations: the task's demonstrator, which knows what an episode brings, plays training goals."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_recsys.core.episode_counts import EpisodeCounts
from rl_recsys.core.play import demonstration
from rl_recsys.core.recording import FINGERPRINT, RECORDED_IN, recorded_before, recording
from rl_recsys.core.task import Task
from rl_recsys.core.trajectory import read_trajectories
from rl_recsys.errors import UserError


def record_demonstrations(task: Task, out: Path, *, trajectories: int, variations: int, seed: int) -> EpisodeCounts:
    """Record an episode of each of so many training goals, and of so many goals that the task makes up.

    ``seed`` decides which. Episodes that are in ``out`` already are not played again. Returns the counts of all that
    are there then. Raises ``UserError`` where there are not as many training goals, and as ``recorded_before`` does.
    """
    goals = _goals(task, trajectories, variations, seed)
    settings = {
        FINGERPRINT: task.fingerprint,
        RECORDED_IN: task.spec,
        "shopper": task.demonstrator.version,
        "seed": seed,
        "trajectories": trajectories,
        "variations": variations,
    }
    played = Counter(_key(trajectory.goal) for trajectory in recorded_before(out, settings))
    missing = _missing(task, goals, played)
    with recording(out, task, "demonstrate", len(goals), done=len(goals) - len(missing)) as (writer, bar):
        for goal in missing:
            writer.append(demonstration(task, goal, seed=seed))
            bar.advance()
    return EpisodeCounts.of(read_trajectories(out))


def _goals(task: Task, trajectories: int, variations: int, seed: int) -> list[Any]:
    """What to play, in order: goals of the task and others, mixed, so that the first ones are of both."""
    training = task.split("train")
    if trajectories > len(training):
        raise UserError(
            f"{trajectories} trajectories asked for, {len(training)} training goals there: "
            f"use --trajectories {len(training)} or fewer"
        )
    rng = random.Random(seed)
    goals: list[Any] = list(rng.sample(training, trajectories))
    if variations:
        goals += [task.variation(number, seed=seed) for number in range(variations)]
        rng.shuffle(goals)
    return goals


def _missing(task: Task, goals: Sequence[Any], played: Counter[str]) -> list[Any]:
    """The goals that were not played yet, also where a part of what was played is gone."""
    missing = []
    for goal in goals:
        key = _key(task.goal(goal) if isinstance(goal, int) else goal)
        if played[key]:
            played[key] -= 1
        else:
            missing.append(goal)
    return missing


def _key(goal: Mapping[str, Any]) -> str:
    return json.dumps(goal, sort_keys=True)
