"""Errors that a user can act on: their messages name the file or the setting, and the remedy."""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rl_recsys.console.escaping import for_terminal

INTERRUPTED = "interrupted; what is written stays, and jobs that keep checkpoints go on with the same command\n"
#: Of files, though Python does not always name which: no room, too large, no such device, too many open.
_OF_FILES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE)


class UserError(Exception):
    """The base of this project's own errors."""


@contextmanager
def plain_errors() -> Iterator[None]:
    """End the program with one line instead of a traceback, where that is all that its user needs.

    So it is for a ``UserError``, for a file that cannot be read or written, and for Ctrl-C, whose exit status is 130.
    Where nobody reads the output any more (``| head``), nothing is said. What else is raised is a mistake of this
    project's, and its traceback stays.
    """
    try:
        yield
    except UserError as error:
        raise SystemExit(_line(error)) from None
    except KeyboardInterrupt:
        sys.stderr.write(INTERRUPTED)
        raise SystemExit(128 + signal.SIGINT) from None
    except BrokenPipeError:
        if _is_read(sys.stdout):  # another pipe broke, a connection say
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter says so when it ends
        raise SystemExit(1) from None
    except OSError as error:
        if error.filename is None and error.errno not in _OF_FILES:
            raise
        place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes | os.PathLike) else ""
        raise SystemExit(_line(f"{place}{error.strerror or error}")) from None


def _is_read(stream: TextIO) -> bool:
    """Whether somebody still reads what a stream writes; the system knows of a pipe that it has no reader."""
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLOUT)
    return not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _line(error: object) -> str:
    return "error: " + "\n".join(map(for_terminal, str(error).splitlines()))  # texts of data among them
