"""Errors that a user can act on: their messages name the file or the setting, and the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rl_recsys.escaping import for_terminal


class UserError(Exception):
    """The base of this project's own errors."""


def require_positive(arguments: object, *names: str) -> None:
    """Raise ``UserError`` for a flag of a job that must be at least 1 and is not."""
    for name in names:
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} is {getattr(arguments, name)}, it must be at least 1")


@contextmanager
def plain_errors() -> Iterator[None]:
    """End the program with the message of a ``UserError`` instead of a traceback."""
    try:
        yield
    except UserError as error:
        lines = "\n".join(map(for_terminal, str(error).splitlines()))  # texts of data among them
        raise SystemExit(f"error: {lines}") from None
