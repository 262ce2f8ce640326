"""Errors that a user can act on: their messages name the file or the setting, and the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rl_recsys.escaping import for_terminal


class UserError(Exception):
    """The base of this project's own errors."""


@contextmanager
def plain_errors() -> Iterator[None]:
    """End the program with the message of a ``UserError`` instead of a traceback."""
    try:
        yield
    except UserError as error:
        lines = "\n".join(map(for_terminal, str(error).splitlines()))  # texts of data among them
        raise SystemExit(f"error: {lines}") from None
