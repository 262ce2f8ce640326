"""Files that are written whole or not at all, and their checksums."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import MappingProxyType

from rl_recsys.errors import UserError

NO_FIELDS: Mapping[str, type] = MappingProxyType({})
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


class DiskError(UserError):
    """A file cannot be written; the message names it and what is safe."""


class DiskFullError(DiskError):
    """There is no room for a file."""


def write_json(path: Path, value: object) -> None:
    """Write JSON whole or not at all."""
    write_text(path, json.dumps(value, indent=1))


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    aside = path.with_name(f".{path.name}.part")
    try:
        with naming(path):
            aside.write_text(text, encoding="utf-8")
    except OSError:
        with suppress(OSError):
            aside.unlink()
        raise
    os.replace(aside, path)


def write_page(path: Path, page: str, *, mark: str, job: str, example: str) -> None:
    """Write a job's page whole, with the folders above it. ``mark``: what each page of the job has in it.

    Raises ``UserError`` where something else is there; ``job`` and ``example``, a file's name, are for the message.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file, as --out {path / example}")
    if path.exists() and mark.encode() not in path.read_bytes():
        raise UserError(f"{path} is there already, and it is no page of {job}; name another --out")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)


def require_new(folder: Path) -> None:
    """Raise ``UserError`` for a folder that has something in it: what a job makes at once it makes anew."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already; name a folder that is not")


def read_lines(path: Path, remedy: str) -> list[str]:
    """The lines of a UTF-8 text, whose last may end or not. Raises ``UserError`` with the file and ``remedy``."""
    try:
        text = path.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); {remedy}") from None
    return text.split("\n") if text else []  # splitlines breaks at signs that may be in a line


def read_json(path: Path) -> object | None:
    """What a JSON file holds; None where there is none, or a damaged one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def read_object(
    path: Path, remedy: str, *, fields: Mapping[str, type] = NO_FIELDS, error: type[UserError] = UserError
) -> dict:
    """The JSON object in a file that a job wrote. Raises ``error`` naming the file, the damage and the ``remedy``.

    ``fields``: see ``require_fields``.
    """
    return _object(_bytes(path, remedy, error), str(path), remedy, fields, error)


def read_rows(path: Path, remedy: str, *, fields: Mapping[str, type] = NO_FIELDS, cut: bool = False) -> list[dict]:
    """The JSON objects of a file that has one a line. Raises ``UserError`` as ``read_object`` does, with the line.

    ``cut``: leave out a last line that a kill cut short.
    """
    *lines, last = _bytes(path, remedy, UserError).split(b"\n")
    rows = [_object(line, f"{path}, line {n}", remedy, fields, UserError) for n, line in enumerate(lines, 1)]
    if last:
        with suppress(UserError) if cut else nullcontext():
            rows.append(_object(last, f"{path}, line {len(rows) + 1}", remedy, fields, UserError))
    return rows


def require_fields(
    value: object, fields: Mapping[str, type], where: object, remedy: str, *, error: type[UserError] = UserError
) -> None:
    """Raise ``error``, naming ``where``, unless something that was read as JSON is an object with these fields.

    ``fields``: name -> type of the value; a float may be written as an int.
    """
    if not isinstance(value, dict):
        raise error(f"{where}: damaged (expected an object, found {type(value).__name__}); {remedy}")
    for name, kind in fields.items():
        if name not in value:
            raise error(f"{where}: damaged (it has no {name!r}); {remedy}")
        if not isinstance(value[name], (int, float) if kind is float else kind):
            raise error(f"{where}: damaged (its {name!r} is of type {type(value[name]).__name__}); {remedy}")


def require_items(value: object, kind: type, where: object, remedy: str, *, at_least: int = 0) -> None:
    """Raise ``UserError``, naming ``where``, unless something that was read as JSON is a list of values of a type.

    A float may be written as an int. ``at_least``: how many there must be.
    """
    if not isinstance(value, list):
        raise UserError(f"{where}: damaged (expected a list, found {type(value).__name__}); {remedy}")
    if len(value) < at_least:
        raise UserError(f"{where}: damaged ({len(value)} values, expected {at_least}); {remedy}")
    for item in value:
        if not isinstance(item, (int, float) if kind is float else kind):
            raise UserError(f"{where}: damaged (it holds a {type(item).__name__}); {remedy}")


def _bytes(path: Path, remedy: str, error: type[UserError]) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise error(f"{path}: missing; {remedy}") from None
    except OSError as reason:
        raise error(f"{path}: cannot be read ({reason.strerror or reason}); {remedy}") from None


def _object(data: bytes, where: str, remedy: str, fields: Mapping[str, type], error: type[UserError]) -> dict:
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError) as reason:  # no UTF-8, no JSON, or nested without end
        raise error(f"{where}: damaged ({reason}); {remedy}") from None
    require_fields(value, fields, where, remedy, error=error)
    return value


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have a block's ``OSError`` name a file where it names none: a write that fails does not say of what."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def full_disk_named(folder: Path, safe: str, *, around: Path | None = None) -> Iterator[None]:
    """Name what cannot be written in a block: raise ``DiskFullError`` for want of room, and ``DiskError`` where
    ``folder``, or something in it (or in ``around``), may not be written to. ``safe`` says what is not lost."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        name = getattr(error, "filename2", None) or getattr(error, "filename", None)  # of a copy: what is written
        where = Path(os.fsdecode(name)) if isinstance(name, (str, bytes, os.PathLike)) else None
        shown = folder if where is None or _is_aside(where, folder) else where
        reason = getattr(error, "strerror", None) or error
        if _is(error, _FULL):
            raise DiskFullError(f"{shown}: no room to write it ({reason}). Free some space; {safe}") from error
        inside = where is not None and where.absolute().is_relative_to((around or folder).absolute())
        if _is(error, _REFUSED) and (inside or not isinstance(error, OSError)):
            raise DiskError(f"{shown}: cannot be written ({reason}); {safe}") from error
        raise


def _is_aside(path: Path, folder: Path) -> bool:
    """Whether a file was to become one of a folder, or of it all, and is gone when this is read: it has a dot before
    its name, or before its folder's."""
    path, beside = path.absolute(), folder.absolute().parent
    return path.is_relative_to(beside) and any(part.startswith(".") for part in path.relative_to(beside).parts)


def _is(error: Exception, kinds: Sequence[int]) -> bool:
    if isinstance(error, OSError):
        return error.errno in kinds
    # Libraries that write files of their own (safetensors, Arrow) have errors of their own.
    return any(os.strerror(kind) in str(error) for kind in kinds if kind in (*_FULL, errno.EROFS))


def link_or_copy(source: Path, target: Path) -> None:
    """The same file under another name: a hard link, or a copy where there cannot be one."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def file_entry(path: Path) -> dict[str, int | str]:
    """What a listing says of a file: its length in bytes, and its sha256 in hex."""
    return {"bytes": path.stat().st_size, "sha256": checksum(path)}


def are_file_entries(files: object) -> bool:
    """Whether something that was read is a mapping of names to what ``file_entry`` says."""
    return isinstance(files, dict) and all(
        isinstance(entry, dict) and {"bytes", "sha256"} <= entry.keys() for entry in files.values()
    )


def checksum(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
