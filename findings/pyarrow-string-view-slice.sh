#!/usr/bin/env bash
# pyarrow: a slice of a string_view column takes the text of all other rows with it into the file
#
# pyarrow 26.0.1, Python 3.11.
# One would expect: writing table.slice(0, 5) writes five rows. For string and large_string the IPC writer does cut
#   the buffers: five rows make a file of some 700 bytes.
# What happens: for string_view it writes every data buffer whole, as it does for a dictionary's words. Reading the
#   file gives five rows, so nothing shows, but it is as large as before and has the rest in clear text. Five training
#   rows cut from a table with 1,000 more, bytes of the file and rows of the rest found in it:
#     string       674 bytes      1 (its first 61 bytes: they stand where zeros would pad to a multiple of 64)
#     string_view  48,642 bytes   1,000
#     dictionary   52,826 bytes   1,000
#   pickle keeps all for plain strings too; Parquet cuts all. nbytes tells the whole size for string_view.
# Why it matters: splitting a goal file into train and test by slices is how such data is shared. The train file then
#   holds the held-out goals, or the rows of users that asked to be left out, for everyone who runs `strings` on it.
# How to be right: take() rows instead of slicing plain strings, or write Parquet; check a split by looking for a
#   held-out text in the bytes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet pyarrow==26.0.1
"$folder/bin/python" - <<'PY'
import io
import pickle

import pyarrow as pa
import pyarrow.parquet as pq

rows = [f"wish of the training set, number {number}" for number in range(5)]
rest = [f"HELD OUT wish, one of the test goals, number {number}" for number in range(1000)]
mark = b"HELD OUT wish"


def written(kind):
    column = pa.array(rows + rest).dictionary_encode() if kind == "dictionary" else pa.array(rows + rest, kind)
    part = pa.table({"goal": column}).slice(0, 5)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, part.schema) as writer:
        writer.write_table(part)
    data = sink.getvalue().to_pybytes()
    assert pa.ipc.open_file(data).read_all()["goal"].to_pylist() == rows
    parquet = io.BytesIO()
    pq.write_table(part, parquet)
    assert mark not in parquet.getvalue()
    assert pickle.dumps(part).count(mark) == len(rest)
    print(f"{kind!s:12} {len(data):6} bytes, {data.count(mark)} held-out rows, nbytes {part.nbytes}")
    return len(data), data.count(mark)


size, found = written(pa.string())
assert size < 1000 and found == 1
for kind in (pa.string_view(), "dictionary"):
    size, found = written(kind)
    assert size > 40_000 and found == len(rest)
PY
