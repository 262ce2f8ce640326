"""The shop as a web site: each request is answered with a whole page, which needs no script."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from algorithms.services.server import HEALTH
from algorithms.services.sessions import NoSessionError, Sessions, SessionsFullError
from algorithms.services.site.opponents import Opponents, Played
from algorithms.services.site.pages import how_reckoned, item_of, origins, shown, what_counted
from algorithms.services.site.recording import Recording
from algorithms.services.site.visits import ActionError, Visit
from rl_recsys.evaluation.episodes_page import VIEWER, YOU, Episode, Recorded, data_of, templates
from rl_recsys.webshop.task import WebShop

HERE = Path(__file__).parent
TEMPLATES, STATIC = HERE / "templates", HERE / "static"
PATIENCE_S = 20.0  # that a person waits for the agents, which began when the person did
NAME_BYTES = 12  # of a session's name
FEWEST_BYTES = 1000  # to compress
PLAIN_EPISODES = 12  # on a page that shows them without JavaScript
_POLICY = (
    "default-src 'self'; script-src {scripts}; img-src {images}; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "cache-control": "no-store",  # a browser that goes back asks which page it is now
    "referrer-policy": "same-origin",  # the address of a page has the session's name
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True)
class Offer:
    """What a site shows and to whom. ``goals`` are drawn for people; ``told``: to the person who runs it, on its own
    machine, how to learn from what was recorded, given a visit. ``watched``: episodes to watch besides."""

    task: WebShop
    goals: Sequence[int]
    sessions: Sessions[str, Visit]
    recording: Recording
    opponents: Opponents
    watched: Recorded | None = None
    told: Callable[[Visit], Sequence[str]] = lambda visit: ()


def site(offer: Offer) -> Starlette:
    """The application."""
    pages = _Pages(offer)
    return Starlette(
        routes=[
            Route("/", pages.start),
            Route("/begin", pages.begin, methods=["POST"]),
            Route("/visit/{name}", pages.current),
            Route("/visit/{name}/leave", pages.leave, methods=["POST"]),
            Route("/visit/{name}/watch", pages.watch_visit),
            Route("/visit/{name}/episodes.json", pages.episodes_of_visit),
            Route("/visit/{name}/{number:int}", pages.page),
            Route("/visit/{name}/{number:int}", pages.act, methods=["POST"]),
            Route("/watch", pages.watch),
            Route("/watch/episodes.json", pages.episodes),
            Route(HEALTH, _healthy),
            Mount("/static", StaticFiles(directory=STATIC)),
            Mount("/viewer", StaticFiles(directory=VIEWER)),
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=FEWEST_BYTES)],
        exception_handlers={
            NoSessionError: pages.over,
            SessionsFullError: pages.full,
            HTTPException: pages.refused,
            Exception: pages.failed,
        },
        lifespan=pages.lifespan,
    )


def new_name() -> str:
    """A session's name, which nobody can guess, and which names a file as well."""
    return secrets.token_hex(NAME_BYTES)


async def _healthy(request: Request) -> Response:
    return PlainTextResponse("ok\n")


class _Pages:
    def __init__(self, offer: Offer):
        self._offer = offer
        self._goals = frozenset(offer.goals)
        self._templates = templates(TEMPLATES)
        self._random = random.SystemRandom()

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        async with self._offer.sessions.ending_idle_ones():
            yield
        self._offer.recording.close()
        self._offer.opponents.close()

    def _page(self, name: str, context: Mapping[str, Any], *, status: int = 200, scripts: bool = False) -> Response:
        images = " ".join(["'self'", *origins(context)])
        policy = _POLICY.format(scripts="'self'" if scripts else "'none'", images=images)
        page = self._templates.get_template(f"{name}.html.j2").render(
            watching=self._offer.watched is not None, **context
        )
        return HTMLResponse(page, status, _HEADERS | {"content-security-policy": policy})

    async def start(self, request: Request) -> Response:
        """What this is and what is recorded, and a button to begin."""
        context = {
            "goal": self._asked_for(request.query_params.get("goal")),
            "left": "left" in request.query_params,
            "back": self._open_session(request.query_params.get("session", "")),
            "minutes": round(self._offer.sessions.idle_s / 60),
            "agents": self._offer.opponents.names,
        }
        return self._page("start", context)

    def _open_session(self, name: str) -> str | None:
        """The name of a session that one may go back to."""
        try:
            return self._offer.sessions.get(name).name
        except NoSessionError:
            return None

    def _asked_for(self, goal: str | None) -> int | None:
        if goal is None:
            return None
        if not goal.isascii() or not goal.isdigit() or int(goal) not in self._goals:
            raise HTTPException(404, "People are not given a wish of this number here.")
        return int(goal)

    async def begin(self, request: Request) -> Response:
        """A new session, and its first page."""
        form = await request.form()
        asked = form.get("goal")
        goal = self._asked_for(asked if isinstance(asked, str) else None)
        goal = self._random.choice(self._offer.goals) if goal is None else goal
        sessions = self._offer.sessions
        name = sessions.open(
            lambda: Visit(self._offer.task.shop, goal), ended=self._offer.recording.end, new_key=new_name
        )
        sessions.get(name).name = name
        self._offer.opponents.play(goal)
        return RedirectResponse(f"/visit/{name}/0", 303)

    def _visit(self, request: Request) -> Visit:
        return self._offer.sessions.get(request.path_params["name"])

    async def current(self, request: Request) -> Response:
        """The way to the page that is shown now."""
        return self._to(self._visit(request))

    def _to(self, visit: Visit, number: int | None = None) -> Response:
        return RedirectResponse(f"/visit/{visit.name}/{visit.number if number is None else number}", 303)

    async def page(self, request: Request) -> Response:
        """A page of the session: the one that is shown now, or one from before."""
        visit, number = self._visit(request), request.path_params["number"]
        if number > visit.number or (visit.bought and number < visit.number):
            return self._to(visit)
        return await self._shown(visit, number)

    async def _shown(self, visit: Visit, number: int, *, alert: str = "", status: int = 200) -> Response:
        session = visit.at(number)
        context = {
            "visit": visit,
            "at": number,
            "wish": session.goal.instruction_text,
            "typed": visit.query,
            "alert": alert,
            **shown(session),
        }
        if visit.bought:
            context |= await self._result(visit)
        return self._page(context["kind"], context, status=status)

    async def act(self, request: Request) -> Response:
        """Search, or click; then the way to what comes of it, so that a reload does nothing twice."""
        visit, number = self._visit(request), request.path_params["number"]
        form = await request.form()
        typed, clicked = form.get("query"), form.get("click")
        number, before = min(number, visit.number), visit.number
        try:
            if isinstance(clicked, str) and clicked.isascii() and clicked.isdigit():
                shows = visit.click(number, int(clicked))
            elif isinstance(typed, str):
                shows = visit.search(number, typed)
            else:
                raise ActionError("There is nothing to do there.")
        except ActionError as error:
            return await self._shown(visit, number, alert=str(error), status=422)
        self._offer.recording.took(visit, visit.number - before)
        if visit.bought:
            self._offer.recording.end(visit)
        return self._to(visit, shows)

    async def leave(self, request: Request) -> Response:
        """End a session that bought nothing, and delete what was recorded of it."""
        visit = self._visit(request)
        if visit.bought:
            return self._to(visit)
        self._offer.recording.forget(visit)
        self._offer.sessions.close(visit.name)
        return RedirectResponse("/?left", 303)

    async def _result(self, visit: Visit) -> dict[str, Any]:
        goal, parts, reward = visit.session.goal, visit.result.reward_parts, visit.result.reward
        played = await self._played(visit.goal)
        return {
            "reward": reward,
            "counted": what_counted(goal, parts),
            "reckoned": how_reckoned(goal, parts, reward),
            "steps": visit.number,
            "agents": None if played is None else [self._bought(one) for one in played.episodes],
            "failed": {} if played is None else played.failed,
            "playing": self._offer.opponents.names,
            "told": self._offer.told(visit),
        }

    def _bought(self, episode: Episode) -> dict[str, Any]:
        """What an agent ended its session with."""
        one = episode.trajectory
        session = self._offer.task.shop.session(one.goal_index)
        for step in one.steps:
            session.step(step.actions[step.chosen])
        return {
            "name": episode.arm,
            "reward": one.reward,
            "steps": len(one.steps),
            "item": item_of(session.product) if session.done else None,
            "options": dict(session.options),
        }

    async def _played(self, goal: int) -> Played | None:
        """What the agents did; None where they are not ready."""
        try:
            played = asyncio.wrap_future(self._offer.opponents.play(goal))
            return await asyncio.wait_for(asyncio.shield(played), PATIENCE_S)  # they play on when nobody waits
        except TimeoutError:
            return None

    async def watch_visit(self, request: Request) -> Response:
        """A person's session beside the agents'."""
        visit = self._finished(request)
        episodes = f"/visit/{visit.name}/episodes.json"
        data = data_of(await self._episodes_of(visit), self._offer.task.name)
        return self._watch("You and the agents", episodes, data, beside=True, visit=visit)

    async def episodes_of_visit(self, request: Request) -> Response:
        """The same for the script."""
        visit = self._finished(request)
        return JSONResponse(data_of(await self._episodes_of(visit), self._offer.task.name), headers=_HEADERS)

    def _finished(self, request: Request) -> Visit:
        visit = self._visit(request)
        if not visit.bought:
            raise HTTPException(404, "There is something to watch when something was bought.")
        return visit

    async def _episodes_of(self, visit: Visit) -> list[Episode]:
        played = await self._played(visit.goal)
        own = await asyncio.wrap_future(self._offer.opponents.judge(visit.trajectory, YOU))
        return [own, *(() if played is None else played.episodes)]

    async def watch(self, request: Request) -> Response:
        """The episodes that the site was given to show."""
        data = self._watched()
        return self._watch("Episodes", "/watch/episodes.json", data, beside=False, visit=None)

    async def episodes(self, request: Request) -> Response:
        """The same for the script."""
        return JSONResponse(self._watched(), headers=_HEADERS)

    def _watched(self) -> dict[str, Any]:
        if self._offer.watched is None:
            raise HTTPException(404, "No episodes to watch were given: start the site with --watch FOLDER.")
        return data_of(self._offer.watched.episodes, self._offer.watched.task)

    def _watch(
        self, title: str, episodes: str, data: Mapping[str, Any], *, beside: bool, visit: Visit | None
    ) -> Response:
        plain = list(zip(data["summaries"], data["details"], strict=True))[:PLAIN_EPISODES]
        context = {
            "title": title, "episodes": episodes, "plain": plain, "all": len(data["summaries"]), "beside": beside,
            "visit": visit,
        }  # fmt: skip
        return self._page("watch", context, scripts=True)

    async def over(self, request: Request, error: Exception) -> Response:
        """For a session that is not there."""
        said = "It ended because nothing was done for a while, or it was left. What you did until then is recorded."
        return self._page("message", {"title": "This session is over", "text": said}, status=410)

    async def full(self, request: Request, error: SessionsFullError) -> Response:
        """For whoever comes when there are too many."""
        said = "As many people are shopping as there is room for. Please try again in a few minutes."
        response = self._page("message", {"title": "The shop is full", "text": said}, status=503)
        response.headers["retry-after"] = str(round(error.retry_after_s))
        return response

    async def refused(self, request: Request, error: HTTPException) -> Response:
        """For what is not there."""
        said = error.detail if isinstance(error.detail, str) else ""
        page = self._page("message", {"title": "Not here", "text": f"{said.rstrip('.')}."}, status=error.status_code)
        page.headers.update(error.headers or {})
        return page

    async def failed(self, request: Request, error: Exception) -> Response:
        """For what went wrong here; the traceback is on the terminal."""
        said = "Something went wrong in the shop. What you did before is recorded; please begin again."
        return self._page("message", {"title": "The shop has failed", "text": said}, status=500)
