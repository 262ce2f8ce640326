"""What a server of the shop and its clients say to each other: OpenEnv's messages, JSON texts over a WebSocket.

One socket is one session; each request has one reply, in order. A request is {"type", "data"}:

| type | data | reply |
| --- | --- | --- |
| "reset" | settings of the episode: the arguments of ``envs.webshop_served.ServedSession.reset`` | "observation" |
| "step" | {"action": "search[words]" or "click[label]"} | "observation" |
| "state" | | "state" |
| "close" | | none: the server closes the socket |

An observation's data are {"observation": {...}, "reward": number or null, "done": bool}. What is observed: "text", the
page in the observation mode; "truncated", whether the episode ran out of steps; and what WebShop-v0 has in its info,
"available_actions", "instruction_text", "session_id", after a purchase "reward_parts", and "goal" where it is revealed.
With arrays also what WebShopChoice-v0 has: "arrays" (see ``from_array``) by name, "actions", "texts" and "dropped".

Instead of each the reply may be "error", with {"message", "code"} and one of the codes below; the session goes on as it
was, but for ``CAPACITY_REACHED``, after which the socket is closed.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np

SOCKET = "/ws"  # path of the socket
SCHEMES = ("ws://", "wss://")
RESET, STEP, STATE, CLOSE, MCP = "reset", "step", "state", "close", "mcp"
OBSERVATION, ERROR = "observation", "error"
INVALID_JSON, UNKNOWN_TYPE, VALIDATION_ERROR = "INVALID_JSON", "UNKNOWN_TYPE", "VALIDATION_ERROR"
EXECUTION_ERROR, CAPACITY_REACHED = "EXECUTION_ERROR", "CAPACITY_REACHED"
#: Why a server closes a socket, beside the protocol's own codes (1012: the server ends).
IDLE, TRY_AGAIN_LATER = 4408, 1013


def from_array(array: np.ndarray) -> dict[str, Any]:
    """An array as JSON has it: its shape, its type, and its bytes, little-endian and row by row, in base64."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    data = base64.b64encode(little.tobytes()).decode()  # row by row, however the array lies in memory
    return {"shape": list(array.shape), "dtype": array.dtype.name, "data": data}


def to_array(wire: Mapping[str, Any]) -> np.ndarray:
    """The array of ``from_array``."""
    dtype = np.dtype(wire["dtype"])
    flat = np.frombuffer(base64.b64decode(wire["data"]), dtype.newbyteorder("<"))
    return flat.astype(dtype).reshape(wire["shape"])


def from_goal(goal: object) -> object:
    """A goal as JSON has it: an index, or a record with the original's keys. What is none is left to the server."""
    if isinstance(goal, np.integer):
        return int(goal)
    if is_dataclass(goal):
        goal = asdict(goal)
    return dict(goal) if isinstance(goal, Mapping) else goal
