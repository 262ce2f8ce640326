"""Errors that a user can act on: their messages name the file or the setting, and the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """The base of this project's own errors."""


@contextmanager
def plain_errors() -> Iterator[None]:
    """End the program with the message of a ``UserError`` instead of a traceback."""
    try:
        yield
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
