"""Folders that are made whole or not at all, that say what they are, and that replace only what this project made.

Such a folder has a ``CONTENTS`` file: its kind ("shop", "policy", ...) and each file's length and sha256. It tells a
folder of ours from one that somebody else keeps there, and a damaged file from a whole one.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath, PureWindowsPath

from rl_recsys.errors import UserError
from rl_recsys.storage.files import are_file_entries, checksum, file_entry, read_json, read_object, write_json

CONTENTS = "contents.json"
_MAKER = "maker.json"  # in a folder that is being made, beside what it becomes
_NEW, _OLD = "new", "old-"
_SHOWN = 3  # names in a message

#: The names of a folder's files, for a folder of a version that wrote no ``CONTENTS``; None for any other folder. An
#: empty folder in it may be named as well, with a "/" at the end.
Unlisted = Callable[[Path], Collection[str] | None]


class FolderError(UserError):
    """A folder is not what it has to be; the message names it, the file and the remedy. Nothing was changed."""


class DamageError(UserError):
    """A file is not as it was written; the message names it, what differs and the remedy."""


def within(folder: Path, name: str) -> Path:
    """The path of a name that came from elsewhere (a bucket, a listing, a flag) and must stay in ``folder``.

    Raises ``FolderError`` for a name that could lead out of it: absolute, with "..", a drive, or a backslash.
    """
    parts = name.split("/")
    if "\\" in name or "\0" in name or PureWindowsPath(name).drive or {"", ".", ".."}.intersection(parts):
        raise FolderError(f"{name!r} cannot be the name of a file in {folder}: it could lie outside of it")
    return folder.joinpath(*parts)


@contextmanager
def whole_folder(target: str | Path, *, kind: str, unlisted: Unlisted = lambda folder: None) -> Iterator[Path]:
    """Yield an empty folder that takes the place of ``target``, with its ``CONTENTS``, when the block ends well.

    A block that fails leaves ``target`` as it was; a kill leaves the old one, or for an instant none, never half.
    Several may build the same target at once: the last to end has its place. Of a symbolic link the folder is replaced
    that it points to. No empty folder in it is kept. Raises ``FolderError``, before the block, where
    ``require_replaceable`` does.
    """
    target = Path(os.path.realpath(target))
    require_replaceable(target, kind=kind, unlisted=unlisted)
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target)
    with _beside(target, kind) as aside:
        new = aside / _NEW
        new.mkdir()
        yield new
        _remove_empty_folders(new)  # none is listed, so each is somebody else's
        files = {name: file_entry(new / name) for name in sorted(_names(new))}
        write_json(new / CONTENTS, {"kind": kind, "files": files})
        require_replaceable(target, kind=kind, unlisted=unlisted)  # meanwhile somebody may have put files there
        _swap(new, target, aside)


def require_replaceable(target: str | Path, *, kind: str, unlisted: Unlisted = lambda folder: None) -> None:
    """Raise ``FolderError`` unless a new folder of this kind may stand at ``target``.

    It may where there is nothing, an empty folder, or a folder of the same kind that this project made and that holds
    nothing else, not even an empty folder.
    """
    target = Path(os.path.realpath(target))
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise FolderError(f"{target} is a file: it is left as it is; name a folder")
    found = _names(target)
    if not found:
        return
    listing = _listing(target)
    if listing is not None and listing["kind"] != kind:
        raise FolderError(f"{target} holds a {listing['kind']}, not a {kind}: it is left as it is; name another folder")
    known = {CONTENTS, *listing["files"]} if listing is not None else unlisted(target)
    if known is None:
        raise FolderError(
            f"{target} holds files that are no {kind} of this project ({_shown(found)}): they are left as they are; "
            "name a folder that is not there yet"
        )
    folders = {f"{parent.as_posix()}/" for name in known for parent in PurePosixPath(name).parents}
    if others := found.difference(known, folders):
        raise FolderError(
            f"{target} holds files that do not belong to the {kind} in it ({_shown(others)}): it is left as it is; "
            "move them away, or name another folder"
        )


def verify_folder(folder: Path, remedy: str) -> bool:
    """Compare every file with the folder's ``CONTENTS``: reads all of them.

    Returns False where there is no ``CONTENTS``, as in folders of earlier versions. Raises ``DamageError`` naming the
    first file that is missing or differs, and the ``remedy``.
    """
    if not (folder / CONTENTS).is_file():
        return False
    for name, entry in read_contents(folder, remedy).items():
        verify_file(within(folder, name), entry, remedy)
    return True


def verify_file(path: Path, entry: Mapping, remedy: str) -> None:
    """Raise ``DamageError``, with the ``remedy``, for a file that is missing or not as its ``entry`` describes it."""
    if not path.is_file():
        raise DamageError(f"{path}: missing; {remedy}")
    if path.stat().st_size != entry["bytes"]:
        raise DamageError(f"{path}: {path.stat().st_size} bytes, expected {entry['bytes']}; {remedy}")
    if checksum(path) != entry["sha256"]:
        raise DamageError(f"{path}: damaged (its checksum differs); {remedy}")


def read_contents(folder: Path, remedy: str) -> dict[str, dict]:
    """File name -> {"bytes", "sha256"} by a folder's ``CONTENTS``. Raises ``DamageError`` where it cannot be read."""
    read_object(folder / CONTENTS, remedy, error=DamageError)
    listing = _listing(folder)
    if listing is None:
        raise DamageError(f"{folder / CONTENTS}: damaged (it lists no files); {remedy}")
    return listing["files"]


def kind_of(folder: Path) -> str | None:
    """What a folder says that it is; None where it says nothing."""
    listing = _listing(folder)
    return None if listing is None else listing["kind"]


def digest_of(folder: Path) -> str | None:
    """A short digest of what a folder's ``CONTENTS`` lists: equal where the files are. None where nothing is listed."""
    listing = _listing(folder)
    if listing is None:
        return None
    files = {name: entry["sha256"] for name, entry in sorted(listing["files"].items())}
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]


def _listing(folder: Path) -> dict | None:
    found = read_json(folder / CONTENTS)
    right = isinstance(found, dict) and are_file_entries(found.get("files")) and isinstance(found.get("kind"), str)
    return found if right else None


def _names(folder: Path) -> set[str]:
    """All files, links to folders among them, and empty folders, with a "/" at the end.

    Raises OSError for what cannot be looked into.
    """
    found = set()
    for root, folders, files in os.walk(folder, onerror=_raise):
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        found.update(Path(root, name).relative_to(folder).as_posix() for name in (*files, *links))
        if not folders and not files and root != str(folder):
            found.add(f"{Path(root).relative_to(folder).as_posix()}/")
    return found


def _remove_empty_folders(folder: Path) -> None:
    for root, folders, _ in os.walk(folder, topdown=False):
        for name in folders:
            with suppress(OSError):  # not empty, or a link
                os.rmdir(os.path.join(root, name))


def _raise(error: OSError) -> None:
    raise error


def _shown(names: Collection[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(sorted(names)[:_SHOWN]) + more


@contextmanager
def _beside(target: Path, kind: str) -> Iterator[Path]:
    """A folder beside ``target`` for what it becomes; a marker in it says whose it is, a lock on that it is in use."""
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        unnamed = aside / f".{_MAKER}"
        write_json(unnamed, {"target": target.name, "kind": kind})
        with _locked(unnamed):  # before it has its name: nobody finds a marker without its lock
            os.rename(unnamed, aside / _MAKER)
            yield aside
    finally:
        _clear(aside, target)


def _swap(new: Path, target: Path, aside: Path) -> None:
    for number in itertools.count():
        try:
            os.rename(new, target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        with suppress(FileNotFoundError):  # another took it away to put its own there
            os.rename(target, aside / f"{_OLD}{number}")


def _remove_abandoned(target: Path) -> None:
    """Remove what a kill left beside ``target``."""
    for aside in target.parent.glob(f".{glob.escape(target.name)}-*"):
        marker = read_json(aside / _MAKER)
        if not isinstance(marker, dict) or marker.get("target") != target.name:
            continue  # not of ours
        with suppress(OSError), _locked(aside / _MAKER):  # not where somebody is building it
            _clear(aside, target)


def _clear(aside: Path, target: Path) -> None:
    """Remove a folder that something was made in; where that ended between the two steps of a swap, end the swap."""
    if any(aside.glob(f"{_OLD}*")) and not os.path.lexists(target):
        os.rename(aside / _NEW, target)
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock on a file, which goes with the process. Raises OSError where another has it."""
    descriptor = os.open(path, os.O_RDWR)  # to write: NFS locks no file that was opened to read
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
