"""One job at one place: a lock that a dead process does not keep.

Processes of a machine, and of machines whose file system shares locks, are kept apart by ``flock``: the system takes it
away with the process. For other storage the holder also leaves a lease: who it is, and a beat that changes every
``BEAT_S`` seconds. No two machines' clocks are compared: a lease is dead when its beat does not change while the
newcomer watches for ``WATCH_S``.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import NoReturn, Protocol
from uuid import uuid4

from rl_recsys.console.terminal import say
from rl_recsys.errors import UserError

LOCK = ".lock"  # in a folder that a job writes files into; beside one that it replaces as a whole: ".NAME.lock"
BEAT_S, WATCH_S, LOOK_EVERY_S = 5.0, 30.0, 1.0
SETTLE_S = 2.0  # where only leases tell two newcomers apart, the last to write its own has the place
HELD_BY_PARENT = "RL_RECSYS_OUT"  # variable of the processes of a job: the folder that it holds for them as well
_UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


class HeldError(UserError):
    """Another job writes to the same place; the message names it and the remedy."""


class Lease(Protocol):
    """Where the holder of a lock says that it lives. Any exception says that the storage cannot be asked now."""

    def read(self) -> bytes | None:
        """What the last holder wrote; None where there is none."""

    def write(self, data: bytes) -> None:
        """Replace it."""

    def remove(self) -> None:
        """Take it away."""


class FileLease:
    """A lease in the file that is locked itself."""

    def __init__(self, path: Path):
        self._path = path

    def read(self) -> bytes | None:
        """What the last holder wrote. A file that is opened anew is asked of a file server anew."""
        try:
            return self._path.read_bytes() or None
        except FileNotFoundError:
            return None

    def write(self, data: bytes) -> None:
        """Replace it in place: another file would not be the locked one."""
        with open(self._path, "r+b") as file:
            file.write(data)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """Take it away with the file."""
        self._path.unlink(missing_ok=True)


def lock_in(folder: Path) -> Path:
    """The lock file of a folder that a job writes files into."""
    return folder / LOCK


def lock_beside(target: Path) -> Path:
    """The lock file of a folder that a job replaces as a whole. Raises ``UserError`` for the root of a disk."""
    target = Path(os.path.realpath(target))
    if not target.name:
        raise UserError(f"{target} cannot be replaced as a whole; name a folder in it")
    return target.with_name(f".{target.name}{LOCK}")


@contextmanager
def held(path: Path, place: str, lease: Lease | None = None) -> Iterator[None]:
    """Hold the lock of a place by a lock file on this machine, and by a lease, which is in the same file by default.

    Raises ``HeldError`` where a living process has it. What a process of another machine left is watched before it is
    taken over. A holder that finds that another has taken over (it was suspended, or its storage was away) ends at
    once.
    """
    settles = lease is not None
    lease = FileLease(path) if lease is None else lease
    with _flocked(path, place, lease) as shared:
        mine = {
            "host": socket.gethostname(),
            "boot": _boot(),
            "pid": os.getpid(),
            "since": datetime.now().astimezone().isoformat(" ", "seconds"),
            "lock": os.path.realpath(path),
            "token": uuid4().hex,
        }
        left = lease.read()
        if left is not None and not (shared and _of_this_machine(left, mine)):
            _watch(left, lease, place)
        lease.write(_data(mine, 0))
        if settles or not shared:
            time.sleep(SETTLE_S)
            if _token(now := lease.read()) != mine["token"]:
                raise _refusal(now, place)
        ended = threading.Event()
        beating = threading.Thread(target=_beat, args=(mine, lease, place, ended), name="lock", daemon=True)
        beating.start()
        try:
            yield
        finally:
            ended.set()
            beating.join()
            with suppress(Exception):  # the storage is away, and says so elsewhere
                if _token(lease.read()) == mine["token"]:
                    lease.remove()


@contextmanager
def _flocked(path: Path, place: str, lease: Lease) -> Iterator[bool]:
    """Hold the lock of a file, where there are locks: yields whether."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            shared = _flock(descriptor)
            if shared is None:
                raise _refusal(lease.read(), place)
            if not _is(path, descriptor):  # the last holder took it away meanwhile
                continue
            try:
                yield shared
            finally:
                if _is(path, descriptor):
                    path.unlink()
            return
        finally:
            os.close(descriptor)


def _flock(descriptor: int) -> bool | None:
    """Lock a file: True, None where another process has it, False where its storage knows no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        if isinstance(error, BlockingIOError):
            return None
        raise
    return True


def _is(path: Path, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    return False


def _watch(left: bytes, lease: Lease, place: str) -> None:
    """Return once the lease was seen to be dead. Raises ``HeldError`` where it lives."""
    say(f"{place}: {_holder(left)} has not given it back; waiting {WATCH_S:.0f} s to see whether that still runs")
    end = time.monotonic() + WATCH_S
    while (rest := end - time.monotonic()) > 0:
        time.sleep(min(LOOK_EVERY_S, rest))
        now = lease.read()
        if now is None:
            return
        if now != left:
            raise _refusal(now, place)
    say(f"{place}: {_holder(left)} does not run any more; this job goes on")


def _beat(mine: dict, lease: Lease, place: str, ended: threading.Event) -> None:
    number = 0
    while not ended.wait(BEAT_S):
        number += 1
        with suppress(Exception):  # of whichever client asks the storage: it is tried again
            now = lease.read()
            if now is not None and _token(now) != mine["token"]:
                _end_as_taken_over(now, place)
            lease.write(_data(mine, number))


def _end_as_taken_over(lease: bytes, place: str) -> NoReturn:
    try:
        say(f"{place}: {_holder(lease)} has taken it over, as this job was not seen for long; this one ends")
    finally:  # whether or not anybody can be told
        os._exit(128 + signal.SIGTERM)  # at once: what is closed in order would be written over the other's


def _refusal(lease: bytes | None, place: str) -> HeldError:
    return HeldError(f"{place}: {_holder(lease)} writes there; wait for its end, end it, or name another --out")


def _data(mine: dict, beat: int) -> bytes:
    return json.dumps(mine | {"beat": beat}).encode()


def _parsed(lease: bytes | None) -> dict:
    """What a lease says; {} where it says nothing, as while it is being written."""
    with suppress(ValueError):
        found = json.loads(lease or b"{}")
        return found if isinstance(found, dict) else {}
    return {}


def _token(lease: bytes | None) -> str | None:
    return _parsed(lease).get("token")


def _holder(lease: bytes | None) -> str:
    found = _parsed(lease)
    if "pid" not in found:
        return "another process"
    return f"process {found['pid']} on {found.get('host')} (since {found.get('since')})"


def _of_this_machine(lease: bytes, mine: dict) -> bool:
    """Whether its holder would have had the same lock file locked, and so is dead."""
    found = _parsed(lease)
    return all(found.get(name) == mine[name] for name in ("host", "boot", "lock"))


def _boot() -> str:
    """What tells one start of this machine from another."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""
