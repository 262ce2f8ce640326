"""Memory that the C library keeps for later is given back to the system."""

from __future__ import annotations

import ctypes
import time

EVERY_S = 10.0
_last = -EVERY_S
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; other C libraries keep less


def release_memory() -> None:
    """Give free memory back, at most every ``EVERY_S`` seconds; takes some milliseconds.

    Tensors of ever other sizes leave holes that glibc keeps: a learner's process grew by 1.4 GB an hour.
    """
    global _last
    if _trim is not None and time.monotonic() - _last >= EVERY_S:
        _trim(0)
        _last = time.monotonic()
