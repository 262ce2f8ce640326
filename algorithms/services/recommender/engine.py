"""Plays the sessions of many requests together, in a thread of its own: what makes the service faster than a loop."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from algorithms.services.recommender.limits import REQUESTS_WAITING, SESSIONS_AT_ONCE
from policies.base import Policy
from policies.play import Episode, EpisodesUnderWay
from rl_recsys.core.task import Task
from rl_recsys.errors import UserError

ENDING = "the service is ending; ask again in a minute"
RECENT = 16  # requests of whose duration the time is estimated that a refused one should wait


class Overloaded(UserError):
    """More requests wait than may; ``retry_after_s`` is about when there will be room."""

    def __init__(self, waiting: int, retry_after_s: int):
        super().__init__(f"{waiting} requests are waiting, more are not taken; ask again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Played:
    """An episode that is over: its ``number`` among the request's, the index of each choice it took, and what it ended
    with as the task's request desk says it, None for nothing."""

    number: int
    taken: tuple[int, ...]
    choice: Any


@dataclass(eq=False)
class _Request:
    policy: str
    goal: Any
    episodes: int
    seed: int
    tell: Callable[[Played | Exception], None]
    begun: int = 0
    over: int = 0
    wanted: bool = True
    entered: float = field(default_factory=time.monotonic)


async def _told(request: _Request, told: asyncio.Queue[Played | Exception]) -> AsyncIterator[Played]:
    try:
        for _ in range(request.episodes):
            what = await told.get()
            if isinstance(what, Exception):
                raise what
            yield what
    finally:
        request.wanted = False


class Engine:
    """Policies that play for requests; the sessions of a new request join those that are under way.

    Requests are begun in the order in which they came, as many as ``at_once`` sessions hold; ``waiting`` others may
    wait. A request's episodes are those of ``policies.recommender.recommend`` with the same seed, whoever else is
    played for: number 0 takes the policy's best actions, the others are drawn.
    """

    def __init__(
        self,
        task: Task,
        policies: Mapping[str, Policy],
        *,
        at_once: int = SESSIONS_AT_ONCE,
        waiting: int = REQUESTS_WAITING,
    ):
        self._desk = task.request_desk()
        self._under_way = {name: EpisodesUnderWay(policy, task) for name, policy in policies.items()}
        for policy in policies.values():
            policy.share_encodings()
        self._at_once, self._most_waiting = at_once, waiting
        self._changed = threading.Condition()
        self._waiting: deque[_Request] = deque()  # some of whose episodes are still to begin
        self._playing: set[_Request] = set()
        self._closed = False
        self._ends: deque[float] = deque(maxlen=RECENT)
        self._thread = threading.Thread(target=self._run, name="recommender engine", daemon=True)
        self._thread.start()

    @property
    def load(self) -> tuple[int, int]:
        """How many requests wait, and how many have sessions under way."""
        return len(self._waiting), len(self._playing)

    @property
    def is_alive(self) -> bool:
        """Whether it plays."""
        return self._thread.is_alive() and not self._closed

    def play(self, policy: str, goal: Any, *, episodes: int, seed: int = 0) -> AsyncIterator[Played]:
        """The episodes of a goal, as they end. Whoever closes the iteration early has the others played no further.

        Called on an event loop. Raises ``Overloaded`` at once; the iteration raises what playing does.
        """
        loop, told = asyncio.get_running_loop(), asyncio.Queue()

        def tell(what: Played | Exception) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(told.put_nowait, what)

        request = _Request(policy, goal, episodes, seed, tell)
        self._enter(request)
        return _told(request, told)

    def close(self) -> None:
        """Play no more; what is asked for then, or waits, is refused."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _enter(self, request: _Request) -> None:
        with self._changed:
            if self._closed:
                raise UserError(ENDING)
            if len(self._waiting) >= self._most_waiting:
                raise Overloaded(len(self._waiting), self._seconds_until_room())
            self._waiting.append(request)
            self._changed.notify()

    def _seconds_until_room(self) -> int:
        """How long a quarter of those that wait will take, as fast as the last ones went."""
        if len(self._ends) < 2:
            return 1
        a_request = (self._ends[-1] - self._ends[0]) / (len(self._ends) - 1)
        return max(1, math.ceil(a_request * len(self._waiting) / 4))

    def _run(self) -> None:
        owners: dict[int, _Request] = {}  # by the identity of an episode that is under way
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting or self._playing or self._closed)
                    if self._closed:
                        break
                self._let_go(owners)
                self._begin(owners)
                for under_way in self._under_way.values():
                    if len(under_way):
                        self._step(under_way, owners)
        finally:  # whatever ended it, nobody waits for ever
            self._closed = True
            for request in {*self._waiting, *self._playing}:
                request.tell(UserError(ENDING))

    def _begin(self, owners: dict[int, _Request]) -> None:
        """Sessions of requests that wait, as many as there is room for."""
        room = self._at_once - sum(map(len, self._under_way.values()))
        while room > 0 and self._waiting:
            request = self._waiting[0]
            self._playing.add(request)
            try:
                while room > 0 and request.begun < request.episodes:
                    number = request.begun
                    episode = self._under_way[request.policy].begin(
                        number, request.goal, number, greedy=number == 0, seed=request.seed
                    )
                    owners[id(episode)] = request
                    request.begun += 1
                    room -= 1
            except Exception as error:
                self._fail(request, error)
            if not request.wanted or request.begun == request.episodes:
                with self._changed:
                    self._waiting.popleft()

    def _step(self, under_way: EpisodesUnderWay, owners: dict[int, _Request]) -> None:
        try:
            over = under_way.step()
        except Exception as error:  # a policy with damaged weights, say: nobody must wait for ever
            for episode in under_way.episodes:
                self._fail(owners[id(episode)], error)
            return
        for episode in over:
            self._tell(owners.pop(id(episode)), episode)

    def _tell(self, request: _Request, episode: Episode) -> None:
        request.over += 1
        choice = self._desk.choice(episode.session, episode.result)
        request.tell(Played(episode.number, tuple(episode.taken), choice))
        if request.over == request.episodes:
            self._playing.discard(request)
            self._ends.append(time.monotonic())

    def _fail(self, request: _Request, error: Exception) -> None:
        if request.wanted:
            request.wanted = False
            request.tell(error)

    def _let_go(self, owners: dict[int, _Request]) -> None:
        """Leave the episodes of requests that nobody waits for any more."""
        gone = {request for request in self._playing if not request.wanted and request.over < request.episodes}
        if not gone and all(request.wanted for request in self._waiting):
            return
        for under_way in self._under_way.values():
            left = [episode for episode in under_way.episodes if owners[id(episode)] in gone]
            under_way.leave(left)
            for episode in left:
                del owners[id(episode)]
        self._playing -= gone
        with self._changed:
            self._waiting = deque(request for request in self._waiting if request.wanted)
