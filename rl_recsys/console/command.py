"""A job as a command: its flags are read and checked before what it needs is loaded, and its errors are one line."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import tyro

from rl_recsys.console.dispatch import PROGRAM
from rl_recsys.console.ranges import Range, check_ranges
from rl_recsys.console.terminal import say
from rl_recsys.console.threads import wait_briefly
from rl_recsys.console.verbosity import show_everything
from rl_recsys.errors import plain_errors


@dataclass(kw_only=True)
class Flags:
    """A job's flags: a dataclass whose number fields are ``Annotated`` with the ``Range`` that --help shows."""

    quiet: bool = True
    """Leave out lines of Ray that no user can act on; --no-quiet shows all, and deprecation warnings of Python."""

    def validate(self) -> None:
        """Raise ``UserError`` for flags that cannot be, alone or together."""
        check_ranges(self)


def run_job(main: Callable[[Any], None], flags: type[Flags] | Mapping[str, type[Flags]], description: str) -> None:
    """Call ``main`` with the command line's flags; a mapping has those of each subcommand.

    ``main`` imports torch, Ray, Java and the like itself, so that --help and a refused flag need none of them.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a title may have letters that the terminal's encoding has not
            stream.reconfigure(errors="backslashreplace")
    with plain_errors():
        program, words = _called()
        given = read_flags(flags, description, words, program)
        if not given.quiet:
            show_everything()
        wait_briefly()
        say(f"{Path(program.split()[-1]).stem}: begun")  # before all that takes its time
        main(given)


def run_module(main: Callable[[Any], None], flags: type[Flags], description: str) -> None:
    """The same of a module that is run by ``python -m``, and says no more than what it prints."""
    with plain_errors():
        main(read_flags(flags, description, sys.argv[1:]))


def _called() -> tuple[str, list[str]]:
    """What the command line calls, a job's script or this project's program with a job, and the words after it."""
    called, *words = sys.argv
    name = Path(called).name
    return (f"{name} {words[0]}", words[1:]) if name == PROGRAM and words else (name, words)


def read_flags(
    flags: type[Flags] | Mapping[str, type[Flags]], description: str, words: Sequence[str], program: str | None = None
) -> Any:
    """The flags of ``words``; --help calls the job ``program``. Raises ``UserError`` for what cannot be."""
    several = isinstance(flags, Mapping)
    for kind in flags.values() if several else [flags]:
        _show_ranges(kind)
    read = tyro.extras.subcommand_cli_from_dict if several else tyro.cli
    found = read(flags, prog=program, description=description, args=words)
    found.validate()
    return found


def _show_ranges(flags: type[Flags]) -> None:
    """Have --help say a field's range beside its default: tyro reads it from the class's annotations."""
    hints = get_type_hints(flags, include_extras=True)
    for name, hint in hints.items():
        allowed = [one for one in get_args(hint)[1:] if isinstance(one, Range)] if get_origin(hint) is Annotated else []
        if allowed:
            hints[name] = Annotated[hint, tyro.conf.arg(help_behavior_hint=_Shown(allowed[0]))]
    flags.__annotations__ = hints


class _Shown:
    """What --help says beside a number: its default and its range."""

    def __init__(self, allowed: Range):
        self._allowed = allowed

    def __call__(self, default: str) -> str:
        return f"(default: {default}; {self._allowed})"
