"""The recommender over HTTP: routes, statuses, the page with the search box, and what OpenAPI says of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Form, HTTPException, Query
from fastapi import Request as HttpRequest
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from jinja2 import Environment, PackageLoader
from pydantic import ValidationError

from algorithms.services.recommender.engine import Overloaded
from algorithms.services.recommender.feedback import FeedbackError
from algorithms.services.recommender.ledger import ReportedError, UnknownListError
from algorithms.services.recommender.messages import (
    MAX_TEXT,
    Answer,
    Answers,
    Batch,
    Feedback,
    Problem,
    Recorded,
    Request,
)
from algorithms.services.recommender.metrics import Metrics
from algorithms.services.recommender.service import Recommender, RefusedError, recommend_all
from algorithms.services.server import HEALTH
from rl_recsys.errors import UserError

STATUSES = {RefusedError: 422, FeedbackError: 422, UnknownListError: 404, ReportedError: 409, Overloaded: 503}
NDJSON = "application/x-ndjson"
PAGES = "algorithms.services.recommender"
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with none, a browser gives its own forms the origin "null", which is refused
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    422: {"model": Problem, "description": "What is wrong with the request"},
    503: {"model": Problem, "description": "Too many requests wait; Retry-After says when to ask again"},
}

routes = APIRouter()
_templates = Environment(loader=PackageLoader(PAGES, "pages"), autoescape=True)


def _recommender(request: HttpRequest) -> Recommender:
    return request.app.state.recommender


Service = Annotated[Recommender, Depends(_recommender)]


@routes.post("/recommend", responses=REFUSALS)
async def recommend(request: Request, service: Service) -> Answer:
    """Products for what somebody wants: what the agent's sessions bought most often first, then what the search finds.

    The same request has the same list, unless several policies take turns.
    """
    return await service.recommend(request)


@routes.post("/recommend/batch", responses=REFUSALS)
async def recommend_batch(batch: Batch, service: Service) -> Answers:
    """Several requests, answered in their order. One that cannot be answered says why in its status."""
    return Answers(answers=await recommend_all(service, batch.requests))


@routes.post(
    "/recommend/stream",
    response_class=StreamingResponse,
    responses=REFUSALS | {200: {"content": {NDJSON: {"schema": Answer.model_json_schema()}}}},
)
async def recommend_stream(request: Request, service: Service, http: HttpRequest) -> StreamingResponse:
    """The same as lines of JSON: at once the search's list, then the agent's as its sessions end, the last "done"."""
    begun = time.perf_counter()
    answers = service.stream(request)
    first = await anext(answers)  # a refusal has a status of its own
    http.app.state.metrics.first_list(time.perf_counter() - begun)
    return StreamingResponse(_lines(first, answers), media_type=NDJSON)


async def _lines(first: Answer, answers: AsyncIterator[Answer]) -> AsyncIterator[str]:
    try:
        yield f"{first.model_dump_json()}\n"
        async for answer in answers:
            yield f"{answer.model_dump_json()}\n"
    except UserError as error:  # the status is sent already
        yield first.model_copy(update={"status": str(error), "products": []}).model_dump_json() + "\n"
    finally:
        await answers.aclose()


@routes.post(
    "/feedback",
    responses={
        404: {"model": Problem, "description": "No list of this id"},
        409: {"model": Problem, "description": "The list was reported on already, and otherwise"},
        422: {"model": Problem, "description": "The list has no such item"},
    },
)
async def feedback(given: Feedback, service: Service, http: HttpRequest) -> Recorded:
    """Report what became of a list, once. When this is answered the report and the episodes that it judges are on disk.

    The same report again is acknowledged again.
    """
    return await _report(given, service, http)


async def _report(given: Feedback, service: Recommender, http: HttpRequest) -> Recorded:
    policy, recorded = await service.feedback(given)
    outcome = "bought" if given.bought else "clicked" if given.clicked else "shown"
    http.app.state.metrics.feedback(policy, outcome)
    return recorded


@routes.get("/policies")
async def policies(service: Service) -> dict[str, Any]:
    """The policies that take turns: reports on their lists, mean reward, and where their mean is with 95 %."""
    return await service.standings()


@routes.get(HEALTH, include_in_schema=False)
async def health() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "healthy"}


@routes.get("/ready", responses={503: {"model": Problem}})
async def ready(service: Service) -> dict[str, str]:
    """Whether requests are taken: the policies are loaded and the engine plays."""
    if not service.engine.is_alive:
        raise HTTPException(503, "the engine does not play", headers={"Retry-After": "5"})
    return {"status": "ready"}


@routes.get("/", response_class=HTMLResponse, include_in_schema=False)
async def page(
    service: Service, q: Annotated[str, Query(max_length=MAX_TEXT)] = "", k: Annotated[int, Query(ge=1, le=50)] = 5
) -> HTMLResponse:
    """The search box, and without JavaScript the list for ``q``."""
    answer, problem, status = None, "", 200
    if q.strip():
        try:
            answer = await service.recommend(Request(text=q, k=k))
        except (UserError, ValidationError) as error:
            problem, status = str(error), _status(error)
    shown = _templates.get_template("page.html.j2").render(q=q, k=k, answer=answer, problem=problem, limit=MAX_TEXT)
    return HTMLResponse(shown, status, SECURITY)


@routes.post("/take", response_class=HTMLResponse, include_in_schema=False)
async def take(
    service: Service, http: HttpRequest, id: Annotated[str, Form()], item: Annotated[str, Form()]
) -> HTMLResponse:
    """What the page's button says without JavaScript: this one."""
    try:
        await _report(Feedback(id=id, bought=[item]), service, http)
        said, status = "Thank you: what you took is noted.", 200
    except (UserError, ValidationError) as error:
        said, status = str(error), _status(error)
    shown = _templates.get_template("page.html.j2").render(q="", k=5, answer=None, problem=said, limit=MAX_TEXT)
    return HTMLResponse(shown, status, SECURITY)


@routes.get("/page.{kind}", include_in_schema=False)
async def asset(kind: str) -> Response:
    """The page's style and script."""
    media = {"css": "text/css", "js": "text/javascript"}.get(kind)
    if media is None:
        raise HTTPException(404, "there is page.css and page.js")
    return Response((files(PAGES) / "pages" / f"page.{kind}").read_bytes(), media_type=media, headers=SECURITY)


def _status(error: Exception) -> int:
    return next((status for kind, status in STATUSES.items() if isinstance(error, kind)), 503)


async def _refusal(_: HttpRequest, error: UserError) -> JSONResponse:
    status = _status(error)
    headers = {"Retry-After": str(getattr(error, "retry_after_s", 1))} if status == 503 else {}
    return JSONResponse({"detail": str(error)}, status, headers)


def make_app(recommender: Recommender, metrics: Metrics) -> FastAPI:
    """The application around a recommender, which it closes at its end."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        showing = asyncio.create_task(metrics.show_load(recommender.engine))
        try:
            yield
        finally:
            showing.cancel()
            recommender.close()

    app = FastAPI(title="Recommender", description="Products for requests in words", lifespan=lifespan)
    app.state.recommender, app.state.metrics = recommender, metrics
    app.include_router(routes)
    app.add_exception_handler(UserError, _refusal)

    @app.middleware("http")
    async def measured(request: HttpRequest, answer: Callable[[HttpRequest], Awaitable[Response]]) -> Response:
        begun = time.perf_counter()
        response = await answer(request)
        route = request.scope.get("route")
        metrics.request(getattr(route, "path", "other"), response.status_code, time.perf_counter() - begun)
        return response

    return app
