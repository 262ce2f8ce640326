"""What a server holds for its clients between two messages: bounded in number, and never kept for one who left."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rl_recsys.errors import UserError

SWEEPS = 10  # looks for idle sessions in the time that one may be idle
LONGEST_SWEEP_S = 5.0

Value = TypeVar("Value")
Key = TypeVar("Key", bound=Hashable)


class SessionsFullError(UserError):
    """There is no room for another session; ``most`` are open, and ``retry_after_s`` says when to ask again."""

    def __init__(self, most: int, retry_after_s: float):
        super().__init__(f"all {most} sessions are taken: close one, or try again in {retry_after_s:.0f} s")
        self.most, self.retry_after_s = most, retry_after_s


class NoSessionError(UserError, LookupError):
    """A session that is not there: it was closed, it was idle for too long, or it never was."""


@dataclass(slots=True)
class _Held(Generic[Value]):
    value: Value
    used: float
    ended: Callable[[Value], Any] | None


class Sessions(Generic[Key, Value]):
    """At most ``most`` sessions by their keys. One that is not asked for in ``idle_s`` seconds ends.

    May be used by several threads.

    >>> sessions = Sessions(most=1, idle_s=60)
    >>> key = sessions.open(dict)
    >>> sessions.get(key)["page"] = 1
    >>> sessions.get(key), len(sessions), sessions.close(key), sessions.close(key)
    ({'page': 1}, 1, True, False)
    """

    def __init__(self, most: int, idle_s: float, *, clock: Callable[[], float] = time.monotonic):
        self.most, self.idle_s, self._clock = most, idle_s, clock
        self._held: OrderedDict[Key, _Held[Value]] = OrderedDict()  # the one that was used last is last
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Key]:
        with self._lock:
            return iter(list(self._held))

    def open(
        self,
        make: Callable[[], Value],
        *,
        ended: Callable[[Value], Any] | None = None,
        new_key: Callable[[], Key] = lambda: secrets.token_urlsafe(16),
    ) -> Key:
        """The key of a new session, which ``make`` makes once there is room for it.

        ``ended`` is called with the session where it ends by being idle, or with ``end_all``. ``new_key`` makes a key,
        by default one that nobody can guess. Raises ``SessionsFullError``.
        """
        self.end_idle()
        with self._lock:
            if len(self._held) >= self.most:
                oldest = next(iter(self._held.values())).used
                raise SessionsFullError(self.most, max(1.0, self.idle_s - (self._clock() - oldest)))
            while (key := new_key()) in self._held:
                pass
            held = self._held[key] = _Held(None, self._clock(), ended)  # its place, before it is made
        try:
            held.value = make()
        except BaseException:
            self.close(key)
            raise
        return key

    def get(self, key: Key) -> Value:
        """A session, which is not idle then. Raises ``NoSessionError``."""
        with self._lock:
            held = self._held.get(key)
            now = self._clock()
            if held is None or held.used + self.idle_s < now:
                raise NoSessionError(
                    f"no session {key!r}: it was closed, or idle for more than {self.idle_s:g} s; open a new one"
                )
            held.used = now
            self._held.move_to_end(key)
            return held.value

    def close(self, key: Key) -> bool:
        """End a session; whether there was one."""
        with self._lock:
            return self._held.pop(key, None) is not None

    def end_idle(self) -> int:
        """End the sessions that were idle for too long; how many."""
        latest, found = self._clock() - self.idle_s, []
        with self._lock:
            while self._held and (oldest := next(iter(self._held.items())))[1].used < latest:
                found.append(self._held.pop(oldest[0]))
        return _end(found)

    def end_all(self) -> int:
        """End all sessions; how many."""
        with self._lock:
            found = list(self._held.values())
            self._held.clear()
        return _end(found)

    @asynccontextmanager
    async def ending_idle_ones(self) -> AsyncIterator[None]:
        """While a server runs, end idle sessions in time, and all of them at its end: for its lifespan."""

        async def sweep() -> None:
            while True:
                await asyncio.sleep(min(self.idle_s / SWEEPS, LONGEST_SWEEP_S))
                self.end_idle()

        sweeping = asyncio.create_task(sweep())
        try:
            yield
        finally:
            sweeping.cancel()
            self.end_all()


def _end(found: list[_Held]) -> int:
    for held in found:
        if held.ended is not None:
            held.ended(held.value)
    return len(found)
