"""Files of records, as JSON lines or as one JSON list."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from rl_recsys.core.trajectory import ImportedSessionError
from rl_recsys.errors import UserError


class Record(NamedTuple):
    """A record of a file: where in it ("line 3"), and the object; an error in the place of what is no JSON object."""

    place: str
    content: dict | ImportedSessionError


def read_records(path: Path) -> Iterator[Record]:
    """The records of a file of JSON lines, in which blank lines do not count, or of a JSON list.

    Raises ``UserError`` naming a file that cannot be read, and a list that is not JSON.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="\n") as file:
            lines = ((number, line) for number, line in enumerate(file, 1) if line.strip())
            first = next(lines, None)
            if first is not None and first[1].lstrip().startswith("["):
                for number, content in enumerate(json.loads(first[1] + file.read())):
                    yield Record(f"record {number}", _object(content))
                return
            for number, line in chain(filter(None, [first]), lines):
                try:
                    yield Record(f"line {number}", _object(json.loads(line)))
                except ValueError as error:
                    yield Record(f"line {number}", ImportedSessionError(f"not JSON: {error}"))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error})") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not a JSON list: {error}") from None


def _object(content: object) -> dict | ImportedSessionError:
    if isinstance(content, dict):
        return content
    return ImportedSessionError(f"expected an object, found {type(content).__name__}")
