"""Folders that were checked whole on this machine: a folder is read through once, and again when it changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rl_recsys.console.terminal import say
from rl_recsys.errors import UserError
from rl_recsys.storage.files import write_text
from rl_recsys.storage.locations import cache_folder, fetch_again


def verify_once(
    folder: Path, files: Callable[[], list[Path]], verify: Callable[[], None], *, again: bool = False
) -> None:
    """Call ``verify`` unless it passed on this machine since any of a folder's ``files`` changed.

    A file has changed when its length, time of change or inode has. What passed is remembered in the user's cache,
    one small file a folder; where that cannot be written the folder is verified by every process. ``again`` verifies
    in any case. What does not pass in this node's copy of a URI is fetched again, once. Raises what ``verify`` raises,
    and OSError for a file that is not there.
    """
    try:
        _verify_once(folder, files, verify, again=again)
    except (UserError, OSError) as error:
        uri = fetch_again(folder)
        if uri is None:
            raise
        say(f"{error}: fetched again from {uri}")
        try:
            _verify_once(folder, files, verify, again=again)
        except UserError as error:
            raise type(error)(
                f"{error}; {folder} is this node's copy of {uri}, and what is there is no better"
            ) from None


def _verify_once(folder: Path, files: Callable[[], list[Path]], verify: Callable[[], None], *, again: bool) -> None:
    stamp = cache_folder() / "verified" / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]
    state = _state(files())
    with suppress(OSError):
        if not again and stamp.read_text() == state:
            return
    verify()
    with suppress(OSError):
        if _state(files()) == state:  # else it was changed or replaced meanwhile
            stamp.parent.mkdir(parents=True, exist_ok=True)
            write_text(stamp, state)


def _state(files: list[Path]) -> str:
    found = [(path.name, *_of(path.stat())) for path in files]
    return hashlib.sha256(repr(found).encode()).hexdigest()


def _of(status) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino
