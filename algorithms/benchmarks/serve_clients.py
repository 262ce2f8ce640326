"""Clients of a server of the shop that walk at random: how much they get, and what it costs the server."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Mapping
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import psutil
import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from rl_recsys.runs.measurement import MEGABYTE, own_memory

SEARCH_WORDS = 6
SETTLING_S = 1.0  # before a measurement
GOALS = 500
LAST_END_S = 60.0  # for the last sessions to end
AT_ONCE = 32  # connections that are being opened


def next_action(observed: Mapping[str, Any], chance: random.Random) -> str:
    """A search for some words of the instruction where one can search, else a click on anything."""
    actions = observed["available_actions"]
    if actions["has_search_bar"] or not actions["clickables"]:
        return f"search[{' '.join(observed['instruction_text'].split()[:SEARCH_WORDS])}]"
    return f"click[{chance.choice(actions['clickables'])}]"


class Client:
    """A session on a socket."""

    def __init__(self, number: int):
        self._goal, self._chance = number, random.Random(number)
        self._observed: dict[str, Any] | None = None
        self.steps = 0

    async def open(self, url: str, permits: asyncio.Semaphore) -> None:
        """Connect and begin an episode."""
        async with permits:
            self.socket: ClientConnection = await connect(f"ws://{urlsplit(url).netloc}/ws")
            await self.step()

    async def begin(self, goal: int) -> None:
        """An episode of this goal."""
        self._goal, self._observed = goal, None
        await self.step()

    async def step(self) -> None:
        """A step, or a reset where there is no episode; equal walks in equal shops."""
        if self._observed is None:
            message = {"type": "reset", "data": {"goal": self._goal % GOALS}}
            self._goal += 1
        else:
            message = {"type": "step", "data": {"action": next_action(self._observed, self._chance)}}
        await self.socket.send(json.dumps(message))
        answer = json.loads(await self.socket.recv())
        if answer["type"] != "observation":
            raise RuntimeError(f"the server answered {message} with {answer}")
        self._observed = None if answer["data"]["done"] else answer["data"]["observation"]
        self.steps += 1


async def _opened(url: str, first: int, count: int) -> list[Client]:
    clients, permits = [Client(first + number) for number in range(count)], asyncio.Semaphore(AT_ONCE)
    await asyncio.gather(*(client.open(url, permits) for client in clients))
    return clients


def walk(url: str, sessions: int, seconds: float, pid: int) -> dict[str, float]:
    """{"steps", "seconds", "us": of the server's CPU a step, "kilobytes": of its memory that a session took}."""
    return uvloop.run(_walk(url, sessions, seconds, psutil.Process(pid)))


def warm(url: str, sessions: int, steps: int) -> dict[str, int]:
    """{"steps"}: have a shop make all that it keeps, as the searches of all goals, which are no part of a step later.

    So it is with the step in process, whose walk is taken twice.
    """
    return uvloop.run(_warm(url, sessions, steps))


async def _warm(url: str, sessions: int, steps: int) -> dict[str, int]:
    clients = await _opened(url, 0, sessions)

    async def play(client: Client, number: int) -> None:
        for goal in range(number, GOALS, sessions):
            await client.begin(goal)
            await client.step()
        for _ in range(steps // sessions):
            await client.step()

    await asyncio.gather(*(play(client, number) for number, client in enumerate(clients)))
    await asyncio.gather(*(client.socket.close() for client in clients))
    return {"steps": sum(client.steps for client in clients)}


async def _walk(url: str, sessions: int, seconds: float, server: psutil.Process) -> dict[str, float]:
    before = own_memory(server)
    clients = await _opened(url, 0, sessions)
    ends = time.perf_counter() + SETTLING_S + seconds

    async def play(client: Client) -> None:
        while time.perf_counter() < ends:
            await client.step()

    playing = [asyncio.create_task(play(client)) for client in clients]
    await asyncio.sleep(SETTLING_S)
    start, cpu, steps = time.perf_counter(), _cpu(server), sum(client.steps for client in clients)
    await asyncio.gather(*playing)
    taken, cpu = time.perf_counter() - start, _cpu(server) - cpu
    steps = sum(client.steps for client in clients) - steps
    kilobytes = (own_memory(server) - before) / sessions / 1000
    await asyncio.gather(*(client.socket.close() for client in clients))
    return {"steps": steps, "seconds": taken, "us": 1e6 * cpu / steps, "kilobytes": kilobytes}


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def soak(url: str, steps: int, sessions: int, rounds: int, pid: int) -> dict[str, Any]:
    """{"megabytes" [a round], "steps", "sessions", "seconds", "left": sessions at the end}.

    No session is closed: half are on sockets that fall silent after their steps, half are made by AgentGym's routes and
    forgotten.
    """
    return uvloop.run(_soak(url, steps, sessions, rounds, psutil.Process(pid)))


async def _soak(url: str, steps: int, sessions: int, rounds: int, server: psutil.Process) -> dict[str, Any]:
    start, count, each = time.perf_counter(), max(sessions // rounds // 2, 1), 0
    memory, silent, played = [], [], 0
    each = steps // rounds // count
    for number in range(rounds):
        while (there := await asyncio.to_thread(_get, url, "/sessions"))["most"] - there["open"] < 2 * count:
            await asyncio.sleep(0.1)  # until the server has ended enough of those that were left
        clients = await _opened(url, number * count, count)

        async def play(client: Client) -> None:
            while client.steps < each:
                await client.step()

        await asyncio.gather(*map(play, clients))
        played += sum(client.steps for client in clients)
        silent += [asyncio.create_task(_until_ended(client)) for client in clients]
        played += await asyncio.to_thread(_forget, url, count)
        memory.append(own_memory(server) / MEGABYTE)
    codes = await asyncio.gather(*silent)
    if set(codes) != {4408}:
        raise RuntimeError(f"sockets were closed for other reasons than being idle: {sorted(set(codes))}")
    deadline = time.perf_counter() + LAST_END_S
    while (left := _get(url, "/sessions")["open"]) and time.perf_counter() < deadline:
        await asyncio.sleep(0.1)
    taken = time.perf_counter() - start
    return {"megabytes": memory, "steps": played, "sessions": 2 * count * rounds, "seconds": taken, "left": left}


async def _until_ended(client: Client) -> int:
    try:
        await client.socket.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code
    raise RuntimeError("a message that nobody asked for")


def _forget(url: str, count: int) -> int:
    """Make sessions by AgentGym's routes, take a step in each, and leave them."""
    connection = HTTPConnection(urlsplit(url).netloc)
    for _ in range(count):
        number = _ask(connection, "POST", "/agentgym/create")
        _ask(connection, "POST", "/agentgym/step", {"env_idx": number, "action": "search[shirt]"})
    connection.close()
    return count


def _get(url: str, path: str) -> Any:
    connection = HTTPConnection(urlsplit(url).netloc)
    answer = _ask(connection, "GET", path)
    connection.close()
    return answer


def _ask(connection: HTTPConnection, method: str, path: str, body: Any = None) -> Any:
    connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path} was answered with {answer.status}: {text[:200]!r}")
    return json.loads(text)
