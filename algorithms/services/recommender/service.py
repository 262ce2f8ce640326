"""Requests in, lists out, feedback kept: what the recommender does, whatever carries the messages."""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from algorithms.services.recommender.engine import Engine, Played
from algorithms.services.recommender.feedback import Listed, Report, trajectories
from algorithms.services.recommender.messages import Answer, Feedback, Recorded, Request
from policies.base import Policy
from rl_recsys.core.task import Task
from rl_recsys.errors import UserError
from rl_recsys.evaluation.intervals import wilson_interval

REFUSED = ("empty", "too long")  # statuses of requests that cannot be answered
EVERY = 4  # sessions after which a stream tells the list anew
KEPT = 1000  # requests whose episodes are kept: equal requests have equal ones
THREADS = 2  # for what is looked up while the engine's thread plays

Call = Callable[..., Awaitable[Any]]  # of a method of the ledger by its name, wherever the ledger is


class RefusedError(UserError):
    """A request that names nothing to search for, or is longer than the policy reads; the message says which."""


@dataclass(eq=False)
class _Playing:
    """The episodes of a request so far, for all who ask it."""

    played: dict[int, Played] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    listeners: int = 0
    error: Exception | None = None
    task: asyncio.Task | None = None


class Recommender:
    """Answers requests with lists of a policy's engine, and hands feedback to a ledger.

    With several ``policies`` the ledger draws who plays for a request. ``authors`` says where each was read from.
    ``episodes``: sessions a request. Episodes of a request are kept, and are those of everybody who asks the same.
    """

    def __init__(
        self,
        task: Task,
        policies: Mapping[str, Policy],
        ledger: Call,
        *,
        episodes: int,
        authors: Mapping[str, str],
        **engine: int,
    ):
        """``engine``: the options of ``Engine``."""
        self.task, self._policies, self._ledger = task, dict(policies), ledger
        self._episodes, self._authors = episodes, dict(authors)
        self.engine = Engine(task, policies, **engine)
        self._desk = task.request_desk()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="recommender")
        self._kept: OrderedDict[tuple, _Playing] = OrderedDict()

    async def recommend(self, request: Request) -> Answer:
        """The list of all the agent's sessions. Raises ``RefusedError``, ``Overloaded``, and what the policy raises."""
        policy, understood = await self._understood(request)
        async with aclosing(self._episodes_of(policy, understood.goal, request.seed)) as episodes:
            played = [so_far async for so_far in episodes][-1]
        return await self._done(request, policy, understood, played)

    async def stream(self, request: Request) -> AsyncIterator[Answer]:
        """The search's list, then that of each ``EVERY`` of the agent's sessions, at last that of all.

        Raises what ``recommend`` does. What is raised for a request as such comes before the first list.
        """
        policy, understood = await self._understood(request)
        async with aclosing(self._episodes_of(policy, understood.goal, request.seed)) as episodes:
            played = await anext(episodes)  # who is refused is told before anything else
            answer = await self._in_thread(lambda: self._desk.answer(understood, [], request.k))
            yield self._message("search", answer, 0, policy)
            told = 0
            async for played in episodes:
                if told + EVERY <= len(played) < self._episodes:
                    told = len(played)
                    answer = await self._answer(understood, played, request.k)
                    yield self._message("agent", answer, told, policy)
        yield await self._done(request, policy, understood, played)

    async def feedback(self, given: Feedback) -> tuple[str, Recorded]:
        """Put a report, and the episodes that it judges, on the disk before it is acknowledged; and whose list it was.

        Raises ``FeedbackError``, ``UnknownListError``, ``ReportedError``.
        """
        listed = await self._ledger("listed", given.id)
        report = Report.of(listed, given.shown, given.clicked, given.bought)
        there = await self._ledger("reported", given.id, report)
        if there is None:
            episodes = await self._in_thread(lambda: list(trajectories(self.task, listed, report)))
            there = await self._ledger("record", given.id, report, episodes)
        reward, count = there
        return listed.policy, Recorded(id=given.id, reward=reward, episodes=count)

    async def standings(self) -> dict[str, Any]:
        """See ``Ledger.standings``."""
        return await self._ledger("standings")

    def close(self) -> None:
        """End the engine."""
        self.engine.close()
        self._threads.shutdown()

    async def _understood(self, request: Request) -> tuple[str, Any]:
        """Who plays, and for what."""
        policy = next(iter(self._policies)) if len(self._policies) == 1 else await self._ledger("draw")
        encoder, filters = self._policies[policy].decision_encoder, request.filters
        more = {"options": request.options, "floor": filters.price_min, "limit": filters.price_max}
        understood = await self._in_thread(lambda: self._desk.read(request.text, encoder, **more))
        if understood.status in REFUSED:
            raise RefusedError(_refusal(understood))
        return policy, understood

    async def _done(self, request: Request, policy: str, understood: Any, played: Mapping[int, Played]) -> Answer:
        """The last list, which is kept until its feedback comes."""
        answer = await self._answer(understood, played, request.k)
        listed = self._listed(policy, understood.goal, request.seed, answer, played)
        await self._ledger("keep", listed.to_mapping())
        return self._message("done", answer, len(played), policy, listed.id)

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def _answer(self, understood: Any, played: Mapping[int, Played], top: int) -> Any:
        choices = [played[number].choice for number in sorted(played)]
        return await self._in_thread(lambda: self._desk.answer(understood, choices, top))

    async def _episodes_of(self, policy: str, goal: Any, seed: int) -> AsyncIterator[dict[int, Played]]:
        """Nothing, once the episodes are under way, and then those so far whenever there are more, to the last."""
        key = policy, str(self.task.instruction(goal)), seed
        playing = self._kept.get(key)
        if playing is None:
            episodes = self.engine.play(policy, goal, episodes=self._episodes, seed=seed)
            playing = self._kept[key] = _Playing()
            playing.task = asyncio.create_task(self._collect(key, playing, episodes))
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        playing.listeners += 1
        try:
            yield {}
            seen = 0
            while seen < self._episodes:
                async with playing.changed:
                    while len(playing.played) == seen and playing.error is None:
                        await playing.changed.wait()
                if playing.error is not None:
                    raise playing.error
                played = dict(playing.played)
                seen = len(played)
                yield played
        finally:
            playing.listeners -= 1
            if not playing.listeners and len(playing.played) < self._episodes:
                playing.task.cancel()
                if self._kept.get(key) is playing:
                    del self._kept[key]

    async def _collect(self, key: tuple, playing: _Playing, episodes: AsyncIterator[Played]) -> None:
        try:
            async with aclosing(episodes):
                async for played in episodes:
                    async with playing.changed:
                        playing.played[played.number] = played
                        playing.changed.notify_all()
        except Exception as error:
            self._kept.pop(key, None)
            async with playing.changed:
                playing.error = error
                playing.changed.notify_all()

    def _listed(self, policy: str, goal: Any, seed: int, answer: Any, played: Mapping[int, Played]) -> Listed:
        item = self._desk.item
        most = self._policies[policy].decision_encoder.choices
        ended = [played[number] for number in sorted(played) if played[number].choice is not None]
        return Listed(
            id=uuid.uuid4().hex,
            policy=policy,
            author=self._authors[policy],
            seed=seed,
            max_choices=most,
            goal=dict(self.task.session(goal, max_choices=most).goal),
            choices={item(choice): choice for choice in answer.choices},
            episodes=[(one.taken, item(one.choice)) for one in ended],
        )

    def _message(self, stage: str, answer: Any, sessions: int, policy: str, identifier: str | None = None) -> Answer:
        said = answer.to_mapping()
        products = zip(answer.choices, said["products"], strict=True)
        return Answer(
            stage=stage,
            request=said["request"],
            status=said["status"],
            understood=said.get("understood"),
            products=[self._product(choice, product, sessions) for choice, product in products],
            left_out=said.get("left_out", {}),
            sessions=sessions,
            id=identifier,
            policy=policy,
        )

    def _product(self, choice: Any, product: Mapping[str, Any], sessions: int) -> dict[str, Any]:
        ended = round(product["share"] * sessions)
        interval = wilson_interval(ended, sessions) if sessions else None
        return {**product, "item": self._desk.item(choice), "interval": interval}


def _refusal(understood: Any) -> str:
    if understood.status == "too long":
        said = understood.to_mapping()
        return f"too long: {said['tokens']} tokens, the policy reads {said['most_tokens']}; say it in fewer words"
    return "it names nothing to search for: say in words what is wanted"


def in_threads(ledger: Any) -> Call:
    """How to call a ledger of this process without keeping the event loop waiting."""

    async def call(method: str, *arguments: Any) -> Any:
        return await asyncio.to_thread(getattr(ledger, method), *arguments)

    return call


async def recommend_all(recommender: Recommender, requests: Sequence[Request]) -> list[Answer]:
    """The answers of a batch; one that is refused says why in its status."""

    async def one(request: Request) -> Answer:
        try:
            return await recommender.recommend(request)
        except RefusedError as error:
            return Answer(stage="done", request=request.text, status=str(error))

    return list(await asyncio.gather(*map(one, requests)))
