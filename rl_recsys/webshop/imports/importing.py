"""An import: the sessions of files as a folder of trajectories, and what of them was left out, and why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rl_recsys.console.progress import progress
from rl_recsys.console.terminal import say
from rl_recsys.core.episode_counts import EpisodeCounts
from rl_recsys.core.trajectory import ImportedSessionError, TrajectoryWriter
from rl_recsys.core.trajectory_selection import KIND
from rl_recsys.errors import UserError
from rl_recsys.storage.files import require_new
from rl_recsys.storage.folders import whole_folder
from rl_recsys.webshop.imports.session_files import SessionReader

FILES_SHOWN = 20
PLACES_SHOWN = 3  # of sessions that are left out for one reason
_NAMES = re.compile(r"\d+|'[^']*'|\"[^\"]*\"")


class Refusals:
    """Sessions that were left out, by reason: reasons that differ in names and numbers only are told once."""

    def __init__(self) -> None:
        self.count = 0
        self._groups: dict[str, tuple[str, list[str]]] = {}

    def add(self, place: str, error: ImportedSessionError) -> None:
        """One more, and why."""
        self.count += 1
        reason = str(error)
        self._groups.setdefault(_NAMES.sub("", reason), (reason, []))[1].append(place)

    def lines(self) -> Iterator[str]:
        """A line a reason: the first places, and the reason of the first."""
        for reason, places in self._groups.values():
            more = f" and {len(places) - PLACES_SHOWN} more" if len(places) > PLACES_SHOWN else ""
            alike = ", or the like" if len(places) > 1 else ""
            yield f"{', '.join(places[:PLACES_SHOWN])}{more}: {reason}{alike}"


def import_sessions(files: Sequence[Path], reader: SessionReader, out: Path) -> tuple[EpisodeCounts, int]:
    """Write the sessions of files as trajectories into a new folder, whole or not at all.

    Says for each of the first files what was made of it, and which sessions were left out, and why. Returns the counts
    of the trajectories, and how many sessions were left out. Raises ``UserError`` where nothing could be imported.
    """
    counts, refusals = EpisodeCounts(), Refusals()
    require_new(out)
    with (
        whole_folder(out, kind=KIND) as aside,
        TrajectoryWriter(aside) as writer,
        progress("import") as task,
    ):
        for number, path in enumerate(files):
            imported_before, left_out_before = counts.episodes, refusals.count
            for session in reader.sessions(path):
                try:
                    trajectory = session.make()
                except ImportedSessionError as error:
                    refusals.add(f"{path}: {session.place}", error)
                    continue
                writer.append(trajectory)
                counts.add(trajectory)
                task.advance()
            if number < FILES_SHOWN:
                imported, left_out = counts.episodes - imported_before, refusals.count - left_out_before
                say(f"  {path}: {imported + left_out} sessions, {imported} imported, {left_out} left out")
        if len(files) > FILES_SHOWN:
            say(f"  and {len(files) - FILES_SHOWN} more files")
        for line in refusals.lines():
            say(f"  left out: {line}")
        if not counts.episodes:
            raise UserError(f"nothing was imported: {next(refusals.lines(), 'there is no session')}")
    return counts, refusals.count
