"""Files that jobs wrote, read again: whole ones, and what is said of others. What a full disk does to a file."""

from __future__ import annotations

import errno
import json
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rl_recsys.errors import UserError
from rl_recsys.storage.files import DiskFullError, full_disk_named, read_lines, read_object, read_rows, write_json


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes: the system refuses it as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.MonkeyPatch.context() as patch:
        # Python 3.11 takes half a bytecode file for a whole one, and every later process fails on it.
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))  # Python ignores the signal that comes with it
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("text", "damage"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("[1]", "expected an object, found list"),
        ("{}", "it has no 'name'"),
        ('{"name": 1}', "its 'name' is of type int"),
        ('{"name": "x", "share": null}', "its 'share' is of type NoneType"),
        ("[" * 100_000, "maximum recursion depth"),
        ("\xff", "codec can't decode"),
    ],
)
def test_an_object_with_other_fields_than_a_job_needs_is_named(tmp_path, text, damage):
    path = tmp_path / "a.json"
    fields = {"name": str, "share": float}
    path.write_text('{"name": "x", "share": 1, "more": 2}')
    assert read_object(path, "do this", fields=fields)["share"] == 1
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=rf"a\.json: damaged \(.*{damage}.*\); do this$"):
        read_object(path, "do this", fields=fields)


def test_rows_are_read_to_the_one_that_a_kill_cut(tmp_path):
    path, rows = tmp_path / "rows.jsonl", [{"n": number, "text": "\u2028é"} for number in range(3)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert read_rows(path, "", fields={"n": int}) == rows
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        kept = read_rows(path, "", fields={"n": int}, cut=True)
        assert kept == rows[: len(kept)] and len(kept) in (found := whole[:length].count(b"\n"), found + 1)
        if length and len(kept) == whole[:length].count(b"\n") and whole[length - 1 : length] != b"\n":
            with pytest.raises(UserError, match=rf"rows\.jsonl, line {len(kept) + 1}: damaged .*; do this"):
                read_rows(path, "do this", fields={"n": int})
    path.write_text("\n".join([lines[0], lines[1][:-4], lines[2]]) + "\n")
    with pytest.raises(UserError, match=r"rows\.jsonl, line 2: damaged"):  # in the middle no kill cuts
        read_rows(path, "", cut=True)


def test_a_full_disk_is_named_with_the_file_and_leaves_the_one_before(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, "before")
    said = rf"^{path}: no room to write it \(File too large\)\. Free some space; all is well"
    with pytest.raises(DiskFullError, match=said), full_disk(5), full_disk_named(tmp_path, "all is well"):
        write_json(path, "longer than this")
    assert json.loads(path.read_text()) == "before" and list(tmp_path.iterdir()) == [path]
    full = OSError(errno.ENOSPC, "No space left on device", "elsewhere", None, str(tmp_path / ".new-1" / "new" / "b"))
    with pytest.raises(DiskFullError, match=rf"^{tmp_path / 'new'}: no room"), full_disk_named(tmp_path / "new", ""):
        raise full  # of a copy that was to become the folder


def test_lines_are_those_of_the_file_whatever_signs_they_hold(tmp_path):
    path = tmp_path / "lines.txt"
    for text, lines in (("", []), ("a", ["a"]), ("a\n\nb\u2028c\n", ["a", "", "b\u2028c"]), ("\n", [])):
        path.write_text(text, encoding="utf-8")
        assert read_lines(path, "name another") == lines
    path.write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"lines\.txt: cannot be read .*; name another"):
        read_lines(path, "name another")
