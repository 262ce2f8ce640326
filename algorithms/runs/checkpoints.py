"""The checkpoints of a training run: each whole or not there, whatever happens while it is written."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algorithms.runs.state_file import STATE_FILES, StateError, read_state, write_state
from rl_recsys.console.terminal import say
from rl_recsys.errors import UserError
from rl_recsys.storage.files import checksum, file_entry, full_disk_named, read_object, write_json
from rl_recsys.storage.locations import place_of

COMPLETE = "complete.json"
PICKLED = "state.pkl"  # of versions that wrote the state so: reading it would run whatever somebody put into it
KEPT = 2
_NAME = re.compile(r"iteration-(\d+)")


class CheckpointError(UserError):
    """There are checkpoints and none can be gone on from; the message names each with its damage, and the remedy."""


@dataclass(frozen=True)
class Checkpoint:
    """The folder of a checkpoint, and the iterations that were done when it was written."""

    folder: Path
    iteration: int

    def state(self) -> Any:
        """The algorithm's state. Raises ``StateError``."""
        return read_state(self.folder)


class Checkpoints:
    """Folders iteration-NNNNNN, of which the last ``KEPT`` stay.

    The driver writes them alone: all state comes to it through Ray, so no learner's disk matters. (RLlib's own
    ``save_to_path`` has a remote learner write its part on its own node and does not look whether it could.) A
    checkpoint is written aside, renamed, and listed with its checksums: one that was copied by halves is not used.
    """

    def __init__(self, root: Path):
        self._root = root

    def save(self, state: Any, iteration: int) -> None:
        """Write one. Raises ``DiskFullError`` where there is no room; those before it stay."""
        aside, target = self._root / ".unfinished", self._root / f"iteration-{iteration:06d}"
        shutil.rmtree(aside, ignore_errors=True)
        before = [one for one in self._all() if one.iteration < iteration]
        intact = f"the last checkpoint, {before[-1].folder.name}, is whole" if before else "there is no checkpoint yet"
        try:
            with full_disk_named(self._root, f"{intact}; the same command goes on from there"):
                aside.mkdir(parents=True)
                write_state(aside, state)
                listed = {name: file_entry(aside / name) for name in STATE_FILES}
                write_json(aside / COMPLETE, {"iteration": iteration, "files": listed})
                shutil.rmtree(target, ignore_errors=True)
                os.rename(aside, target)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        for old in before[: -(KEPT - 1)]:
            shutil.rmtree(old.folder)

    def last(self) -> Checkpoint | None:
        """The newest whole checkpoint, None where there is none at all; says which newer ones are damaged, and how.

        Raises ``CheckpointError`` where there are some, and all of them are damaged.
        """
        damaged = []
        for checkpoint in reversed(self._all()):
            damage = _damage(checkpoint.folder)
            if not damage:
                for said in damaged:
                    say(f"{said}: not used; {checkpoint.folder.name} is whole")
                return checkpoint
            damaged.append(f"{place_of(checkpoint.folder)}: {damage}")
        if damaged:
            raise CheckpointError(
                f"no checkpoint is whole ({'; '.join(damaged)}). Nothing was changed: copy one of them again, or train "
                "in another --out"
            )
        return None

    def remove(self) -> None:
        """Remove all of them: hundreds of megabytes each, of no use once the policy is written."""
        shutil.rmtree(self._root, ignore_errors=True)

    def _all(self) -> list[Checkpoint]:
        """The oldest first."""
        names = [(folder, _NAME.fullmatch(folder.name)) for folder in self._root.glob("iteration-*")]
        found = [Checkpoint(folder, int(name[1])) for folder, name in names if name]
        return sorted(found, key=lambda one: one.iteration)


def _damage(folder: Path) -> str:
    """What is not as a checkpoint's list of its files says; "" for a whole one."""
    try:
        files = read_object(folder / COMPLETE, "", error=StateError)["files"]
        if PICKLED in files:
            return f"{PICKLED}, by an older version, is not read: it could run code. Finish the run with that version"
        for name in STATE_FILES:
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != files[name]["bytes"]:
                return f"{name} has {path.stat().st_size} bytes instead of {files[name]['bytes']}"
            if checksum(path) != files[name]["sha256"]:
                return f"{name} has another checksum than {COMPLETE} says"
    except StateError:
        return f"{COMPLETE} is missing or damaged"
    except (KeyError, TypeError):
        return f"{COMPLETE} does not list the files"
    return ""
