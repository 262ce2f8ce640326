"""Rows of a mapped Arrow file, read one at a time: nothing of it is kept in this process's memory."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from rl_recsys.errors import UserError

BATCH_ROWS = 2_000  # rows of every record batch but the last
REMEDY = "make it again with jobs/prepare.py"


class ShopError(UserError):
    """The shop folder is missing, incomplete, damaged or of another version; the message names the remedy."""


class MappedTable:
    """An Arrow file in batches of ``BATCH_ROWS`` rows, mapped into memory: processes of a node share its pages."""

    def __init__(self, path: Path, schema: pa.Schema):
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(path)))
            self._batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        except (pa.ArrowInvalid, OSError) as error:
            raise ShopError(f"{path}: damaged ({error}); {REMEDY}") from None
        if not reader.schema.equals(schema):
            raise ShopError(f"{path}: has other columns than this code reads; {REMEDY}")
        if any(len(batch) != BATCH_ROWS for batch in self._batches[:-1]):
            raise ShopError(f"{path}: its batches are not of {BATCH_ROWS} rows; {REMEDY}")
        self._columns = [[batch.column(name) for batch in self._batches] for name in schema.names]
        self._names = {name: number for number, name in enumerate(schema.names)}
        self._length = sum(len(batch) for batch in self._batches)

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

    def find(self, name: str, key: str) -> int | None:
        """The row that has ``key`` in a text column whose values ascend by their bytes; None where there is none."""
        wanted = key.encode()
        low, high = 0, self._length
        while low < high:
            middle = (low + high) // 2
            if self.value(middle, name).encode() < wanted:
                low = middle + 1
            else:
                high = middle
        return low if low < self._length and self.value(low, name) == key else None


def write_batches(path: Path, schema: pa.Schema, rows) -> int:
    """Write rows (mappings) as an Arrow file that ``MappedTable`` reads; return how many."""
    count, pending = 0, []
    with pa.ipc.new_file(str(path), schema) as writer:
        for row in rows:
            pending.append(row)
            if len(pending) == BATCH_ROWS:
                writer.write(pa.RecordBatch.from_pylist(pending, schema))
                count, pending = count + len(pending), []
        if pending:
            writer.write(pa.RecordBatch.from_pylist(pending, schema))
    return count + len(pending)
