"""Processes that this one starts, and how it ends when it is asked to."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rl_recsys.console.terminal import say

_PR_SET_PDEATHSIG = 1

# Run by a Python of its own, which becomes the command: ``preexec_fn`` would run between fork and exec in a process
# that has threads, where a lock that another thread held stays locked.
_BECOME = f"""
import ctypes, os, signal, sys
parent, cores, *command = sys.argv[1:]
if sys.platform == "linux" and int(parent):
    ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, signal.SIGTERM)
    if os.getppid() != int(parent):
        sys.exit(128 + signal.SIGTERM)
if cores:
    os.sched_setaffinity(0, set(map(int, cores.split(","))))
os.execvp(command[0], command)
"""


@contextmanager
def ending_in_order() -> Iterator[None]:
    """While a block runs, SIGTERM ends it as an exception does: what is open is closed, and the exit status is 143.

    In the main thread only, and where nothing else was to be done at SIGTERM.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end(number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the closing
    say("ended by SIGTERM; what is written stays")
    raise SystemExit(128 + number)


def ending_with_parent(command: Sequence[str]) -> list[str]:
    """A command that runs another one, in the same process, which is sent SIGTERM when this process ends.

    Linux only; elsewhere it goes on. The thread that starts it must be the main one, or one that lives as long: the
    system sends the signal when that thread ends.
    """
    return _becoming(command, parent=os.getpid())


def end_with_parent() -> None:
    """Have a process of ``multiprocessing`` end when the one that made it does, as where that is killed.

    One of a pool would wait for work for ever.
    """

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def on_one_core(command: Sequence[str]) -> list[str]:
    """A command that runs another one, in the same process, on the last core that this process may use."""
    if not hasattr(os, "sched_getaffinity"):
        return list(command)
    return _becoming(command, core=max(os.sched_getaffinity(0)))


def _becoming(command: Sequence[str], *, parent: int = 0, core: int | None = None) -> list[str]:
    return [sys.executable, "-S", "-E", "-c", _BECOME, str(parent), "" if core is None else str(core), *command]
