"""Names from flags and data that become names of files."""

from __future__ import annotations

import re
from pathlib import PureWindowsPath

from rl_recsys.console.escaping import for_terminal
from rl_recsys.errors import UserError

NAME_LENGTH = 120  # bytes; file systems take 255, and more is put before and behind a name
_PATH_SIGNS = re.compile(r'[/\\:*?"<>|]')  # separators and patterns, on any system


class FileNameError(UserError, ValueError):
    """A name cannot be that of a file; the message says why."""


def require_file_name(name: str, what: str) -> str:
    """A name that files may be called by, on any system, and that no spreadsheet takes for a formula.

    Raises ``FileNameError``; ``what`` it is that has the name begins the message.
    """
    if not name[:1].isalnum():
        reason = "it must begin with a letter or a digit"
    elif _PATH_SIGNS.search(name):
        reason = 'it must not contain any of / \\ : * ? " < > |'
    elif name != for_terminal(name):
        reason = "it must not contain control characters"
    elif name[-1] in " ." or PureWindowsPath(name).is_reserved():
        reason = "no file can be called so on every system"
    elif len(name.encode()) > NAME_LENGTH:
        reason = f"it has {len(name.encode())} bytes, {NAME_LENGTH} at most"
    else:
        return name
    raise FileNameError(f"{what} {for_terminal(name)!r} cannot be the name of a file: {reason}")
