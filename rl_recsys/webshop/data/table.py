"""Rows of a mapped Arrow file, read one at a time: nothing of it is kept in this process's memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from rl_recsys.errors import UserError

BATCH_ROWS = 10_000  # rows of every record batch but the last
REMEDY = "make it again with jobs/prepare.py"


class ShopError(UserError):
    """The shop folder is missing, incomplete, damaged or of another version; the message names the remedy."""


class MappedTable:
    """An Arrow file in batches of ``BATCH_ROWS`` rows, mapped into memory: processes of a node share its pages."""

    def __init__(self, path: Path, schema: pa.Schema):
        self._path = path
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(path)))
            self._batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        except (pa.ArrowException, OSError, ValueError) as error:
            raise ShopError(f"{path}: damaged ({error}); {REMEDY}") from None
        if not reader.schema.equals(schema):
            raise ShopError(f"{path}: has other columns than this code reads; {REMEDY}")
        if any(len(batch) != BATCH_ROWS for batch in self._batches[:-1]):
            raise ShopError(f"{path}: its batches are not of {BATCH_ROWS} rows; {REMEDY}")
        self._columns = [[batch.column(name) for batch in self._batches] for name in schema.names]
        self._names = {name: number for number, name in enumerate(schema.names)}
        self._length = sum(len(batch) for batch in self._batches)

    def validate(self) -> None:
        """Raise ``ShopError`` where what was written is no table: to read that could end the process."""
        try:
            for batch in self._batches:
                batch.validate(full=True)
        except pa.ArrowException as error:
            raise ShopError(f"{self._path}: damaged ({error}); {REMEDY}") from None

    def __len__(self) -> int:
        return self._length

    def value(self, row: int, name: str) -> object:
        """One field of one row, as a Python value."""
        batch, place = divmod(row, BATCH_ROWS)
        return self._columns[self._names[name]][batch][place].as_py()

    def columns(self, name: str) -> list[pa.Array]:
        """One field of all rows, an array a batch."""
        return self._columns[self._names[name]]

    def row(self, row: int) -> dict:
        """All fields of one row, as Python values."""
        batch, place = divmod(row, BATCH_ROWS)
        return {name: self._columns[number][batch][place].as_py() for name, number in self._names.items()}

    def batches(self, order: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """The rows in another order, in batches of ``BATCH_ROWS``."""
        for start in range(0, len(order), BATCH_ROWS):
            yield self._take(order[start : start + BATCH_ROWS])

    def _take(self, rows: Sequence[int]) -> pa.RecordBatch:
        wanted = np.asarray(rows)
        ascending = np.argsort(wanted)
        batches, places = np.divmod(wanted[ascending], BATCH_ROWS)
        numbers, starts = np.unique(batches, return_index=True)
        parts = zip(numbers, np.split(places, starts[1:]), strict=True)
        selected = pa.concat_batches([self._batches[number].take(pa.array(part)) for number, part in parts])
        return selected.take(pa.array(np.argsort(ascending)))

    def find(self, name: str, key: str) -> int | None:
        """The row that has ``key`` in a text column whose values ascend by their bytes; None where there is none."""
        wanted = key.encode(errors="surrogatepass")  # half of a character is found nowhere
        low, high = 0, self._length
        while low < high:
            middle = (low + high) // 2
            if self.value(middle, name).encode() < wanted:
                low = middle + 1
            else:
                high = middle
        return low if low < self._length and self.value(low, name) == key else None


class BatchWriter:
    """Writes an Arrow file that ``MappedTable`` reads; a context manager. At most a batch of rows is held."""

    def __init__(self, path: Path, schema: pa.Schema):
        self._file = pa.ipc.new_file(str(path), schema)
        self._schema, self._pending, self.count = schema, [], 0

    def append(self, row: Mapping[str, object]) -> None:
        """Add one row."""
        self._pending.append(row)
        self.count += 1
        if len(self._pending) == BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        self._file.write(pa.RecordBatch.from_pylist(self._pending, self._schema))
        self._pending = []

    def __enter__(self) -> BatchWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pending:
            self._flush()
        self._file.close()
