"""AgentGym's routes for WebShop: its clients need another address, and nothing else.

A session is a number that /create gives and /close takes back; one that its client forgot ends by being idle.
"""

from __future__ import annotations

import secrets

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from algorithms.services.environment.messages import AvailableActions, Index
from algorithms.services.sessions import NoSessionError, Sessions, SessionsFullError
from envs.webshop_served import EpisodeOverError, ServedSession, ServedShop
from envs.webshop_text import MAX_ACTION
from rl_recsys.errors import UserError

PREFIX = "/agentgym"
NUMBERS = 2**31


class Session(BaseModel):
    """A session by its number."""

    env_idx: int


class Reset(Session):
    """Begin an episode of a goal, by its index; without one a goal is drawn."""

    session_id: Index | None = None


class Step(Session):
    """Take an action."""

    action: str = Field(max_length=MAX_ACTION)


class Stepped(BaseModel):
    """What came of it."""

    state: str
    reward: float
    done: bool
    info: None = None


class Page(BaseModel):
    """A page in full."""

    url: str
    html: str
    instruction_text: str


def agentgym_routes(shop: ServedShop, sessions: Sessions) -> APIRouter:
    """The routes, below ``PREFIX``. Sessions are in this process, so all requests must reach it."""
    router = APIRouter(prefix=PREFIX, tags=["AgentGym"])

    def of(number: int) -> ServedSession:
        try:
            return sessions.get(number)
        except NoSessionError as error:
            raise HTTPException(404, str(error)) from None

    def fresh() -> ServedSession:
        session = shop.session()
        session.reset(observation_mode="text")
        return session

    @router.get("/")
    async def ok() -> str:
        """Whether the server serves."""
        return "ok"

    @router.get("/list_envs")
    async def list_envs() -> list[int]:
        """The sessions that there are."""
        return [key for key in sessions if isinstance(key, int)]

    @router.post("/create")
    async def create() -> int:
        """A new session, with an episode."""
        try:
            return sessions.open(fresh, new_key=lambda: secrets.randbelow(NUMBERS))
        except SessionsFullError as full:
            raise HTTPException(503, str(full), headers={"Retry-After": f"{full.retry_after_s:.0f}"}) from None

    @router.post("/reset")
    async def reset(request: Reset) -> tuple[str, None]:
        """Begin an episode."""
        try:
            return of(request.env_idx).reset(goal=request.session_id, observation_mode="text")["text"], None
        except UserError as error:
            raise HTTPException(422, str(error)) from None

    @router.post("/step")
    async def step(request: Step) -> Stepped:
        """Take an action. After the end of an episode 409."""
        try:
            observed, reward, done = of(request.env_idx).step(request.action)
        except EpisodeOverError as error:
            raise HTTPException(409, str(error)) from None
        return Stepped(state=observed["text"], reward=reward, done=done)

    @router.get("/observation")
    async def observation(env_idx: int) -> str:
        """The page."""
        return of(env_idx).env.session.page.text

    @router.get("/available_actions")
    async def available_actions(env_idx: int) -> AvailableActions:
        """What the page offers."""
        return AvailableActions(**of(env_idx).env.get_available_actions())

    @router.get("/instruction_text")
    async def instruction_text(env_idx: int) -> str:
        """The instruction as the page shows it. After a purchase, where none is shown, 409."""
        try:
            return of(env_idx).env.get_instruction_text()
        except ValueError as error:
            raise HTTPException(409, str(error)) from None

    @router.get("/state")
    async def state(env_idx: int) -> Page:
        """The page in full."""
        session = of(env_idx).env.session
        return Page(url=session.page.url, html=session.page.html, instruction_text=session.goal.instruction_text)

    @router.post("/close")
    async def close(request: Session) -> bool:
        """End a session; whether there was one."""
        return sessions.close(request.env_idx)

    return router
