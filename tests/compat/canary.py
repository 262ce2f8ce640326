"""Tests of what a compat file assumes of a library: each says, when it fails, what broke and who needs it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.metadata import version

import pytest

from tests.compat.public_names import users_of


class Canaries:
    """The canaries of one compat file."""

    def __init__(self, library: str, checked: str, file: str):
        self.library, self.checked, self.file = library, checked, file
        self.covered: set[str] = set()

    def __call__(self, *names: str, uses: str) -> Callable[[Callable], Callable]:
        """A test of what these names of the file need: the library's ``uses``."""
        self.covered.update(names)
        wherever = sorted({path for name in names for path in users_of(name)}) or ["nobody"]

        def decorate(test: Callable) -> Callable:
            @functools.wraps(test)
            def sing(*arguments, **named):
                try:
                    test(*arguments, **named)
                except Exception as error:  # the names may be gone, or raise anything
                    pytest.fail(
                        f"{self.library} {version(self.library)} (checked with {self.checked}): {uses} is not what "
                        f"{self.file} needs for {', '.join(names)} any more, used in {', '.join(wherever)}: {error!r}"
                    )

            return sing

        return decorate
