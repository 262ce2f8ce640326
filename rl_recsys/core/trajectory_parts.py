"""Parts of a trajectory folder: Arrow streams with one episode a record batch, and a checksum of every block.

``part-00000.arrows`` is an ordinary Arrow stream. Its blocks lie end to end: the schema, each episode, the end marker.
``part-00000.sums`` has a line for each, written after the block: where it ends in the part, in bytes, its CRC-32 in
hex, and what it is. A writer that was killed leaves a part without its last line, "end": the block in its hand is lost.
Anything else that does not fit is damage, and is named.
"""

from __future__ import annotations

import io
import os
import re
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from rl_recsys.errors import UserError
from rl_recsys.storage.files import naming

HEAD, EPISODE, END = "schema", "episode", "end"
END_MARKER = b"\xff\xff\xff\xff\0\0\0\0"  # of an Arrow stream
UNREADABLE = (pa.ArrowException, OSError, ValueError)  # what Arrow raises for damaged bytes
CUT = "the part was cut"
_LINE = re.compile(r"(\d+) ([0-9a-f]{8}) (schema|episode|end)", re.ASCII)

Report = Callable[[UserError], None]
SchemaFor = Callable[[pa.Schema], pa.Schema]


class TrajectoryError(UserError):
    """A trajectory folder is missing or damaged; the message names the file and the remedy."""


class _Line(NamedTuple):
    end: int
    crc: int
    what: str


def parts_of(folder: Path) -> list[Path]:
    """The parts of a folder, oldest first; also those of which only the checksums are left."""
    return sorted(
        {path.with_suffix(".arrows") for kind in ("arrows", "sums") for path in folder.glob(f"part-*.{kind}")}
    )


def was_ended(part: Path) -> bool:
    """Whether a part's writer ended it; one that was killed did not."""
    lines = _lines(part)
    if lines is None:  # written before there were checksums
        return part.read_bytes()[-len(END_MARKER) :] == END_MARKER
    return _ended(lines)


def _ended(lines: Sequence[_Line | None]) -> bool:
    return bool(lines) and lines[-1] is not None and lines[-1].what == END


class PartWriter:
    """A new part: each batch is in the operating system's hands, with its checksum, when ``append`` returns."""

    def __init__(self, folder: Path, schema: pa.Schema):
        number = len(parts_of(folder))
        while True:
            part = folder / f"part-{number:05d}.arrows"
            try:
                self._part = open(part, "xb", buffering=0)  # noqa: SIM115  (closed by close)
                self._checksums = open(_checksums(part), "xb", buffering=0)  # noqa: SIM115
                break
            except FileExistsError:
                number += 1
        self._append(schema.serialize().to_pybytes(), HEAD)

    def append(self, batch: pa.RecordBatch) -> None:
        """Write one episode. One that cannot be written whole leaves nothing."""
        self._append(batch.serialize().to_pybytes(), EPISODE)

    def sync(self) -> None:
        """Have all that was appended outlive the machine."""
        for file in (self._part, self._checksums):
            os.fsync(file.fileno())

    def close(self) -> None:
        """End the part."""
        self._append(END_MARKER, END)
        self.sync()
        for file in (self._part, self._checksums):
            file.close()

    def _append(self, block: bytes, what: str) -> None:
        before = self._checksums.tell(), self._part.tell()
        line = f"{before[1] + len(block)} {zlib.crc32(block):08x} {what}\n"
        try:
            # Before its checksum: a kill between the two loses a block and no more.
            for file, data in ((self._part, block), (self._checksums, line.encode())):
                with naming(Path(file.name)):
                    _write_all(file, data)
        except BaseException:
            for file, end in zip((self._checksums, self._part), before, strict=True):
                file.truncate(end)
                file.seek(end)
            raise


def _write_all(file: io.RawIOBase, data: bytes) -> None:
    while data:
        data = data[file.write(data) :]


def read_part(part: Path, schema_for: SchemaFor, report: Report) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(number from 1, batch) of every whole episode of a part, all of them validated.

    ``schema_for`` says what the schema that was found must be: its metadata names the task. ``report`` gets a
    ``TrajectoryError`` for each that is damaged, and may raise it. Raises it for another schema.
    """
    lines = _lines(part)  # before the part, which may be growing
    if lines is None:
        yield from _read_without_checksums(part, schema_for, report)
        return
    if not part.is_file():
        report(TrajectoryError(f"{part}: missing, its checksums are here; copy the folder whole, or record again"))
        return
    with open(part, "rb") as file:
        if not lines:
            lines = [_head_line(file)]
        schema = _read_schema(part, file, lines[0], schema_for, report)
        if schema is None:
            return
        number = 0
        for number, (before, line) in enumerate(pairwise(lines), 1):
            block = _block(file, before, line)
            if line is not None and line.what == END:
                _check_end(part, file, block, number - 1, report)
            elif block == CUT and not _ended(lines):
                return  # as a kill leaves it in a copy in a bucket, where the two files are not copied at once
            elif isinstance(block, str):
                report(damaged(part, number, block))
            else:
                batch = _decoded(part, number, block, schema, report)
                if batch is not None:
                    yield number, batch
        if not _ended(lines) and lines[-1] is not None:
            file.seek(lines[-1].end)
            yield from _read_tail(part, file.read(), number, schema, report)


def _head_line(file: io.BufferedIOBase) -> _Line:
    """The line of a head that was written without one."""
    source = pa.py_buffer(file.read())
    with suppress(*UNREADABLE):
        reader = pa.BufferReader(source)
        pa.ipc.read_schema(reader)
        return _Line(reader.tell(), zlib.crc32(source[: reader.tell()]), HEAD)
    return _Line(0, 0, HEAD)  # killed before it was whole


def _read_tail(
    part: Path, blocks: bytes, number: int, schema: pa.Schema, report: Report
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """What stands after the last checksum: whole episodes, where a kill or a copy lost lines, and a cut one at last."""
    messages = pa.ipc.MessageReader.open_stream(pa.py_buffer(blocks))
    with suppress(StopIteration, *UNREADABLE):
        while True:
            number += 1
            batch = _decoded(part, number, messages.read_next_message(), schema, report)
            if batch is not None:
                yield number, batch


def damaged(part: Path, number: int, reason: str) -> TrajectoryError:
    """What is said of an episode that is not as it was written."""
    return TrajectoryError(f"{part}: episode {number} is damaged ({reason}); {_remedy(part)}")


def _remedy(part: Path) -> str:
    return f"record again, or keep what is whole: jobs/trajectories.py {part.parent} --salvage --out NEW"


def _checksums(part: Path) -> Path:
    return part.with_suffix(".sums")


def _lines(part: Path) -> list[_Line | None] | None:
    """The lines of a part's checksums, None for one that is damaged; None where the part has no checksums."""
    try:
        text = _checksums(part).read_bytes().decode("ascii", "replace")
    except FileNotFoundError:
        return None
    found = [_LINE.fullmatch(line) for line in text.split("\n")[:-1]]  # the last may be cut short
    return [_Line(int(line[1]), int(line[2], 16), line[3]) if line else None for line in found]


def _block(file: io.BufferedIOBase, before: _Line | None, line: _Line | None) -> bytes | str:
    """A block of a part, or why it cannot be had."""
    if before is None or line is None or line.end < before.end:
        return "so is its checksum"
    file.seek(before.end)
    block = file.read(line.end - before.end)
    if len(block) < line.end - before.end:
        return CUT
    return block if zlib.crc32(block) == line.crc else "its checksum differs"


def _read_schema(
    part: Path, file: io.BufferedIOBase, line: _Line | None, schema_for: SchemaFor, report: Report
) -> pa.Schema | None:
    """The schema of a part; None where nothing in it can be read."""
    block = _block(file, _Line(0, 0, HEAD), line)
    if isinstance(block, str):
        report(TrajectoryError(f"{part}: its head is damaged ({block}); {_remedy(part)}"))
    file.seek(0)
    try:
        found = pa.ipc.read_schema(file)
    except UNREADABLE:
        return None
    if isinstance(block, str):  # the episodes can be read nevertheless where what was damaged says nothing
        return found if found.equals(schema_for(found), check_metadata=True) else None
    return _required(part, found, schema_for)


def _required(part: Path, found: pa.Schema, schema_for: SchemaFor) -> pa.Schema:
    if not found.equals(schema_for(found), check_metadata=True):
        raise TrajectoryError(f"{part}: its decisions are another version's; record again")
    return found


def _check_end(part: Path, file: io.BufferedIOBase, block: bytes | str, number: int, report: Report) -> None:
    if isinstance(block, str) or file.read(1):
        reason = block if isinstance(block, str) else "there is more than was written"
        report(TrajectoryError(f"{part}: its end, after episode {number}, is damaged ({reason}); {_remedy(part)}"))


def _decoded(
    part: Path, number: int, block: bytes | pa.Message, schema: pa.Schema, report: Report
) -> pa.RecordBatch | None:
    try:
        batch = pa.ipc.read_record_batch(pa.py_buffer(block) if isinstance(block, bytes) else block, schema)
        batch.validate(full=True)
        return batch
    except UNREADABLE as error:
        report(damaged(part, number, str(error)))
        return None


def _read_without_checksums(part: Path, schema_for: SchemaFor, report: Report) -> Iterator[tuple[int, pa.RecordBatch]]:
    with pa.memory_map(str(part)) as source:
        if source.size() == 0:  # killed before the first flush
            return
        try:
            reader = pa.ipc.open_stream(source)
        except UNREADABLE as error:
            raise TrajectoryError(f"{part}: not a trajectory file ({error}); delete it or record again") from None
        _required(part, reader.schema, schema_for)
        number = 0
        while True:
            number += 1
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                if source.tell() < source.size():
                    report(damaged(part, number, "an end in the middle"))
                elif not was_ended(part):
                    _warn_of_cut(part, number)
                return
            except UNREADABLE as error:
                if was_ended(part):
                    report(damaged(part, number, f"{error}; what follows cannot be read"))
                else:
                    _warn_of_cut(part, number)
                return
            try:
                batch.validate(full=True)
            except UNREADABLE as error:
                report(damaged(part, number, str(error)))
                continue
            yield number, batch


def _warn_of_cut(part: Path, number: int) -> None:
    warnings.warn(
        f"{part}: it ends at episode {number}, without an end marker: its writer was killed, or it was cut",
        stacklevel=4,
    )
