"""Replay recorded sessions on a shop and report where it differs from the recording.

    python -m rl_recsys.replay --shop shops/webshop-1k sessions.jsonl

A line of the file is one session: {"goal": the original's goal record, "steps": [{"observation": str, "action": str or
null, "available_actions": {...} where recorded}, ...], "reward": float, "done": bool}; an action is taken on the
observation beside it. Exit status 0 only when every session agrees.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rl_recsys.console.progress import phase, progress
from rl_recsys.console.terminal import say
from rl_recsys.errors import UserError, plain_errors
from rl_recsys.webshop import Shop


class RecordingError(UserError):
    """A file of recorded sessions cannot be read; the message names the file, the line and the reason."""


@dataclass
class Arguments:
    """Replay recorded sessions."""

    sessions: Annotated[Path, tyro.conf.Positional]
    """File of recorded sessions, one JSON object a line."""
    shop: Path
    """Shop folder made by jobs/prepare.py from the products the sessions were recorded on, with the same rules."""
    observation_mode: Literal["text", "text_rich", "html", "url"] = "text_rich"
    """The observation that was recorded."""


@dataclass(frozen=True)
class Replay:
    """What a replayed session gave: how many observations were compared, and the first difference, if any."""

    observations: int
    difference: str | None


def replay(shop: Shop, recorded: Mapping, observation_mode: str = "text_rich") -> Replay:
    """Play a recorded session's actions and compare every observation, the listed actions, the reward and the end."""
    session = shop.session(recorded["goal"])
    reward = 0.0
    for number, step in enumerate(recorded["steps"]):
        found = session.page.observe(observation_mode)
        if found != step["observation"]:
            return Replay(number, f"step {number}: {first_difference(step['observation'], found)}")
        if "available_actions" in step and session.available_actions != step["available_actions"]:
            return Replay(
                number, f"step {number}: actions {step['available_actions']} recorded, {session.available_actions} here"
            )
        if step.get("action") is not None:
            reward = session.step(step["action"]).reward
    count = len(recorded["steps"])
    for name, found in (("reward", reward), ("done", session.done)):
        if name in recorded and recorded[name] != found:
            return Replay(count, f"at the end: {name} {recorded[name]!r} recorded, {found!r} here")
    return Replay(count, None)


def first_difference(recorded: str, found: str) -> str:
    """The first line in which two observations differ."""
    for number, (one, other) in enumerate(zip_longest(recorded.split("\n"), found.split("\n")), 1):
        if one != other:
            return f"line {number}: {one!r} recorded, {other!r} here"
    return "no difference"


def read_sessions(path: Path) -> Iterator[dict]:
    """The recorded sessions of a file. Raises ``RecordingError`` naming the line that cannot be used."""
    try:
        with open(path, encoding="utf-8", newline="\n") as file:  # other characters that end lines may be in the text
            for number, line in enumerate(file, 1):
                yield _read_session(line, f"{path}: line {number}")
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from None


def _read_session(line: str, where: str) -> dict:
    try:
        session = json.loads(line)
    except ValueError as error:
        raise RecordingError(f"{where}: not valid JSON: {error}") from None
    missing = [key for key in ("goal", "steps") if not isinstance(session, dict) or key not in session]
    if missing:
        raise RecordingError(f"{where}: no {' and no '.join(missing)}")
    if not session["steps"]:  # it would agree with any shop
        raise RecordingError(f"{where}: it has no steps")
    return session


def main(arguments: Arguments) -> int:
    """Replay all sessions, print the differences and the count; return the exit status."""
    with phase(f"reading {arguments.sessions}"):
        shop, sessions = Shop.open(arguments.shop), list(read_sessions(arguments.sessions))
    if not sessions:
        raise RecordingError(f"{arguments.sessions}: no session in it")
    observations, differing = 0, []
    with progress("replay", len(sessions)) as task:
        for number, recorded in enumerate(sessions, 1):
            try:
                result = replay(shop, recorded, arguments.observation_mode)
            except (KeyError, ValueError, TypeError) as error:
                raise RecordingError(f"{arguments.sessions}: line {number}: not a session: {error}") from None
            observations += result.observations
            if result.difference:
                differing.append(f"session {number}, {result.difference}")
            task.advance()
    for line in differing:
        say(line)
    say(f"{len(sessions) - len(differing)} of {len(sessions)} sessions agree, {observations} observations equal")
    return 1 if differing else 0


def run() -> None:
    """The command ``python -m rl_recsys.replay``."""
    with plain_errors():
        sys.exit(main(tyro.cli(Arguments, description=__doc__)))
