"""Processes that this one starts."""

from __future__ import annotations

import ctypes
import signal
from contextlib import suppress

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Called in a new process (``preexec_fn``): when the thread that started it ends, it is sent SIGTERM.

    Linux only; elsewhere it does nothing.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
