from __future__ import annotations

import random

import pyarrow as pa
import pytest

from rl_recsys.webshop.data.table import BATCH_ROWS, BatchWriter, MappedTable, ShopError

SCHEMA = pa.schema([("key", pa.string()), ("words", pa.list_(pa.string()))])


@pytest.mark.parametrize("count", [0, 1, BATCH_ROWS, 2 * BATCH_ROWS + 500])
def test_rows_are_read_as_they_were_written_and_in_any_other_order(tmp_path, count):
    rows = [{"key": f"{number:06d}", "words": ["a"] * (number % 4)} for number in range(count)]
    with BatchWriter(tmp_path / "table", SCHEMA) as writer:
        for row in rows:
            writer.append(row)
    table = MappedTable(tmp_path / "table", SCHEMA)
    assert len(table) == writer.count == count
    assert [table.row(number) for number in range(0, count, 97)] == rows[::97]
    order = random.Random(0).sample(range(count), count)
    shuffled = [row for batch in table.batches(order) for row in batch.to_pylist()]
    assert shuffled == [rows[number] for number in order]
    assert all(table.find("key", rows[number]["key"]) == number for number in range(0, count, 97))
    assert table.find("key", "none") is None


def test_another_schema_or_other_batches_are_refused(tmp_path):
    with BatchWriter(tmp_path / "table", SCHEMA) as writer:
        writer.append({"key": "a", "words": []})
    with pytest.raises(ShopError, match="has other columns than this code reads"):
        MappedTable(tmp_path / "table", pa.schema([("key", pa.string())]))
    with pa.ipc.new_file(str(tmp_path / "odd"), SCHEMA) as file:
        for _ in range(2):
            file.write(pa.RecordBatch.from_pylist([{"key": "a", "words": []}], SCHEMA))
    with pytest.raises(ShopError, match="its batches are not of 10000 rows"):
        MappedTable(tmp_path / "odd", SCHEMA)
