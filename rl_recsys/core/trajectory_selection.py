"""Some of the episodes of several folders: counted by their authors, or put together in one folder."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rl_recsys.console.progress import progress
from rl_recsys.core.episode_counts import EpisodeCounts
from rl_recsys.core.trajectory import SOURCES, Trajectory, TrajectoryWriter, read_trajectories
from rl_recsys.core.trajectory_parts import TrajectoryError, parts_of, was_ended
from rl_recsys.storage.files import require_new
from rl_recsys.storage.folders import whole_folder
from rl_recsys.storage.locations import Place, local_folder

KIND = "set of trajectories"  # what a folder that was written whole says that it is


class Origin(NamedTuple):
    """Where an episode was read, who acted (one of ``SOURCES``), and by which policy or file."""

    folder: str
    source: str
    author: str


class TrajectorySelection:
    """The episodes of some sources, of at least ``minimum_reward``, and for which ``condition`` holds if there is one.

    ``counts`` has those that were read. With ``salvage`` damaged episodes are left out, and listed in ``damage``;
    without it the first raises ``TrajectoryError``, as ``read_trajectories`` does. ``repeated`` says how many of those
    that were read equal one before them.
    """

    def __init__(
        self,
        folders: Sequence[Place],
        *,
        sources: Iterable[str] = SOURCES,
        minimum_reward: float = 0.0,
        condition: Callable[[Trajectory], bool] | None = None,
        salvage: bool = False,
    ):
        self.counts: dict[Origin, EpisodeCounts] = defaultdict(EpisodeCounts)
        self.damage: list[TrajectoryError] = []
        self.repeated = 0
        self._digests: set[bytes] = set()
        self._folders, self._sources, self._minimum_reward = folders, tuple(sources), minimum_reward
        self._condition, self._salvage = condition, salvage

    def __iter__(self) -> Iterator[Trajectory]:
        """The episodes, folder after folder, each counted."""
        skip = self.damage.append if self._salvage else None
        with progress("trajectories") as task:
            for folder in self._folders:
                for trajectory in read_trajectories(
                    folder, sources=self._sources, minimum_reward=self._minimum_reward, skip=skip
                ):
                    task.advance()
                    if self._condition is None or self._condition(trajectory):
                        origin = Origin(str(folder), trajectory.source, Path(trajectory.author).name)
                        self.counts[origin].add(trajectory)
                        self._compare(trajectory)
                        yield trajectory

    def _compare(self, trajectory: Trajectory) -> None:
        digest = hashlib.blake2b(repr(trajectory.to_row()).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        self.repeated += digest in self._digests
        self._digests.add(digest)

    def count(self) -> None:
        """Read and count them."""
        for _ in self:
            pass

    def write(self, out: Path) -> None:
        """Put them into a new folder, which is written whole or not at all. Raises ``UserError`` for one there is."""
        require_new(out)
        with whole_folder(out, kind=KIND) as aside, TrajectoryWriter(aside) as writer:
            for trajectory in self:
                writer.append(trajectory)

    def unended_parts(self) -> list[Path]:
        """The parts of the folders whose writers were killed, or still write."""
        return [part for folder in self._folders for part in parts_of(local_folder(folder)) if not was_ended(part)]
