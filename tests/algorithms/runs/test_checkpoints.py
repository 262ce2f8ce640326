"""Checkpoints: whole or not there."""

from __future__ import annotations

import json
import pickle
import re
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from algorithms.runs.checkpoints import COMPLETE, CheckpointError, Checkpoints
from algorithms.runs.state_file import ARRAYS_FILE, TREE_FILE
from rl_recsys.storage.files import DiskFullError, checksum

ROOT = Path(__file__).parents[3]


def state_of(value):
    return {"value": value, "weights": np.zeros(40_000)}


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
    checkpoint = checkpoints.last()
    return (checkpoint.iteration, checkpoint.state()["value"]) if checkpoint else (0, None)


def test_the_newest_is_restored_and_two_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert restored(checkpoints) == (0, None)
    for iteration in (1, 2, 3):
        checkpoints.save(state_of(f"after {iteration}"), iteration)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["iteration-000002", "iteration-000003"]
    assert restored(checkpoints) == (3, "after 3")
    checkpoints.remove()
    assert not tmp_path.exists()


def test_names_are_ordered_as_numbers(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for iteration in (999_998, 999_999, 1_000_000, 1_000_001):
        checkpoints.save(state_of(iteration), iteration)
    assert restored(checkpoints) == (1_000_001, 1_000_001)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["iteration-1000000", "iteration-1000001"]


def harm(folder: Path, how: str) -> None:
    """Damage a checkpoint."""
    content = (folder / ARRAYS_FILE).read_bytes()
    if how == "cut":
        (folder / ARRAYS_FILE).write_bytes(content[:-1])
    elif how == "changed":
        (folder / ARRAYS_FILE).write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    elif how == "unlisted":
        (folder / COMPLETE).unlink()
    elif how == "listed as something else":
        (folder / COMPLETE).write_text("[1]")
    elif how == "listed by halves":
        (folder / COMPLETE).write_text('{"files": {}}')
    else:
        (folder / TREE_FILE).unlink()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("cut", f"{ARRAYS_FILE} has .* bytes instead of"),
        ("changed", f"{ARRAYS_FILE} has another checksum"),
        ("unlisted", f"{COMPLETE} is missing or damaged"),
        ("listed as something else", f"{COMPLETE} is missing or damaged"),
        ("listed by halves", f"{COMPLETE} does not list"),
        ("gone", f"{TREE_FILE} is missing"),
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(tmp_path, capsys, how, said):
    checkpoints = Checkpoints(tmp_path)
    for iteration in (9, 10):
        checkpoints.save(state_of(iteration), iteration)
    harm(tmp_path / "iteration-000010", how)
    assert restored(checkpoints) == (9, 9)
    assert re.search(f"iteration-000010: {said}.*: not used; iteration-000009 is whole", capsys.readouterr().out)
    checkpoints.save(state_of("again"), 10)
    assert restored(checkpoints) == (10, "again") and not capsys.readouterr().out
    for folder in tmp_path.iterdir():
        harm(folder, how)
    with pytest.raises(CheckpointError, match=f"no checkpoint is whole .*iteration-000010: {said}.*iteration-000009"):
        checkpoints.last()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_pickled_state_is_not_read(tmp_path):
    """A checkpoint as earlier versions wrote it, checksum and all, with something in it that runs when it is read."""

    class Planted:
        def __reduce__(self):
            return (Path(tmp_path, "ran").touch, ())

    folder = tmp_path / "iteration-000001"
    folder.mkdir()
    (folder / "state.pkl").write_bytes(pickle.dumps(Planted()))
    listed = {"bytes": (folder / "state.pkl").stat().st_size, "sha256": checksum(folder / "state.pkl")}
    (folder / COMPLETE).write_text(json.dumps({"iteration": 1, "files": {"state.pkl": listed}}))
    with pytest.raises(CheckpointError, match="state.pkl, by an older version, is not read.*Finish the run with that"):
        Checkpoints(tmp_path).last()
    assert not (tmp_path / "ran").exists() and (folder / "state.pkl").exists()


def test_a_kill_while_one_is_written_leaves_the_one_before(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state_of(1), 1)
    for moment in (
        "os.fsync",
        "algorithms.runs.checkpoints.write_json",
        "os.rename",
    ):  # half written, not listed, unnamed
        code = f"""
import os, signal, sys
from pathlib import Path
import algorithms.runs.checkpoints
{moment} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
algorithms.runs.checkpoints.Checkpoints(Path(sys.argv[1])).save(dict(value=2), 2)
"""
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=False)
        assert done.returncode == -signal.SIGKILL
        assert (tmp_path / ".unfinished").is_dir() and restored(checkpoints) == (1, 1)
    checkpoints.save(state_of(2), 2)
    assert restored(checkpoints) == (2, 2) and not (tmp_path / ".unfinished").exists()


def test_a_full_disk_is_named_and_the_last_checkpoint_stays(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    with room_for(10_000), pytest.raises(DiskFullError, match="no room to write it.*there is no checkpoint yet"):
        checkpoints.save(state_of(1), 1)
    checkpoints.save(state_of(1), 1)
    with room_for(10_000), pytest.raises(DiskFullError, match="Free some space; the last checkpoint, iteration-000001"):
        checkpoints.save(state_of(2), 2)
    assert [one.name for one in tmp_path.iterdir()] == ["iteration-000001"]
    assert restored(checkpoints) == (1, 1)
