"""WebShop-v0 in another process: gymnasium.make("WebShop-v0", shop="ws://host:port") plays on a server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gymnasium

from envs import wire
from envs.arguments import require_goals, require_number
from envs.options import OptionsError, read_options
from envs.spaces import MAX_TEXT, FreeText
from envs.webshop_options import OPTIONS
from envs.webshop_text import MAX_ACTION, ActionText, WebShopTextEnv, require_text, require_text_arguments
from rl_recsys.console.ranges import RATE
from rl_recsys.errors import UserError
from rl_recsys.webshop import Goal, Shop

TIMEOUT_S = 60.0  # for an answer
MAX_REPLY = 2**26  # bytes; a page has up to a million characters, each of which may take several


class RemoteShopError(UserError):
    """A server of the shop cannot be reached, has no room, or ended the session; the message says which."""


def webshop_env(shop: str | Path | Shop, **arguments: Any) -> gymnasium.Env:
    """WebShop-v0: on a server where ``shop`` is its address ("ws://host:port"), else in this process."""
    if isinstance(shop, str) and shop.startswith(wire.SCHEMES):
        return RemoteWebShopEnv(shop, **arguments)
    return WebShopTextEnv(shop, **arguments)


class RemoteWebShopEnv(gymnasium.Env):
    """
    ## Description
    The shop of a server that jobs/serve_environment.py runs. Spaces, observations, rewards, information and the end of
    an episode are those of ``WebShopTextEnv``, and equal seeds draw equal goals. Each environment has a session of its
    own on the server; it begins with the first reset, and anew with a reset after it was lost. In a pickled or copied
    environment it begins with a reset too.

    ## Arguments
    shop: the server's address, "ws://host:port" or "wss://...". token: the server's, if it has one. observation_mode,
    goals, max_steps, reveal_goal: as of ``WebShopTextEnv``; the last needs a server that allows it. timeout_s: seconds
    to wait for an answer. The shop's rules are the server's.

    Raises ``RemoteShopError`` where the server cannot be reached, has no room for a session, or ended this one, and
    ``OptionsError`` for what it does not take.
    """

    metadata = {"render_modes": ["ansi"]}

    def __init__(
        self,
        shop: str,
        *,
        token: str | None = None,
        observation_mode: str = "text_rich",
        goals: str | Sequence[int | Goal | Mapping] = "all",
        max_steps: int | None = None,
        reveal_goal: bool = False,
        timeout_s: float = TIMEOUT_S,
        render_mode: str | None = None,
    ):
        require_text_arguments(observation_mode, max_steps, reveal_goal, render_mode, self.metadata)
        require_goals(goals, int, others=(Goal, Mapping))  # the server knows which there are
        require_number("timeout_s", timeout_s, RATE)
        self.shop = shop.rstrip("/")
        self.observation_mode, self.render_mode = observation_mode, render_mode
        drawn = {"split": goals} if isinstance(goals, str) else {"goals": [wire.from_goal(goal) for goal in goals]}
        asked = {"observation_mode": observation_mode, "max_steps": max_steps, "reveal_goal": reveal_goal}
        self._settings = drawn | {name: value for name, value in asked.items() if value}
        self._token, self._timeout_s = token, timeout_s
        self.observation_space = FreeText(MAX_TEXT)
        self.action_space = ActionText(MAX_ACTION)
        self._socket: Any = None
        self._open = ExitStack()
        self._observed: dict[str, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_socket": None, "_observed": None, "_open": ExitStack()}

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin an episode; see ``WebShopTextEnv``."""
        super().reset(seed=seed)
        asked = {"seed": seed, **read_options(options, OPTIONS)}
        settings = {name: wire.from_goal(value) for name, value in asked.items() if value is not None}
        had_a_session = self._socket is not None
        try:
            answer = self._ask(wire.RESET, self._settings | settings)
        except RemoteShopError:
            if not had_a_session:
                raise
            answer = self._ask(wire.RESET, self._settings | settings)  # it was lost: in a new one
        text, _, _, info = self._outcome(answer)
        return text, info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take one action; see ``WebShopTextEnv``."""
        if self._observed is None:
            raise gymnasium.error.ResetNeeded("call reset first")
        require_text(action)
        answer = self._ask(wire.STEP, {"action": action})
        text, done, truncated, info = self._outcome(answer)
        return text, answer["reward"], done and not truncated, truncated, info

    def _outcome(self, answer: Mapping[str, Any]) -> tuple[str, bool, bool, dict[str, Any]]:
        """The page, whether the episode is over, whether it ran out of steps, and the information."""
        info = self._observed = dict(answer["observation"])
        text, truncated = info.pop("text"), info.pop("truncated")
        if "goal" in info:
            info["goal"] = Goal.from_mapping(info["goal"])
        return text, answer["done"], truncated, dict(info)

    def _ask(self, kind: str, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What the server answers. Raises ``RemoteShopError``, after which there is no socket, and ``OptionsError``."""
        from websockets.exceptions import WebSocketException

        try:
            if self._socket is None:
                self._socket = self._connected()
            message = {"type": kind} if data is None else {"type": kind, "data": data}
            self._socket.send(json.dumps(message))
            answer = json.loads(self._socket.recv(timeout=self._timeout_s))
        except (OSError, WebSocketException) as error:  # a timeout is one of the first
            self.close()
            raise RemoteShopError(f"{self.shop}: {_reason(error)}") from None
        except BaseException:  # Ctrl-C, say: the next answer would be this request's
            self.close()
            raise
        if answer["type"] != wire.ERROR:
            return answer["data"]
        message, code = answer["data"]["message"], answer["data"]["code"]
        if code == wire.CAPACITY_REACHED:
            self.close()
            raise RemoteShopError(f"{self.shop}: {message}")
        raise OptionsError(message)

    def _connected(self) -> Any:
        from websockets.sync.client import connect

        headers = {"Authorization": f"Bearer {self._token}"} if self._token else None
        opened = connect(
            self.shop + wire.SOCKET,
            additional_headers=headers,
            compression=None,
            max_size=MAX_REPLY,
            open_timeout=self._timeout_s,
        )
        return self._open.enter_context(opened)

    def get_available_actions(self) -> dict[str, Any]:
        """See ``WebShopTextEnv``."""
        return self._begun()["available_actions"]

    def get_instruction_text(self) -> str:
        """See ``WebShopTextEnv``."""
        actions = self._begun()["available_actions"]
        if not actions["clickables"]:
            raise ValueError("the page after a purchase shows no instruction; info has it as instruction_text")
        head = "Instruction: " if actions["has_search_bar"] else "Instruction:"
        return head + self._begun()["instruction_text"]

    def _begun(self) -> dict[str, Any]:
        if self._observed is None:
            raise gymnasium.error.ResetNeeded("call reset first")
        return self._observed

    def render(self) -> str | None:
        """The page as ``text_rich`` (render mode "ansi")."""
        return self._ask(wire.STATE)["page"] if self.render_mode == "ansi" and self._observed else None

    def close(self) -> None:
        """End the session."""
        self._socket = self._observed = None
        self._open.close()


def _reason(error: Exception) -> str:
    from websockets.exceptions import ConnectionClosed, InvalidStatus

    if isinstance(error, ConnectionClosed) and error.rcvd is not None:
        if error.rcvd.code == wire.TRY_AGAIN_LATER:  # the message that says so was not read
            return error.rcvd.reason
        return f"the server ended the session ({error.rcvd.code} {error.rcvd.reason}".rstrip() + "); reset begins anew"
    if isinstance(error, ConnectionClosed):
        return "the connection was lost; reset begins anew"
    if isinstance(error, InvalidStatus):
        said = (error.response.body or b"").decode(errors="replace").strip()
        return f"refused ({error.response.status_code} {said})"
    if isinstance(error, TimeoutError):
        return "no answer in time; is the server busy, or timeout_s too short?"
    return f"{error or type(error).__name__}; is jobs/serve_environment.py running there?"
