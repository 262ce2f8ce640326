"""The checkpoints of a training run: each whole or not there, whatever happens while it is written."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from rl_recsys.files import checksum, full_disk_named, read_json, write_json

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm import Algorithm

STATE, COMPLETE = "state.pkl", "complete.json"
KEPT = 2


class Checkpoints:
    """Folders iteration-NNNNNN, of which the last ``KEPT`` stay.

    The driver writes one file: all state comes to it through Ray, so no learner's disk matters. (RLlib's own
    ``save_to_path`` has a remote learner write its part on its own node and does not look whether it could.) A
    checkpoint is written aside, renamed, and listed with its checksum: one that was copied by halves is not used.
    """

    def __init__(self, root: Path):
        self._root = root

    def save(self, algorithm: Algorithm, iteration: int) -> None:
        """Write one. Raises ``DiskFullError`` where there is no room; those before it stay."""
        aside, target = self._root / ".unfinished", self._root / f"iteration-{iteration:06d}"
        shutil.rmtree(aside, ignore_errors=True)
        state = algorithm.get_state()
        before = self._all()
        intact = f"the last checkpoint, {before[-1].name}, is whole" if before else "there is no checkpoint yet"
        try:
            with full_disk_named(self._root, f"{intact}; the same command goes on from there"):
                aside.mkdir(parents=True)
                with open(aside / STATE, "wb") as file:
                    pickle.dump(state, file, protocol=pickle.HIGHEST_PROTOCOL)
                    file.flush()
                    os.fsync(file.fileno())
                listed = {"bytes": (aside / STATE).stat().st_size, "sha256": checksum(aside / STATE)}
                write_json(aside / COMPLETE, {"iteration": iteration, "files": {STATE: listed}})
                shutil.rmtree(target, ignore_errors=True)
                os.rename(aside, target)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        for old in self._all()[:-KEPT]:
            shutil.rmtree(old)

    def last(self) -> Path | None:
        """The newest whole checkpoint."""
        return next((folder for folder in reversed(self._all()) if _whole(folder)), None)

    @property
    def iteration(self) -> int:
        """Of the newest whole checkpoint; 0 where there is none."""
        last = self.last()
        return int(last.name.rpartition("-")[2]) if last else 0

    def restore(self, algorithm: Algorithm) -> int:
        """Give an algorithm the newest state there is; returns its iteration, 0 where there is none."""
        last = self.last()
        if last is None:
            return 0
        with open(last / STATE, "rb") as file:
            algorithm.set_state(pickle.load(file))
        return self.iteration

    def remove(self) -> None:
        """Remove all of them: hundreds of megabytes each, of no use once the policy is written."""
        shutil.rmtree(self._root, ignore_errors=True)

    def _all(self) -> list[Path]:
        return sorted(self._root.glob("iteration-*"))


def _whole(folder: Path) -> bool:
    """Whether all files that a checkpoint lists are there as they were written."""
    listed = read_json(folder / COMPLETE)
    if listed is None:
        return False
    return all(
        (folder / name).is_file()
        and (folder / name).stat().st_size == entry["bytes"]
        and checksum(folder / name) == entry["sha256"]
        for name, entry in listed["files"].items()
    )
