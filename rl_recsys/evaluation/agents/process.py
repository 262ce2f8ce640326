"""A process as an agent, in whatever language: it reads a line of JSON from its input and writes one to its output."""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import subprocess
import time
from contextlib import suppress
from typing import Any

from rl_recsys.errors import UserError
from rl_recsys.evaluation.agents.turn import Turn

LONGEST_REPLY = 1_000_000  # bytes
TIME_TO_END_S = 5.0  # once its input is closed
_BLOCK = 65_536
_SHOWN = 200  # characters of a reply, in a message


class ProcessAgent:
    """Starts a command and speaks JSON lines with it (docs/evaluation-kit.md); its errors go to this terminal.

    ``patience``: seconds for each reply, the first one included, for which the process may have to load a model. Raises
    ``UserError`` where the command cannot be started.
    """

    def __init__(self, command: str, *, patience: float):
        self._patience = patience
        self._rest = b""  # of its output, behind the last whole line
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise UserError(f"--process {command!r}: {error}") from None
        if not words:
            raise UserError("--process: it is empty; give a command")
        try:
            # A group of its own: what it starts ends with it, and Ctrl-C is this process's to pass on.
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
            )
        except OSError as error:
            raise UserError(f"--process {command!r}: it cannot be started ({error.strerror or error})") from None
        os.set_blocking(self._process.stdin.fileno(), False)

    def act(self, turn: Turn) -> str:
        """See ``TextAgent.act``."""
        asked = {
            "episode": turn.episode,
            "step": turn.step,
            "max_steps": turn.max_steps,
            "instruction": turn.instruction,
            "observation": turn.observation,
            "available_actions": dict(turn.available_actions),
        }
        line = self._exchanged(json.dumps(asked).encode() + b"\n", turn)
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError):
            raise turn.error(f"the process wrote {_shown(line)}, which is no JSON") from None
        match reply:
            case {"action": str(action)}:
                return action
            case {"error": reason}:
                raise turn.error(f"the process gave up: {reason}")
        raise turn.error(f'the process wrote {_shown(line)}, expected {{"action": "..."}}')

    def _exchanged(self, message: bytes, turn: Turn) -> bytes:
        """Send a line, wait for one. Neither waits for ever: a process that does not read fills its pipe."""
        deadline = time.monotonic() + self._patience
        stdin, stdout = self._process.stdin, self._process.stdout
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            ready: Any = select.select([stdout], [stdin] if message else [], [], max(0.0, left))
            if left <= 0 or not any(ready):
                raise turn.error(f"the process gave no action within {self._patience:g} s; --patience gives it longer")
            if ready[1]:
                try:
                    message = message[os.write(stdin.fileno(), message) :]
                except BrokenPipeError:
                    raise turn.error(f"the process no longer reads{self._ended()}") from None
            if ready[0]:
                block = os.read(stdout.fileno(), _BLOCK)
                if not block:
                    raise turn.error(f"the process wrote no action{self._ended()}")
                self._rest += block
                if len(self._rest) > LONGEST_REPLY:
                    raise turn.error(f"the process wrote a line of more than {LONGEST_REPLY} bytes")
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _ended(self) -> str:
        """How the process ended, in words, if it did."""
        try:
            code = self._process.wait(TIME_TO_END_S)
        except subprocess.TimeoutExpired:
            return ""
        return f": it ended with status {code}" if code >= 0 else f": signal {-code} ended it"

    def close(self) -> None:
        """Close its input, by which it knows that all is done; end it where it does not end itself."""
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(TIME_TO_END_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process.stdout.close()


def _shown(line: bytes) -> str:
    text = line.decode(errors="replace")
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
