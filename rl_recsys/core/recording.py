"""Episodes that are recorded into a folder one by one, and gone on with after a kill."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rl_recsys.console.progress import Task as Progress
from rl_recsys.console.progress import progress
from rl_recsys.core.task import Task
from rl_recsys.core.trajectory import Trajectory, TrajectoryWriter, read_trajectories
from rl_recsys.runs.settings import claim


def recorded_before(out: Path, settings: Mapping[str, Any]) -> Iterator[Trajectory]:
    """The episodes that an earlier run left in its folder, oldest first; none in a new folder, which is claimed.

    ``settings`` decide what is recorded. Raises ``SettingsError`` where the folder was begun with others.
    """
    begun = any(out.glob("part-*.arrows"))
    claim(out, settings, begun=begun)
    return read_trajectories(out) if begun else iter(())


@contextmanager
def recording(out: Path, task: Task, title: str, total: int, done: int) -> Iterator[tuple[TrajectoryWriter, Progress]]:
    """A new part of a folder for episodes of a task, and a bar of ``total`` units, ``done`` of them by earlier runs."""
    with TrajectoryWriter(out, task.name) as writer, progress(title, total) as bar:
        bar.resume(done)
        yield writer, bar
