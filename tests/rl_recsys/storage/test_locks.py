"""One job at one place: who holds it, what a dead holder leaves, and how another machine is told from this one."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rl_recsys.storage import locks
from rl_recsys.storage.locks import HeldError, held, lock_beside, lock_in

HOLDER = """
import os, sys, time
from pathlib import Path
from rl_recsys.storage import locks
locks.BEAT_S = 0.05
with locks.held(Path(sys.argv[1]), "there"):
    print("held", flush=True)
    if "silent" in sys.argv:
        sys.stdout.close()
        os.close(1)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(locks, "WATCH_S", 0.5)
    monkeypatch.setattr(locks, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(locks, "SETTLE_S", 0.1)


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of a folder, until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock_in(tmp_path))], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def of_another_machine(path: Path) -> None:
    """Make a lease look as if a process of another machine had left it."""
    path.write_text(json.dumps(json.loads(path.read_text()) | {"host": "other", "boot": "b"}))


def left_by_another_machine(path: Path) -> None:
    with held(path, "there"):
        lease = path.read_bytes()
    path.write_bytes(lease)
    of_another_machine(path)


def test_a_second_holder_is_refused_and_told_who_has_it(tmp_path, holder):
    said = rf"there: process {holder.pid} on \S+ \(since .+\) writes there; .*--out"
    with pytest.raises(HeldError, match=said), held(lock_in(tmp_path), "there"):
        pytest.fail("held twice")


def test_a_killed_holder_is_followed_at_once(tmp_path, holder, monkeypatch):
    monkeypatch.setattr(locks, "_watch", lambda *_: pytest.fail("it waited"))
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert lock_in(tmp_path).is_file()
    with held(lock_in(tmp_path), "there"):
        assert json.loads(lock_in(tmp_path).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_within_one_process_it_is_held_once_and_given_back_whatever_happens(tmp_path):
    with pytest.raises(ZeroDivisionError), held(lock_in(tmp_path), "there"):
        with pytest.raises(HeldError, match=f"process {os.getpid()}"), held(lock_in(tmp_path), "there"):
            pass
        raise ZeroDivisionError
    with held(lock_in(tmp_path), "there"):
        pass


def test_of_many_that_begin_at_once_one_has_it(tmp_path):
    had, refused, start = [], [], threading.Barrier(8)
    inside = threading.Lock()

    def one() -> None:
        start.wait()
        try:
            with held(lock_in(tmp_path), "there"):
                assert inside.acquire(blocking=False)
                had.append(1)
                time.sleep(0.2)
                inside.release()
        except HeldError:
            refused.append(1)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert had and len(had) + len(refused) == 8 and list(tmp_path.iterdir()) == []


def test_what_another_machine_left_is_watched_and_said_before_it_is_taken(tmp_path, capsys):
    path = lock_in(tmp_path)
    left_by_another_machine(path)
    with held(path, "there"):
        assert json.loads(path.read_text())["host"] != "other"
    said = capsys.readouterr().out
    assert "on other (since" in said and "waiting" in said and "this job goes on" in said


def test_a_living_lease_of_another_machine_is_not_taken(tmp_path, monkeypatch):
    """Where the file system does not share locks, only the beat tells that the holder lives."""
    path, ended = lock_in(tmp_path), threading.Event()
    monkeypatch.setattr(locks, "WATCH_S", 60.0)
    left_by_another_machine(path)

    def beat() -> None:
        while not ended.wait(0.05):
            now = json.loads(path.read_text()) | {"beat": time.monotonic()}
            locks.FileLease(path).write(json.dumps(now).encode())  # in place: never an empty file

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(HeldError, match="on other"), held(path, "there"):
            pytest.fail("taken")
    finally:
        ended.set()
        thread.join()


def test_storage_without_locks_has_the_lease_alone(tmp_path, monkeypatch, capsys):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(locks.fcntl, "flock", unsupported)
    monkeypatch.setattr(locks, "BEAT_S", 0.02)
    with (
        held(lock_in(tmp_path), "there"),
        pytest.raises(HeldError, match=f"process {os.getpid()}"),
        held(lock_in(tmp_path), "there"),
    ):
        pytest.fail("held twice")
    assert "waiting" in capsys.readouterr().out


def test_a_holder_that_was_taken_over_ends(tmp_path, holder):
    another = json.dumps({"pid": 1, "host": "other", "since": "now", "token": "another"})
    while holder.poll() is None:  # it may have read its own before and write it again
        lock_in(tmp_path).write_text(another)
        time.sleep(0.02)
    assert holder.returncode == 128 + signal.SIGTERM and "process 1 on other (since now)" in holder.stdout.read()


def test_a_holder_that_was_taken_over_ends_though_it_can_tell_nobody(tmp_path):
    path = lock_in(tmp_path)
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path), "silent"], stdout=subprocess.PIPE) as process:
        assert process.stdout.read() == b"held\n"  # to its end: it is closed now
        end = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < end:
            path.write_text(json.dumps({"pid": 1, "token": "another"}))
            time.sleep(0.02)
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM


class ClientError(Exception):
    """What the client of some bucket raises: no OSError."""


class BucketLease:
    """A lease of a bucket that cannot be asked while it is ``away``."""

    def __init__(self):
        self.data, self.away, self.refused = None, False, 0

    def _asked(self) -> None:
        if self.away:
            self.refused += 1
            raise ClientError("the token has expired")

    def read(self) -> bytes | None:
        self._asked()
        return self.data

    def write(self, data: bytes) -> None:
        self._asked()
        self.data = data

    def remove(self) -> None:
        self._asked()
        self.data = None


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_holder_beats_again_after_its_bucket_was_away(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT_S", 0.01)
    monkeypatch.setattr(locks, "SETTLE_S", 0.0)
    lease = BucketLease()
    with held(lock_in(tmp_path), "s3://there", lease):
        lease.away = True
        wait_until(lambda: lease.refused > 2)
        before, lease.away = lease.data, False
        wait_until(lambda: lease.data != before)
    assert lease.data is None


def test_a_job_that_cannot_give_its_lease_back_ends_as_it_would(tmp_path):
    lease = BucketLease()
    with pytest.raises(ZeroDivisionError), held(lock_in(tmp_path), "s3://there", lease):
        lease.away = True
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_folder_made_as_a_whole_lies_beside_it_and_follows_links(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "shop")
    assert lock_beside(tmp_path / "link") == tmp_path / "disk" / ".shop.lock"
