"""A job as a command: its flags are read and checked before what it needs is loaded, and its errors are one line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tyro

from rl_recsys.errors import plain_errors
from rl_recsys.ranges import check_ranges
from rl_recsys.terminal import say


def run_job(main: Callable[[Any], None], arguments: type | Mapping[str, type], description: str) -> None:
    """Call ``main`` with the command line's ``arguments``, a dataclass whose fields may be ``Annotated`` with ranges.

    A mapping gives one for each subcommand. ``main`` imports torch, Ray, Java and the like itself, so that --help and a
    refused flag need none of them.
    """
    with plain_errors():
        given = read_command_line(arguments, description)
        check_ranges(given)
        say(f"{Path(sys.argv[0]).stem}: begun")  # before all that takes its time
        main(given)


def read_command_line(
    arguments: type | Mapping[str, type], description: str, words: Sequence[str] | None = None
) -> Any:
    """The flags of ``words``, by default the command line's."""
    if isinstance(arguments, Mapping):
        return tyro.extras.subcommand_cli_from_dict(arguments, description=description, args=words)
    return tyro.cli(arguments, description=description, args=words)
