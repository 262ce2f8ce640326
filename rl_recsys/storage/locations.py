"""Folders on shared storage: wherever a folder's path may stand, so may the URI of one in a bucket.

A *place* is a local path or a URI: s3://bucket/shop, gs://bucket/runs/a, hdfs://..., file:///mnt/share/shop, or any
other scheme that fsspec knows. What is read is copied to the node that reads it, once for all its processes; what is
written is written on this node and copied from there.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import platformdirs
import pyarrow as pa
from pyarrow import fs

from rl_recsys.console.progress import phase
from rl_recsys.console.terminal import say
from rl_recsys.errors import UserError
from rl_recsys.storage.files import full_disk_named, link_or_copy, read_json
from rl_recsys.storage.folders import whole_folder, within
from rl_recsys.storage.locks import LOCK, held

Place = str | Path
INDEX = ".index.json"  # of a folder that a job writes: the files that were whole when it was last copied
COPY_EVERY_S = 15.0
LOOK_EVERY_S = 30.0  # a process asks the storage again only after so long
_looked: dict[str, float] = {}
_copies: dict[Path, str] = {}  # this process's copies of URIs that it reads
_working: dict[Path, str] = {}  # this process's local folders of URIs that it writes to
_unwritable: set[Path] = set()  # cache folders of which that was said

Entries = dict[str, tuple[int, int]]  # name -> (bytes, time of change in ns)


class StorageError(UserError):
    """A place cannot be read or written; the message names it and the reason."""


def is_uri(place: Place) -> bool:
    """Whether a place is a URI."""
    return "://" in str(place)


def absolute(place: Place) -> str:
    """A place as every process knows it, whatever directory it runs in."""
    return str(place) if is_uri(place) else os.path.realpath(expanded(place))


def is_of_places(hint: Any) -> bool:
    """Whether a type hint is of a place or of several, as ``tuple[Place, ...] | None`` is."""
    return hint is Path or any(map(is_of_places, get_args(hint)))


def of_each(change: Callable[[Place], Any], places: Place | tuple[Place, ...]) -> Any:
    """What ``change`` makes of a place, or of each of several."""
    return tuple(map(change, places)) if isinstance(places, tuple) else change(places)


def expanded(place: Place) -> Place:
    """A place with the home folder for a "~" at its start; a path that is called so is written "./~"."""
    return place if is_uri(place) else type(place)(os.path.expanduser(place))


def same_place(one: Place, other: Place) -> bool:
    """Whether two names are of one folder: however a path or its file URI is spelled."""

    def spelled(place: Place) -> str:
        return absolute(str(place).removeprefix("file://")).rstrip("/")

    return spelled(one) == spelled(other)


def place_of(path: Place) -> str:
    """What the user calls a path: in the local folder of a URI that is written to, the URI of it."""
    for folder, uri in _working.items():
        if not is_uri(path) and Path(path).is_relative_to(folder):
            return f"{uri}/{Path(path).relative_to(folder).as_posix()}".removesuffix("/.")
    return str(path)


def inside(place: Place, name: str) -> Place:
    """The place of something in a folder."""
    return f"{str(place).rstrip('/')}/{name}" if is_uri(place) else Path(place) / name


def local_folder(place: Place) -> Path:
    """The folder of a place: itself, or this node's copy of what is at the URI now.

    Only files that changed, there or here, are copied again; processes that have the old ones open keep them. Raises
    ``StorageError``.
    """
    if not is_uri(place):
        return Path(expanded(place))
    uri = str(place).rstrip("/")
    folder = within(cache_folder() / "copies" / _digest(uri), PurePosixPath(uri).name)
    if time.monotonic() - _looked.get(uri, -LOOK_EVERY_S) >= LOOK_EVERY_S or not folder.is_dir():
        _fetch(uri, folder)
    return folder


def fetch_again(folder: Path) -> str | None:
    """Copy all files anew into a folder that ``local_folder`` returned; the URI of it, or None for one of no URI."""
    uri = _copies.get(folder)
    if uri is not None:
        _fetch(uri, folder, anew=True)
    return uri


def _fetch(uri: str, folder: Path, *, anew: bool = False) -> None:
    root = folder.parent.parent
    with full_disk_named(root, "XDG_CACHE_HOME names another place for copies"):
        root.mkdir(parents=True, exist_ok=True)
        with open(root / f"{folder.parent.name}.json", "a+b") as known:
            fcntl.flock(known, fcntl.LOCK_EX)  # processes of a node wait for one copy
            _bring_up_to_date(uri, folder, Path(known.name), anew=anew)
    _looked[uri], _copies[folder] = time.monotonic(), uri


def cache_folder() -> Path:
    """This user's folder for what can be made again; one for temporary files where the home cannot be written to.

    Where neither can be written to it is the first, so that the one who writes there is told.
    """
    folder = platformdirs.user_cache_path("rl-recsys")
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    try:
        temporary = _temporary_folder()
    except StorageError:
        return folder
    if folder not in _unwritable:
        _unwritable.add(folder)
        say(f"{folder} cannot be written to, so copies go to {temporary}; XDG_CACHE_HOME names another place")
    return temporary


def _temporary_folder() -> Path:
    """One of this user's, that all his processes on the machine know and nobody else can put anything into."""
    folder = Path(tempfile.gettempdir()) / f"rl-recsys-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise StorageError(f"{folder}: cannot be made ({error.strerror}); set TMPDIR, or XDG_CACHE_HOME") from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise StorageError(f"{folder} is open to others; remove it, or set TMPDIR, or XDG_CACHE_HOME, to another place")
    return folder


def _digest(uri: str) -> str:
    return hashlib.sha256(uri.encode()).hexdigest()[:16]


def _bring_up_to_date(uri: str, folder: Path, known: Path, *, anew: bool) -> None:
    with _named(uri, "read"):
        storage, root = _open(uri)
        entries = _entries(storage, root)
    if not entries:
        raise StorageError(f"{uri}: nothing is there")
    before = {} if anew else _as_fetched(folder, read_json(known))
    if before == entries:
        return
    copying = whole_folder(folder.parent, kind="copy", unlisted=_names_in)  # its own list may be what was damaged
    with phase(f"copying {uri}"), _named(uri, "read"), copying as aside:
        for name, entry in entries.items():
            path = within(aside / folder.name, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if before.get(name) == entry:
                link_or_copy(folder / name, path)
            else:
                _download(storage, f"{root}/{name}", path)
    fetched = {name: (*entry, *_change(within(folder, name))) for name, entry in entries.items()}
    known.write_text(json.dumps(fetched))  # in place: another file would not be the locked one


def _as_fetched(folder: Path, known: object) -> Entries:
    """What a copy has of what was fetched into it, less what was removed or changed in it since, by hand or by a
    cleaner of temporary files. ``known``: name -> length and time of change there, and then here."""
    found: Entries = {}
    for name, entry in known.items() if isinstance(known, dict) else ():
        with suppress(OSError, TypeError, ValueError):
            size, changed, *here = entry
            if tuple(here) == _change(within(folder, name)):
                found[name] = size, changed
    return found


def _change(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _names_in(folder: Path) -> set[str]:
    """All of a folder's files and folders, these with a "/" at the end."""
    return {f"{path.relative_to(folder).as_posix()}{'/' if path.is_dir() else ''}" for path in folder.rglob("*")}


@contextmanager
def working_folder(place: Place, *, meanwhile: bool = True) -> Iterator[Path]:
    """A local folder for what a job writes to a place: for a path it is the path.

    For a URI it begins with what is there and is copied there at the end, however the block ends, and ``meanwhile``
    every ``COPY_EVERY_S`` seconds. A kill in the middle of a copy leaves what the last whole copy had: files go before
    the index that names them, and files that are gone here go there after it. Raises ``StorageError``; where the end
    could not be copied it names the folder, which is kept then.
    """
    if not is_uri(place):
        yield Path(expanded(place))
        return
    uri = str(place).rstrip("/")
    above = Path(os.path.realpath(tempfile.mkdtemp(prefix="rl-recsys-")))
    folder = within(above, PurePosixPath(uri).name)
    folder.mkdir()
    _working[folder] = uri
    try:
        mirror = _Mirror(uri, folder)
        with phase(f"fetching {uri}", at_once=False):
            mirror.fetch()
        say(f"{uri}: written on this node, and copied {f'every {COPY_EVERY_S:.0f} s and ' * meanwhile}at the end")
        try:
            with mirror.kept_up() if meanwhile else nullcontext():
                yield folder
        finally:
            _copy_at_the_end(mirror, folder)
            say(f"{uri}: all is there")
    except _NotCopiedError:
        raise
    except BaseException:
        shutil.rmtree(above, ignore_errors=True)
        raise
    finally:
        del _working[folder]
    shutil.rmtree(above, ignore_errors=True)


class _NotCopiedError(StorageError):
    """What was made is still in the local folder."""


def _copy_at_the_end(mirror: _Mirror, folder: Path) -> None:
    try:
        mirror.copy()
    except StorageError as error:
        raise _NotCopiedError(f"{error}; what was made is in {folder}, copy it from there") from error


@contextmanager
def uri_lock(uri: str) -> Iterator[None]:
    """Keep other jobs from writing to a URI meanwhile. Raises ``HeldError``, ``StorageError``."""
    with ExitStack() as stack:
        with _named(uri, "written"):
            storage, root = _open(uri.rstrip("/"))
            path = _temporary_folder() / f"{_digest(uri.rstrip('/'))}{LOCK}"
            stack.enter_context(held(path, uri, _ObjectLease(storage, f"{root}/{LOCK}")))
        yield


class _ObjectLease:
    """The lease of a lock as an object."""

    def __init__(self, storage: fs.FileSystem, path: str):
        self._storage, self._path = storage, path

    def read(self) -> bytes | None:
        try:
            with self._storage.open_input_stream(self._path) as stream:
                return stream.read() or None
        except FileNotFoundError:
            return None

    def write(self, data: bytes) -> None:
        with _writing(self._storage, self._path) as stream:
            stream.write(data)

    def remove(self) -> None:
        self._storage.delete_file(self._path)


def names_at(uri: str) -> set[str]:
    """The names of all files at a URI. Raises ``StorageError``."""
    with _named(uri, "read"):
        return set(_entries(*_open(uri.rstrip("/"))))


class _Mirror:
    """A local folder and its copy at a URI."""

    def __init__(self, uri: str, folder: Path):
        self._uri, self._folder = uri, folder
        with _named(uri, "written"):
            self._storage, self._root = _open(uri)
        self._sent: Entries = {}

    def fetch(self) -> None:
        """Begin with what was there when it was last copied whole."""
        with _named(self._uri, "read"):
            there = _entries(self._storage, self._root)
            if INDEX in there:
                with self._storage.open_input_stream(f"{self._root}/{INDEX}") as stream:
                    whole = set(json.loads(stream.read()))
                there = {name: entry for name, entry in there.items() if name in whole}
            for name in there:
                path = within(self._folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                _download(self._storage, f"{self._root}/{name}", path)
        self._sent = self._local()

    @contextmanager
    def kept_up(self) -> Iterator[None]:
        """Copy now and then while a block runs."""
        ended = threading.Event()
        thread = threading.Thread(target=self.keep_up, args=(ended,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def keep_up(self, stop: threading.Event) -> None:
        """Copy now and then until ``stop``; a failure is said, and tried again."""
        while not stop.wait(COPY_EVERY_S):
            try:
                self.copy()
            except StorageError as error:
                say(f"{error}; it is tried again")

    def copy(self) -> None:
        """Copy what changed, then the index, then remove what is gone."""
        with _named(self._uri, "written"):
            found, sent = self._local(), dict(self._sent)
            for name, entry in found.items():
                if sent.get(name) != entry and _upload(self._folder / name, self._storage, f"{self._root}/{name}"):
                    sent[name] = entry
            kept = {name: entry for name, entry in sent.items() if name in found}
            if kept == self._sent:
                return
            with _writing(self._storage, f"{self._root}/{INDEX}") as stream:
                stream.write(json.dumps(sorted(kept)).encode())
            for name in sent.keys() - kept.keys():
                self._storage.delete_file(f"{self._root}/{name}")
            self._sent = kept

    def _local(self) -> Entries:
        found = {}
        for path in sorted(self._folder.rglob("*")):
            name = path.relative_to(self._folder).as_posix()
            with suppress(FileNotFoundError):
                # What begins with a dot is being written and is renamed when it is whole.
                if path.is_file() and not any(part.startswith(".") for part in name.split("/")):
                    found[name] = _change(path)
        return found


def _open(uri: str) -> tuple[fs.FileSystem, str]:
    try:
        return fs.FileSystem.from_uri(uri)
    except (pa.ArrowInvalid, ValueError):  # no filesystem of Arrow's own
        import fsspec

        storage, root = fsspec.core.url_to_fs(uri)
        return fs.PyFileSystem(fs.FSSpecHandler(storage)), root


def _entries(storage: fs.FileSystem, root: str) -> Entries:
    found = storage.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
    return {
        str(PurePosixPath(one.path).relative_to(PurePosixPath(root))): (one.size, one.mtime_ns or 0)
        for one in sorted(found, key=lambda one: one.path)
        if one.type == fs.FileType.File and PurePosixPath(one.path).name != LOCK
    }


def _download(storage: fs.FileSystem, source: str, target: Path) -> None:
    with storage.open_input_stream(source) as stream, open(target, "wb") as file:
        shutil.copyfileobj(stream, file, 1 << 20)


def _upload(source: Path, storage: fs.FileSystem, target: str) -> bool:
    """Copy a file; False where it was renamed or removed since it was seen."""
    try:
        file = open(source, "rb")  # noqa: SIM115  closed below
    except FileNotFoundError:
        return False
    with file, _writing(storage, target) as stream:
        shutil.copyfileobj(file, stream, 1 << 20)
    return True


def _writing(storage: fs.FileSystem, path: str) -> pa.NativeFile:
    if isinstance(storage, (fs.LocalFileSystem, fs.PyFileSystem)):  # buckets have no folders
        storage.create_dir(str(PurePosixPath(path).parent), recursive=True)
    return storage.open_output_stream(path)


@contextmanager
def _named(uri: str, done: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ImportError, ValueError, pa.ArrowException) as error:
        raise StorageError(f"{uri}: cannot be {done} ({error})") from error
