"""WebShop's raw files as JSON, read as the original's ``json.load`` reads them, large lists record by record."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rl_recsys.errors import UserError

CHUNK = 1 << 20  # characters that are read at once
_SPACE = " \t\n\r"
_LITERAL = len("-Infinity")  # the longest that the end of a chunk cuts of a word, or of a number that stands
_DECODER = json.JSONDecoder()


class RawDataError(UserError):
    """A raw file breaks WebShop's format; the message names the file, the record, the field and the reason."""


def read_mapping(path: Path, *, repeated: Callable[[str], None] = lambda key: None) -> dict:
    """The object of a file, of equal keys the last. Raises ``RawDataError`` for anything else.

    ``repeated`` is told each key that is there more than once.
    """
    counts: Counter[str] = Counter()

    def made(pairs: list[tuple[str, object]]) -> dict:
        nonlocal counts
        found = dict(pairs)
        # Objects are made from the innermost to the outermost: what the last one leaves is the file's.
        counts = Counter(key for key, _ in pairs) if len(found) < len(pairs) else Counter()
        return found

    with _opened(path) as file:
        try:
            value = json.load(file, object_pairs_hook=made)
        except json.JSONDecodeError as error:
            raise RawDataError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise RawDataError(f"{path}: expected an object that maps asins, found {_name(value)}")
    for key, count in counts.items():
        if count > 1:
            repeated(key)
    return value


def read_list(path: Path) -> Iterator[object]:
    """The values of a file's list, one after the other. Raises ``RawDataError`` where it is no list or no JSON."""
    with _opened(path) as file:
        yield from _ListReader(path, file)


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with open(path, encoding="utf-8-sig") as file:
            yield file
    except FileNotFoundError:
        raise RawDataError(f"{path}: no such file") from None
    except OSError as error:
        raise RawDataError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        bytes_there = f"byte 0x{error.object[error.start]:02x} in {error.object[error.start - 20 : error.start + 10]!r}"
        raise RawDataError(
            f"{path}: not UTF-8 ({bytes_there}); convert it, as with: iconv -f latin1 -t utf-8 {path}"
        ) from None
    except (RecursionError, ValueError) as error:  # nested too deep, or an integer of thousands of digits
        raise RawDataError(f"{path}: not valid JSON: {error}") from None


class _ListReader:
    """Goes through a list by a buffer that holds a chunk, or a whole record where one is longer."""

    def __init__(self, path: Path, file: TextIO):
        self._path, self._file = path, file
        self._text, self._at, self._ended = "", 0, False
        self._number = 0  # of the record

    def __iter__(self) -> Iterator[object]:
        if self._next_character() != "[":
            raise RawDataError(f"{self._path}: expected a list of products, found {self._beginning()}")
        self._at += 1
        if self._next_character() != "]":
            while True:
                yield self._value()
                mark = self._next_character()
                if mark == "]":
                    break
                if mark != ",":
                    raise self._broken("expected a comma or the end of the list")
                self._at += 1
                self._number += 1
        self._at += 1
        if self._next_character():
            raise self._broken("something follows the list")

    def _value(self) -> object:
        self._next_character()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                # Only what the buffer's end may have cut is tried again with more.
                cut = error.msg.startswith("Unterminated string") or error.pos >= len(self._text) - _LITERAL
                if self._ended or not cut:
                    raise self._broken(error.msg) from None
            else:
                if end <= len(self._text) - _LITERAL or self._ended:  # else a number could go on
                    self._at = end
                    return value
            self._more()

    def _next_character(self) -> str:
        """The next character that is no white space; "" at the end of the file."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
            if self._ended:
                return ""
            self._more()

    def _more(self) -> None:
        kept = self._text[self._at :]
        more = self._file.read(max(CHUNK, len(kept)))  # twice as much for a long record
        self._text, self._at, self._ended = kept + more, 0, not more

    def _broken(self, reason: str) -> RawDataError:
        return RawDataError(f"{self._path}: not valid JSON: record {self._number}: {reason}")

    def _beginning(self) -> str:
        """What the file begins with, and how to make a list of it."""
        first = self._next_character()
        if first != "{":
            return "nothing: it is empty" if not first else f"{self._text[self._at : self._at + 20]!r}"
        self._at += 1
        if self._next_character() != '"':
            return "an object"
        key = self._value()
        self._next_character()
        self._at += 1
        value = self._next_character()
        way = {"[": f"jq '.{key}'", "{": "jq '[.[]]'"}.get(value, "jq -s .")
        return f"an object with the key {key!r} first; write one list of them, as with: {way} {self._path} > items.json"


def _name(value: object) -> str:
    return {list: "a list", str: "text", type(None): "null"}.get(type(value), type(value).__name__)
