"""A server as a process of its own: who may talk to it, and how it ends."""

from __future__ import annotations

import asyncio
import base64
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from algorithms.services.server import Guard, ServerError, ServerFlags, listen, read_token
from rl_recsys.console.command import read_flags
from rl_recsys.console.ranges import RangeError
from tests.services.running import serving

ROOT = Path(__file__).parents[2]
TOKEN = "a-secret-of-some-length"


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def echo(socket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


def an_app() -> Starlette:
    methods = ["GET", "POST"]
    routes = [Route("/", answer, methods=methods), Route("/health", answer), WebSocketRoute("/ws", echo)]
    return Starlette(routes=routes)


@pytest.fixture(scope="module")
def local():
    with serving(Guard(an_app(), max_body=1000)) as url:
        yield url


@pytest.fixture(scope="module")
def with_token():
    with serving(Guard(an_app(), token=TOKEN)) as url:
        yield url


def status_of_socket(url: str, **headers: str) -> int:
    async def ask() -> int:
        try:
            async with connect(url.replace("http", "ws") + "/ws", additional_headers=headers) as socket:
                await socket.send("hello")
                assert await socket.recv() == "hello"
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "headers, reading, changing",
    [
        ({}, 200, 200),
        ({"Host": "localhost:1"}, 200, 200),
        ({"Host": "[::1]:1"}, 200, 200),
        ({"Host": "shop.example"}, 421, 421),
        ({"Host": "127.0.0.1.example:8000"}, 421, 421),
        ({"Origin": "http://shop.example"}, 200, 403),
        ({"Origin": "null"}, 200, 403),
        ({"Host": "localhost:1", "Origin": "http://localhost:1"}, 200, 200),
        ({"Host": "localhost:1", "Origin": "http://localhost:2"}, 200, 403),
    ],
)
def test_another_sites_pages_get_nothing(local, headers, reading, changing):
    assert httpx.get(local, headers=headers).status_code == reading
    assert httpx.post(local, headers=headers).status_code == changing
    if "Host" not in headers:
        assert status_of_socket(local, **headers) == (101 if changing == 200 else changing)


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


@pytest.mark.parametrize(
    "authorization, status",
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (basic(TOKEN), 200),
        (f"Bearer {TOKEN}x", 401),
        (basic("another"), 401),
        ("Basic ???", 401),
        (f"Digest {TOKEN}", 401),
        (TOKEN, 401),
        ("", 401),
    ],
)
def test_a_server_with_a_token_answers_those_who_have_it(with_token, authorization, status):
    headers = {"Authorization": authorization}
    answered = httpx.get(with_token, headers=headers | {"Host": "shop.example"})
    assert answered.status_code == status
    assert ("www-authenticate" in answered.headers) == (status == 401)
    assert status_of_socket(with_token, **headers) == (101 if status == 200 else status)
    assert httpx.get(f"{with_token}/health").status_code == 200, "health is for those who have no token"


def test_a_body_that_is_too_long_is_refused(local):
    assert httpx.post(local, content=b"x" * 1000).text == "1000"
    assert httpx.post(local, content=b"x" * 1001).status_code == 413
    assert httpx.post(local, content=iter([b"x"] * 900)).text == "900", "in parts, without a length"
    assert httpx.post(local, content=iter([b"x" * 600] * 2)).status_code == 500


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0 can be reached from elsewhere: give --token-file"),
        (["--host", "shop.example"], "can be reached from elsewhere"),
        (["--port", "65536"], "--port is 65536, it must be at least 0 and at most 65535"),
    ],
)
def test_flags_that_cannot_be_are_refused(flags, message):
    with pytest.raises((ServerError, RangeError), match=re.escape(message)):
        read_flags(ServerFlags, "", flags)


def test_a_host_with_a_token_is_taken(tmp_path):
    flags = read_flags(ServerFlags, "", ["--host", "0.0.0.0", "--token-file", str(tmp_path / "token")])
    assert flags.host == "0.0.0.0"


@pytest.mark.parametrize("text", ["", "short", "two words of some length", "ä" * 20])
def test_a_token_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "token").write_text(text)
    with pytest.raises(ServerError, match="a token is one word of at least 16 ASCII characters"):
        read_token(tmp_path / "token")


def test_a_port_that_is_taken_is_named():
    taken = listen("127.0.0.1", 0)
    port = taken.getsockname()[1]
    with pytest.raises(ServerError, match=f"cannot listen at 127.0.0.1, port {port} .*; name another --port"):
        listen("127.0.0.1", port)
    taken.close()


SERVE = """
from algorithms.services.server import ServerFlags, run_server
from tests.services.test_server import an_app

if __name__ == "__main__":  # and not in the processes that it starts
    run_server(an_app, ServerFlags(port=0), processes={processes})
"""


@pytest.mark.parametrize("processes", [1, 2])
def test_a_server_that_is_told_to_end_closes_its_sockets(processes):
    code = SERVE.format(processes=processes)
    server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    url = re.search(r"http://\S+", server.stdout.readline())[0]

    async def talk() -> int:
        async with connect(url.replace("http", "ws") + "/ws", open_timeout=60) as socket:
            await socket.send("hello")
            assert await socket.recv() == "hello"
            server.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            return closed.value.rcvd.code

    assert asyncio.run(talk()) == 1012
    assert server.wait(60) in (0, -signal.SIGTERM)
