"""How every server here runs: where it listens, who may talk to it, and how it ends."""

from __future__ import annotations

import base64
import hmac
import ipaddress
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from rl_recsys.console.command import Flags
from rl_recsys.console.ranges import COUNT, RATE, Range
from rl_recsys.console.terminal import say
from rl_recsys.errors import UserError

PORT = Range(least=0, most=65535)
HEALTH = "/health"  # asked by Kubernetes and the like, which have no token
BACKLOG = 2048  # connections that wait to be accepted
MAX_BODY = 1 << 20  # bytes of a request
MAX_MESSAGE = 1 << 20  # bytes of a WebSocket message
CLOSING_S = 10  # for requests under way when the server ends
STARTING_S = 60  # that a process may take to import what it needs: uvicorn kills one that does not answer until then
PING_S = 20.0  # after which a connection is asked whether it lives, and again as long for the answer
LEAST_TOKEN = 16  # characters
SAFE = ("GET", "HEAD", "OPTIONS")  # methods that change nothing

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class ServerError(UserError):
    """A server cannot start as it was asked to; the message names the flag."""


@dataclass(kw_only=True)
class ServerFlags(Flags):
    """Where a server listens and who may talk to it."""

    host: str = "127.0.0.1"
    """Address to listen at: this machine only, unless another is named; 0.0.0.0 is every address of the machine."""
    port: Annotated[int, PORT] = 8000
    """Port to listen at; 0 takes a free one, which is printed."""
    token_file: Path | None = None
    """File with a secret of at least 16 characters, which clients send as "Authorization: Bearer SECRET", and browsers
    as a password for any name. Needed for addresses other than this machine's own."""

    def validate(self) -> None:
        """Raise ``UserError`` where others could reach the server and no token keeps them out."""
        super().validate()
        if self.token_file is None and not is_loopback(self.host):
            raise ServerError(f"--host {self.host} can be reached from elsewhere: give --token-file, or 127.0.0.1")


@dataclass(kw_only=True)
class SessionFlags(ServerFlags):
    """A server that holds sessions."""

    sessions: Annotated[int, COUNT] = 1000
    """Sessions at a time, of each process; further ones are refused."""
    idle_seconds: Annotated[float, RATE] = 600.0
    """Seconds without a message after which a session ends."""


def is_loopback(host: str) -> bool:
    """Whether an address, or a name for it, is reached from its own machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def run_server(make_app: Callable[[], App], flags: ServerFlags, *, processes: int = 1) -> None:
    """Serve until SIGTERM or Ctrl-C: requests under way are answered, and sockets are closed with 1012.

    ``processes``: that share the address, each with an app of its own; a connection stays with one of them, and one
    that dies is started again. ``make_app`` must then be picklable. Raises ``ServerError``.
    """
    token = read_token(flags.token_file)
    if processes == 1:
        make_app = partial(_same, make_app())  # what it lacks is said before anybody can ask
    guarded = partial(_guarded, make_app, token, local=is_loopback(flags.host))
    listening = listen(flags.host, flags.port)
    config = configuration(guarded, processes)
    say(f"serving at {address_of(listening)} (Ctrl-C ends it)")
    if processes == 1:
        uvicorn.Server(config).run([listening])
    else:
        Multiprocess(config, [listening]).run()


def configuration(make_app: Callable[[], App], processes: int = 1) -> uvicorn.Config:
    """How uvicorn serves an app."""
    return uvicorn.Config(
        make_app,
        factory=True,
        workers=processes,
        loop="uvloop",
        ws_per_message_deflate=False,  # costs as much as a step of the shop, and 40 kB a session
        ws_max_size=MAX_MESSAGE,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        backlog=BACKLOG,
        timeout_graceful_shutdown=CLOSING_S,
        timeout_worker_healthcheck=STARTING_S,
        access_log=False,
        server_header=False,
        log_level="warning",
    )


def _same(app: App) -> App:
    return app


def _guarded(make_app: Callable[[], App], token: str | None, *, local: bool) -> App:
    try:
        return Guard(make_app(), token=token, local=local)
    except UserError as error:  # of one of several processes: the others would fail alike
        say(f"error: {error}")
        sys.exit(STARTUP_FAILURE)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at an address. Raises ``ServerError`` where it cannot."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ServerError(f"cannot listen at {host}, port {port} ({reason}); name another --port or --host") from None
    listening.set_inheritable(True)
    return listening


def address_of(listening: socket.socket) -> str:
    """The URL of a socket that listens."""
    host, port, *_ = listening.getsockname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def read_token(path: Path | None) -> str | None:
    """The secret of a file. Raises ``ServerError`` where it could be guessed."""
    if path is None:
        return None
    token = path.read_text().strip()
    if len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ServerError(
            f"{path}: a token is one word of at least {LEAST_TOKEN} ASCII characters; "
            f"python -c 'import secrets; print(secrets.token_urlsafe())' > {os.fspath(path)} makes one"
        )
    return token


class Guard:
    """An app for those who may use it: with the ``token``, if there is one, and not by a page of somebody else's site.

    A browser tells where a request comes from (Origin): another site's pages get nothing changed and no socket. Without
    a token a ``local`` server also refuses names that are not this machine's own, since such a name can be made to lead
    here (DNS rebinding). ``HEALTH`` is answered to everybody. A body of more than ``max_body`` bytes is refused.
    """

    def __init__(self, app: App, *, token: str | None = None, local: bool = True, max_body: int = MAX_BODY):
        self._app, self._max_body = app, max_body
        self._local = local and token is None
        self._accepted = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        headers = dict(scope["headers"])
        refused = self._refused(scope, headers)
        if refused is not None:
            return await _refuse(scope, receive, send, *refused)
        if scope["type"] == "http":
            length = headers.get(b"content-length", b"0")
            if not length.isdigit() or int(length) > self._max_body:
                return await _refuse(scope, receive, send, 413, f"a request has at most {self._max_body:,} bytes")
            if b"transfer-encoding" in headers:
                receive = self._counted(receive)
        return await self._app(scope, receive, send)

    def _refused(self, scope: Scope, headers: Mapping[bytes, bytes]) -> tuple[int, str] | None:
        """(status, reason), None where nothing is amiss."""
        if scope["path"] == HEALTH:
            return None
        host = headers.get(b"host", b"").decode("latin-1")
        if self._local and not is_loopback(urlsplit(f"//{host}").hostname or ""):
            return 421, "this server answers to this machine's own names only; start it with --token-file for others"
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE
        if changes and b"origin" in headers and urlsplit(headers[b"origin"].decode("latin-1")).netloc != host:
            return 403, "a page of another site may not use this server"
        if self._accepted is not None and not self._has_token(headers.get(b"authorization", b"")):
            return 401, "send the server's token: Authorization: Bearer TOKEN"
        return None

    def _has_token(self, authorization: bytes) -> bool:
        kind, _, given = authorization.partition(b" ")
        if kind.lower() == b"basic":
            try:
                given = base64.b64decode(given, validate=True).partition(b":")[2]
            except ValueError:
                return False
        elif kind.lower() != b"bearer":
            return False
        return hmac.compare_digest(given.strip(), self._accepted)

    def _counted(self, receive: Receive) -> Receive:
        """A body in parts, which says its length nowhere: one that is too long ends as a client that left does."""
        read = 0

        async def counted() -> MutableMapping[str, Any]:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            return message if read <= self._max_body else {"type": "http.disconnect"}

        return counted


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, reason: str) -> None:
    kind = "http.response"
    if scope["type"] == "websocket":
        await receive()  # the connection is to be asked for before it is refused
        kind = "websocket.http.response"
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="rl-recsys", charset="UTF-8"'))  # a browser asks for it then
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": f"{reason}\n".encode()})
