"""OpenEnv's protocol, spoken by ourselves: its package costs 150 MB, and a thread for each session."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, HTTPException, WebSocket
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from algorithms.services.environment.messages import (
    Observation,
    Observed,
    Place,
    Range,
    ResetSettings,
    ShopAction,
    Split,
    State,
    StepRequest,
)
from algorithms.services.sessions import NoSessionError, Sessions, SessionsFullError
from envs import wire
from envs.webshop_served import ServedSession, ServedShop
from envs.webshop_text import MAX_ACTION
from rl_recsys.errors import UserError

NAME = "webshop"
MOST_TASKS = 1000  # in one answer
NO_MCP = {"code": -32603, "message": "Environment does not support MCP"}

_encode = json.JSONEncoder(check_circular=False).encode
_log = logging.getLogger(__name__)


def openenv_routes(shop: ServedShop, sessions: Sessions) -> APIRouter:
    """The socket on which episodes are played, and OpenEnv's routes, none of which knows a session."""
    router = APIRouter()

    @router.websocket(wire.SOCKET)
    async def play(socket: WebSocket) -> None:
        await _play(socket, shop, sessions)

    @router.post("/reset", tags=["without a session"])
    async def reset(settings: ResetSettings | None = None) -> Observed:
        """The first observation of an episode, which is then forgotten: play on the WebSocket /ws."""
        try:
            return Observed(observation=shop.session().reset(**(settings or ResetSettings()).arguments()))
        except (UserError, ValueError, LookupError) as error:
            raise HTTPException(422, str(error)) from None

    @router.post("/step", tags=["without a session"])
    async def step(request: StepRequest) -> Observed:
        """What an action leads to on a first page, which is then forgotten: play on the WebSocket /ws."""
        session = shop.session()
        session.reset()
        return Observed(**_step(session, request.action.action))

    @router.get("/state", tags=["without a session"])
    async def state() -> State:
        """The state of a session that has not begun."""
        return State(**shop.session().state)

    @router.get("/health", tags=["about"])
    async def health() -> dict[str, str]:
        """Whether the server serves."""
        return {"status": "healthy"}

    @router.get("/sessions", tags=["about"])
    async def how_many() -> dict[str, int | float]:
        """Sessions of this process: how many there are, how many there may be, and how long one may be idle."""
        return {"open": len(sessions), "most": sessions.most, "idle_seconds": sessions.idle_s}

    @router.get("/metadata", tags=["about"])
    async def metadata() -> dict[str, str]:
        """What this is."""
        return {
            "name": NAME,
            "description": "A person wants something: search a shop, open products, choose options, buy one (WebShop)",
            "version": shop.shop.fingerprint,
        }

    @router.get("/schema", tags=["about"])
    async def schema() -> dict[str, Any]:
        """JSON schemas of what is sent and received on the socket."""
        kinds = {"action": ShopAction, "observation": Observation, "state": State, "reset": ResetSettings}
        return {name: kind.model_json_schema() for name, kind in kinds.items()}

    @router.post("/mcp", tags=["about"])
    async def mcp(request: dict[str, Any]) -> dict[str, Any]:
        """There are no MCP tools: the answer says so in JSON-RPC."""
        return {"jsonrpc": "2.0", "id": request.get("id"), "error": NO_MCP}

    _add_tasks(router, shop)
    return router


def _add_tasks(router: APIRouter, shop: ServedShop) -> None:
    """OpenEnv's task routes: goals by split and place, without their answers."""

    def goals(environment: str, split: str) -> int:
        if environment.lower() != NAME:
            raise HTTPException(404, f"unknown environment {environment!r}")
        try:
            return len(shop.shop.split(split))
        except UserError as error:
            raise HTTPException(400, str(error)) from None

    def some(environment: str, split: str, start: int | None, stop: int | None) -> dict[str, Any]:
        places = range(goals(environment, split))[start:stop][:MOST_TASKS]
        return {"tasks": [shop.task(split, place) for place in places]}

    @router.get("/list_environments", tags=["tasks"])
    async def list_environments() -> list[str]:
        """The one that there is."""
        return [NAME]

    @router.get("/{environment}/splits", tags=["tasks"])
    async def splits(environment: str) -> list[dict[str, str]]:
        """The shop's splits of its goals."""
        goals(environment, "all")
        return [{"name": name, "type": name if name in ("train", "test") else "validation"} for name in shop.splits]

    @router.post("/{environment}/num_tasks", tags=["tasks"])
    async def num_tasks(environment: str, request: Split) -> dict[str, int]:
        """How many goals a split has."""
        return {"num_tasks": goals(environment, request.split)}

    @router.post("/{environment}/tasks", tags=["tasks"])
    async def tasks(environment: str, request: Split) -> dict[str, Any]:
        """The first goals of a split."""
        return some(environment, request.split, None, None) | {"env_name": NAME}

    @router.post("/{environment}/task_range", tags=["tasks"])
    async def task_range(environment: str, request: Range) -> dict[str, Any]:
        """Some goals of a split."""
        return some(environment, request.split, request.start, request.stop)

    @router.post("/{environment}/task", tags=["tasks"])
    async def task(environment: str, request: Place) -> dict[str, Any]:
        """A goal of a split."""
        count = goals(environment, request.split)
        if request.index >= count:
            raise HTTPException(400, f"split {request.split!r} has {count} goals, none at {request.index}")
        return {"task": shop.task(request.split, request.index)}


async def _play(socket: WebSocket, shop: ServedShop, sessions: Sessions) -> None:
    """A socket is a session: it ends with the socket, and the socket with it."""
    await socket.accept()
    ending: list[asyncio.Task] = []  # a task that nobody holds may be forgotten before it is done

    def end(_session: ServedSession | None) -> None:
        ending.append(asyncio.ensure_future(_close(socket, wire.IDLE, f"idle for more than {sessions.idle_s:g} s")))

    try:
        key = sessions.open(shop.session, ended=end)
    except SessionsFullError as full:
        await socket.send_text(
            _error(wire.CAPACITY_REACHED, str(full), active_sessions=len(sessions), max_sessions=full.most)
        )
        await _close(socket, wire.TRY_AGAIN_LATER, str(full))
        return
    try:
        while (message := await socket.receive())["type"] == "websocket.receive":
            text = message.get("text")
            reply = await answer(sessions.get(key), message.get("bytes") if text is None else text)
            if reply is None:
                break
            await socket.send_text(reply)
    except NoSessionError:  # it was idle, and is not looked for yet
        end(None)
    except WebSocketDisconnect:
        pass
    finally:
        sessions.close(key)
    if not ending:
        await _close(socket, 1000, "")
    await asyncio.gather(*ending)


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    with suppress(RuntimeError, WebSocketDisconnect):  # it is closed
        await socket.close(code, reason)


async def answer(session: ServedSession, text: str | bytes) -> str | None:
    """The reply to a message, None where it asks to close the session."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        return _error(wire.INVALID_JSON, f"not JSON: {error}")
    kind = message.get("type") if isinstance(message, dict) else None
    try:
        if kind == wire.STEP and message.keys() == {"type", "data"}:
            return _reply(wire.OBSERVATION, _step(session, _action(message["data"])))
        if not isinstance(message, dict) or message.keys() - {"type", "data"}:
            return _error(wire.VALIDATION_ERROR, 'a message is {"type": ..., "data": ...} and nothing else')
        if kind == wire.RESET:
            settings = ResetSettings.model_validate(message.get("data", {}))
            return _reply(wire.OBSERVATION, await _reset(session, settings))
        if kind == wire.STATE:
            return _reply(wire.STATE, session.state)
        if kind == wire.CLOSE:
            return None
        if kind == wire.MCP:
            data = message.get("data")
            number = data.get("id") if isinstance(data, dict) else None
            return _reply(wire.MCP, {"jsonrpc": "2.0", "id": number, "error": NO_MCP})
        if kind == wire.STEP:
            return _error(wire.VALIDATION_ERROR, 'a step needs "data": {"action": "..."}')
        return _error(wire.UNKNOWN_TYPE, f"unknown type {kind!r}: reset, step, state or close")
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False, include_context=False, include_input=False)
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in errors[:3])
        return _error(wire.VALIDATION_ERROR, said, errors=errors)
    except (UserError, ValueError, LookupError) as error:
        return _error(wire.EXECUTION_ERROR, str(error))
    except Exception as error:  # a mistake of ours must not end what the client has begun
        _log.exception("an error that nobody should see, at %.200r", text)
        return _error(wire.EXECUTION_ERROR, f"a mistake of the server's: {type(error).__name__}")


async def _reset(session: ServedSession, settings: ResetSettings) -> dict[str, Any]:
    """Others go on meanwhile where a goal from elsewhere needs a language model."""
    observed = session.reset(**settings.arguments())
    if settings.has_records:
        await asyncio.to_thread(session.prepare_score)
    return {"observation": observed, "reward": None, "done": False}


def _action(data: Any) -> str:
    """The action of a step. Nearly all are as they should be: these are not taken through pydantic."""
    match data:
        case {"action": str(action)} if len(data) == 1 and len(action) <= MAX_ACTION:
            return action
    return ShopAction.model_validate(data).action


def _step(session: ServedSession, action: str) -> dict[str, Any]:
    observed, reward, done = session.step(action)
    return {"observation": observed, "reward": reward, "done": done}


def _reply(kind: str, data: dict[str, Any]) -> str:
    return _encode({"type": kind, "data": data})


def _error(code: str, message: str, **more: Any) -> str:
    return _reply(wire.ERROR, {"message": message, "code": code} | more)
