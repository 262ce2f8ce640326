"""Life signs of long work: what is begun, a bar with the time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from rl_recsys.console.escaping import for_terminal
from rl_recsys.console.terminal import say

LINE_INTERVAL = 15.0  # seconds between lines where the output is no terminal


class Task:
    """One piece of long work; call ``advance`` as it goes on."""

    def __init__(self, title: str, total: int | None):
        self.title, self.total, self.done, self.note = title, total, 0, ""
        self._earlier = 0

    def advance(self, count: int = 1, note: str | None = None) -> None:
        """``count`` more units are done; ``note`` is shown behind the bar."""
        self.update(self.done + count, note)

    def resume(self, done: int) -> None:
        """``done`` units were done by an earlier run; they say nothing of this one's pace."""
        self._earlier = done
        self.update(done)

    def update(self, done: int, note: str | None = None) -> None:
        """``done`` units are done in all."""
        self.done = done
        self.note = self.note if note is None else note
        self._show()

    def _show(self) -> None: ...


class _BarTask(Task):
    def __init__(self, title: str, total: int | None, bar: Progress):
        super().__init__(title, total)
        self._bar, self._id = bar, bar.add_task(for_terminal(title), total=total, note="")

    def _show(self) -> None:
        self._bar.update(self._id, completed=self.done, note=for_terminal(self.note))


class _LineTask(Task):
    def __init__(self, title: str, total: int | None):
        super().__init__(title, total)
        self._start = self._last = time.monotonic()
        self._lock = threading.Lock()

    def _show(self) -> None:
        """Say how far it is, if nothing was said of it for a while."""
        with self._lock:
            now = time.monotonic()
            if now - self._last < LINE_INTERVAL:
                return
            self._last = now
        here = self.done - self._earlier
        if self.total and here:
            left = f"{format_seconds((now - self._start) / here * (self.total - self.done))} left"
        else:
            left = f"{format_seconds(now - self._start)} so far"
        say(f"{self.title}: {self.done}{f' of {self.total}' if self.total else ''}, {left}  {self.note}")


@contextmanager
def progress(title: str, total: int | None = None) -> Iterator[Task]:
    """Show the progress of a block; prints one closing line with the time taken."""
    start = time.monotonic()
    if sys.stdout.isatty():
        columns = (
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[note]}", markup=False),
        )  # fmt: skip
        with Progress(*columns, transient=True) as bar:
            task: Task = _BarTask(title, total, bar)
            yield task
    else:
        task = _LineTask(title, total)
        say(f"{title}: begun")
        with _now_and_then(task._show):  # also where nothing advances
            yield task
    say(f"{title}: {task.done} in {format_seconds(time.monotonic() - start)}  {task.note}")


@contextmanager
def phase(title: str, *, at_once: bool = True) -> Iterator[None]:
    """Say what a block without progress of its own does, at once and every ``LINE_INTERVAL`` seconds that it lasts.

    Without ``at_once`` nothing is said where that is soon over.
    """
    if at_once:
        say(title)
    start = time.monotonic()
    with _now_and_then(lambda: say(f"{title}: {format_seconds(time.monotonic() - start)} so far")):
        yield


@contextmanager
def _now_and_then(sign: Callable[[], None]) -> Iterator[None]:
    """Call ``sign`` from a thread every ``LINE_INTERVAL`` seconds that a block lasts."""
    over = threading.Event()

    def give() -> None:
        while not over.wait(LINE_INTERVAL):
            sign()

    thread = threading.Thread(target=give, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def format_seconds(seconds: float) -> str:
    """A duration as people read it: "8 s", "3 min 20 s", "1 h 5 min"."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
