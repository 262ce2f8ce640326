"""The server of the shop: its sessions, what it does beside them, and the routes of both protocols."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI

from algorithms.services.environment.agentgym import agentgym_routes
from algorithms.services.environment.openenv import openenv_routes
from algorithms.services.sessions import Sessions
from envs.webshop_served import ServedShop
from rl_recsys.console.terminal import say
from rl_recsys.errors import UserError

LOOK_EVERY_S = 2.0  # whether another shop took the folder's place


def environment_app(*, sessions: int, idle_s: float, several_processes: bool = False, **shop: Any) -> FastAPI:
    """An app that holds so many ``sessions``, and ends one that is idle for ``idle_s`` seconds.

    ``several_processes``: it is one of those that share an address, which AgentGym's routes cannot: each of their
    requests may reach another. ``shop``: arguments of ``ServedShop``, and what is raised.
    """
    served, held = ServedShop(**shop), Sessions(sessions, idle_s)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        looking = asyncio.create_task(_look_for_another_shop(served))
        async with held.ending_idle_ones():
            yield
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking

    app = FastAPI(title="WebShop", version=served.shop.fingerprint, lifespan=lifespan)
    if not several_processes:
        app.include_router(agentgym_routes(served, held))
    app.include_router(openenv_routes(served, held))  # last: one of its routes begins with a name
    return app


async def _look_for_another_shop(served: ServedShop) -> None:
    said = ""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            if await asyncio.to_thread(served.open_what_replaced_it):
                say(f"another shop is in {served.place}: episodes that begin now are in it")
                said = ""
        except (UserError, OSError) as error:  # it may be there in a moment
            if str(error) != said:
                said = str(error)
                say(f"warning: episodes go on in the shop that was opened: {said}")
