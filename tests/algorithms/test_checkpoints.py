"""Checkpoints: whole or not there."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from algorithms.checkpoints import COMPLETE, STATE, Checkpoints
from rl_recsys.files import DiskFullError

ROOT = Path(__file__).parents[2]


class Stateful:
    """As much of an algorithm as a checkpoint sees."""

    def __init__(self, value=None):
        self.value = value

    def get_state(self):
        return {"value": self.value, "weights": np.zeros(40_000)}

    def set_state(self, state):
        self.value = state["value"]


@contextmanager
def room_for(size: int):
    """Let no file grow beyond ``size`` bytes: the operating system refuses more, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def restored(checkpoints):
    algorithm = Stateful()
    return checkpoints.restore(algorithm), algorithm.value


def test_the_newest_is_restored_and_two_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert restored(checkpoints) == (0, None) and checkpoints.iteration == 0
    for iteration in (1, 2, 3):
        checkpoints.save(Stateful(f"after {iteration}"), iteration)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["iteration-000002", "iteration-000003"]
    assert restored(checkpoints) == (3, "after 3")
    checkpoints.remove()
    assert not tmp_path.exists()


@pytest.mark.parametrize("harm", ["cut", "changed", "unlisted", "gone"])
def test_a_checkpoint_that_was_copied_by_halves_is_not_used(tmp_path, harm):
    checkpoints = Checkpoints(tmp_path)
    for iteration in (1, 2):
        checkpoints.save(Stateful(iteration), iteration)
    newest = tmp_path / "iteration-000002"
    content = (newest / STATE).read_bytes()
    if harm == "cut":
        (newest / STATE).write_bytes(content[:-1])
    elif harm == "changed":
        (newest / STATE).write_bytes(content[:-1] + b"!")
    elif harm == "unlisted":
        (newest / COMPLETE).unlink()
    else:
        (newest / STATE).unlink()
    assert restored(checkpoints) == (1, 1)
    checkpoints.save(Stateful("again"), 2)
    assert restored(checkpoints) == (2, "again")


def test_a_kill_while_one_is_written_leaves_the_one_before(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(Stateful(1), 1)
    for moment in ("os.fsync", "algorithms.checkpoints.write_json", "os.rename"):  # half written, not listed, unnamed
        code = f"""
import os, signal, sys
from pathlib import Path
import algorithms.checkpoints
{moment} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
class Stateful:
    get_state = staticmethod(lambda: dict(value=2))
algorithms.checkpoints.Checkpoints(Path(sys.argv[1])).save(Stateful(), 2)
"""
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=False)
        assert done.returncode == -signal.SIGKILL
        assert (tmp_path / ".unfinished").is_dir() and restored(checkpoints) == (1, 1)
    checkpoints.save(Stateful(2), 2)
    assert restored(checkpoints) == (2, 2) and not (tmp_path / ".unfinished").exists()


def test_a_full_disk_is_named_and_the_last_checkpoint_stays(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    with room_for(10_000), pytest.raises(DiskFullError, match="no room to write it.*there is no checkpoint yet"):
        checkpoints.save(Stateful(1), 1)
    checkpoints.save(Stateful(1), 1)
    with room_for(10_000), pytest.raises(DiskFullError, match="Free some space; the last checkpoint, iteration-000001"):
        checkpoints.save(Stateful(2), 2)
    assert [one.name for one in tmp_path.iterdir()] == ["iteration-000001"]
    assert restored(checkpoints) == (1, 1)
