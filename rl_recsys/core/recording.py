"""Episodes that are recorded into a folder one by one, and gone on with after a kill; the folder says in what world."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rl_recsys.console.progress import Task as Progress
from rl_recsys.console.progress import progress
from rl_recsys.core.task import Task
from rl_recsys.core.trajectory import Trajectory, TrajectoryError, TrajectoryWriter, read_trajectories
from rl_recsys.runs.settings import SETTINGS, claim
from rl_recsys.storage.declared import MAY_BE_MISSING, require_declared
from rl_recsys.storage.files import read_object
from rl_recsys.storage.locations import Place, inside, local_folder

#: Settings of a folder of episodes: where they were recorded, which is only told, and the fingerprint, which decides.
RECORDED_IN, FINGERPRINT = "task", "shop"


@dataclass(frozen=True)
class _World:
    """What a folder says of the world that its episodes were recorded in; one that was imported says nothing."""

    shop: Annotated[str | None, MAY_BE_MISSING] = None
    task: Annotated[str | None, MAY_BE_MISSING] = None


def require_recorded_in(task: Task, folder: Place) -> None:
    """Raise ``TrajectoryError`` where a folder says that its episodes were recorded in another world than ``task``.

    Folders that do not say it are taken: imported ones, those that were put together, and those of earlier versions.
    """
    path = local_folder(folder) / SETTINGS
    if not path.is_file():
        return
    remedy = "copy the folder whole, or record again"
    where = inside(folder, SETTINGS)
    found = read_object(path, remedy, error=TrajectoryError)
    world = require_declared(_World, found, where, remedy, error=TrajectoryError)
    if world.shop not in (None, task.fingerprint):
        raise TrajectoryError(
            f"{folder} was recorded in {world.task or 'another world'} (fingerprint {world.shop}), not in {task.spec} "
            f"({task.fingerprint}): record again, name the world of the recording, or learn from it all the same with "
            "--any-world"
        )


def recorded_before(out: Path, settings: Mapping[str, Any]) -> Iterator[Trajectory]:
    """The episodes that an earlier run left in its folder, oldest first; none in a new folder, which is claimed.

    ``settings`` decide what is recorded, ``RECORDED_IN`` aside. Raises ``SettingsError`` where the folder was begun
    with others.
    """
    begun = any(out.glob("part-*.arrows"))
    claim(out, settings, begun=begun, incidental=(RECORDED_IN,))
    return read_trajectories(out) if begun else iter(())


@contextmanager
def recording(out: Path, task: Task, title: str, total: int, done: int) -> Iterator[tuple[TrajectoryWriter, Progress]]:
    """A new part of a folder for episodes of a task, and a bar of ``total`` units, ``done`` of them by earlier runs.

    A run without an episode makes no part: a folder that is whole stays as it is.
    """
    with TrajectoryWriter(out, task.name, empty=False) as writer, progress(title, total) as bar:
        bar.resume(done)
        yield writer, bar
