"""Folders on shared storage: wherever a folder's path may stand, so may the URI of one in a bucket.

A *place* is a local path or a URI: s3://bucket/shop, gs://bucket/runs/a, hdfs://..., file:///mnt/share/shop, or any
other scheme that fsspec knows. What is read is copied to the node that reads it, once for all its processes; what is
written is written on this node and copied from there.
"""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

import platformdirs
import pyarrow as pa
from pyarrow import fs

from rl_recsys.errors import UserError
from rl_recsys.files import link_or_copy, locked, read_json
from rl_recsys.folders import whole_folder, within
from rl_recsys.terminal import say

Place = str | Path
INDEX = ".index.json"  # of a folder that a job writes: the files that were whole when it was last copied
COPY_EVERY_S = 15.0
LOOK_EVERY_S = 30.0  # a process asks the storage again only after so long
_looked: dict[str, float] = {}

Entries = dict[str, tuple[int, int]]  # name -> (bytes, time of change in ns)


class StorageError(UserError):
    """A place cannot be read or written; the message names it and the reason."""


def is_uri(place: Place) -> bool:
    """Whether a place is a URI."""
    return "://" in str(place)


def absolute(place: Place) -> str:
    """A place as every process knows it, whatever directory it runs in."""
    return str(place) if is_uri(place) else str(Path(place).resolve())


def inside(place: Place, name: str) -> Place:
    """The place of something in a folder."""
    return f"{str(place).rstrip('/')}/{name}" if is_uri(place) else Path(place) / name


def local_folder(place: Place) -> Path:
    """The folder of a place: itself, or this node's copy of what is at the URI now.

    Only files that changed are copied again; processes that have the old ones open keep them. Raises ``StorageError``.
    """
    if not is_uri(place):
        return Path(place)
    uri = str(place).rstrip("/")
    root = Path(platformdirs.user_cache_dir("rl-recsys")) / "copies"
    folder = root / hashlib.sha256(uri.encode()).hexdigest()[:16] / PurePosixPath(uri).name
    if time.monotonic() - _looked.get(uri, -LOOK_EVERY_S) < LOOK_EVERY_S and folder.is_dir():
        return folder
    beside = root / f"{folder.parent.name}.lock"
    beside.mkdir(parents=True, exist_ok=True)
    with locked(beside):  # processes of a node wait for one copy
        _bring_up_to_date(uri, folder, beside / "entries.json")
    _looked[uri] = time.monotonic()
    return folder


def _bring_up_to_date(uri: str, folder: Path, known: Path) -> None:
    with _named(uri, "read"):
        storage, root = _open(uri)
        entries = _entries(storage, root)
    if not entries:
        raise StorageError(f"{uri}: nothing is there")
    before = {name: tuple(entry) for name, entry in (read_json(known) or {}).items()} if folder.is_dir() else {}
    if before == entries:
        return
    with _named(uri, "read"), whole_folder(folder.parent, kind="copy") as aside:
        for name, entry in entries.items():
            path = within(aside / folder.name, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if before.get(name) == entry:
                link_or_copy(folder / name, path)
            else:
                _download(storage, f"{root}/{name}", path)
    known.write_text(json.dumps(entries))


@contextmanager
def working_folder(place: Place) -> Iterator[Path]:
    """A local folder for what a job writes to a place: for a path it is the path.

    For a URI it begins with what is there and is copied there every ``COPY_EVERY_S`` seconds and at the end, however
    the block ends. A kill in the middle of a copy leaves what the last whole copy had: files go before the index that
    names them, and files that are gone here go there after it. Raises ``StorageError``; the folder is kept then.
    """
    if not is_uri(place):
        yield Path(place)
        return
    folder = Path(tempfile.mkdtemp(prefix=f"{PurePosixPath(str(place)).name}-"))
    mirror = _Mirror(str(place).rstrip("/"), folder)
    mirror.fetch()
    say(f"{place}: written in {folder}, and copied from there")
    stop = threading.Event()
    thread = threading.Thread(target=mirror.keep_up, args=(stop,), daemon=True)
    thread.start()
    try:
        yield folder
    finally:
        stop.set()
        thread.join()
        mirror.copy()
        say(f"{place}: all is there")
    shutil.rmtree(folder, ignore_errors=True)


def writes_to_its_out(main: Callable) -> Callable:
    """A job whose ``arguments.out``, if there is one, may be a URI: it gets the working folder in its place."""

    @functools.wraps(main)
    def run(arguments):
        if arguments.out is None:
            return main(arguments)
        with working_folder(arguments.out) as folder:
            return main(replace(arguments, out=folder))

    return run


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
                    status = path.stat()
                    found[name] = (status.st_size, status.st_mtime_ns)
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
        if one.type == fs.FileType.File
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
