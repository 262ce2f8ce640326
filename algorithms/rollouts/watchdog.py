"""A worker that hangs ends itself: Ray starts another in its place, and its task again."""

from __future__ import annotations

import faulthandler
import sys
from collections.abc import Iterator
from contextlib import contextmanager

HANG_S = 1800.0  # seconds without an environment step, or without an episode, that no honest worker needs


@contextmanager
def exit_on_hang(seconds: float = HANG_S) -> Iterator[None]:
    """End this process with a traceback on stderr if the block is not over after ``seconds``.

    The clock runs outside Python, so a call that never comes back from Java is ended too. Blocks do not nest.
    """
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
