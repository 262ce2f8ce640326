"""How an agent is reached: a Python function, a process that speaks JSON lines, or an OpenAI-compatible address."""

from __future__ import annotations

import json
import os
import re
import selectors
import shlex
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from string import Template
from typing import Literal

from rl_recsys.errors import UserError
from rl_recsys.runs.processes import ending_with_parent
from rl_recsys.webshop.agents.session import Turn

TRIES, FIRST_WAIT_S = 5, 1.0  # of an address that is busy; each wait is twice the last one
BUSY = (408, 429, 500, 502, 503, 504)
HISTORY = 5  # turns that a prompt holds
OBSERVATION = 4000  # characters of a page that a prompt holds
_ACTION = re.compile(r"(?:search|click)\[[^\[\]\n]+\]")
PROMPT = """You are shopping in a web shop for somebody.
Task: $instruction

What was done so far:
$history

The page:
$observation

You may do one of:
$actions

Think briefly, then end your answer with the one action that you take, as search[words] or click[label].
"""


class AgentError(UserError):
    """An agent gives no answer; the message names the session and what to do."""


class FunctionAgent:
    """A Python function of a ``Turn`` that returns an action."""

    def __init__(self, name: str):
        """``name``: "module:function". Raises ``AgentError``."""
        module, _, function = name.partition(":")
        try:
            self._function: Callable[[Turn], str] = getattr(import_module(module), function)
        except (ImportError, AttributeError, ValueError) as error:
            raise AgentError(f"{name}: no such function ({error}); write MODULE:FUNCTION, and see PYTHONPATH") from None
        self._name = name

    def act(self, turn: Turn) -> str:
        """What the function returns."""
        action = self._function(turn)
        if not isinstance(action, str):
            raise AgentError(f"{self._name}, session {turn.episode}, step {turn.step}: {action!r} is no action, a text")
        return action

    def ended(self, episode: int, reward: float, done: bool) -> None:
        """A function is not told."""

    def close(self) -> None:
        """There is nothing to close."""


class ProcessAgent:
    """A process that reads a JSON object a line and answers with one.

    It gets {"episode", "step", "instruction", "observation", "has_search_bar", "clickables"} and answers {"action":
    "click[buy now]"}; at the end of a session it gets {"episode", "reward", "done"} and answers nothing. What it writes
    to its standard error is shown.
    """

    def __init__(self, command: str, *, answer_s: float):
        """``answer_s``: seconds that an answer may take. Raises ``AgentError`` where the command cannot be run."""
        self._command, self._answer_s, self._rest = command, answer_s, b""
        try:
            self._process = subprocess.Popen(
                ending_with_parent(shlex.split(command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        except (OSError, ValueError) as error:
            raise AgentError(f"{command}: cannot be run ({error})") from None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    def act(self, turn: Turn) -> str:
        """The action of its answer."""
        asked = {
            "episode": turn.episode, "step": turn.step, "instruction": turn.instruction,
            "observation": turn.observation, "has_search_bar": turn.has_search_bar, "clickables": turn.clickables,
        }  # fmt: skip
        where = f"{self._command}, session {turn.episode}, step {turn.step}"
        self._tell(asked, where)
        line = self._line(where)
        try:
            action = json.loads(line)["action"]
        except (ValueError, KeyError, TypeError):
            action = None
        if not isinstance(action, str):
            raise AgentError(f'{where}: it answered {line[:200]!r}, expected {{"action": "search[...] or click[...]"}}')
        return action

    def ended(self, episode: int, reward: float, done: bool) -> None:
        """Tell it what the session earned."""
        self._tell({"episode": episode, "reward": reward, "done": done}, f"{self._command}, session {episode}")

    def close(self) -> None:
        """Close its input, and end it where it does not end by itself."""
        self._selector.close()
        for stream in (self._process.stdin, self._process.stdout):
            try:
                stream.close()
            except OSError:  # it has ended, and not read all
                continue
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tell(self, message: dict, where: str) -> None:
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise AgentError(f"{where}: {self._end()}") from None

    def _line(self, where: str) -> bytes:
        deadline = time.monotonic() + self._answer_s
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0:
                raise AgentError(f"{where}: no answer in {self._answer_s:g} s; --answer-seconds gives it more")
            if not self._selector.select(left):
                continue
            read = self._process.stdout.read()
            if not read:
                raise AgentError(f"{where}: {self._end()}")
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _end(self) -> str:
        try:
            return f"the process ended with exit status {self._process.wait(5)}; its messages stand above"
        except subprocess.TimeoutExpired:
            return "the process has closed its input or output"


class AddressAgent:
    """A model at an address that speaks OpenAI's chat completions.

    The last action of its answer is taken, whatever it says before; an answer without one is taken as it is, and cannot
    be done. The key is that of the environment's OPENAI_API_KEY.
    """

    def __init__(
        self, address: str, model: str, *, template: Path | None, temperature: float, answer_s: float, seed: int
    ):
        """``address``: up to "/v1". ``template``: a file with $instruction, $observation, $actions and $history; by
        default ``PROMPT``. Raises ``AgentError`` for a template that cannot be read or has other names."""
        self._url = f"{address.rstrip('/')}/chat/completions"
        self._model, self._temperature, self._answer_s, self._seed = model, temperature, answer_s, seed
        try:
            self._template = Template(PROMPT if template is None else template.read_text("utf-8"))
            self._template.substitute(instruction="", observation="", actions="", history="")
        except (OSError, ValueError, KeyError) as error:
            raise AgentError(
                f"{template}: no template ({type(error).__name__} {error}); it may have $instruction, $observation, "
                "$actions and $history, and $$ for a dollar"
            ) from None

    def prompt(self, turn: Turn) -> str:
        """The template filled in; a long page is cut."""
        done = [f"{number + 1}. {action}" for number, (_, action) in enumerate(turn.history)][-HISTORY:]
        return self._template.substitute(
            instruction=turn.instruction,
            observation=turn.observation[:OBSERVATION],
            actions="\n".join(turn.actions),
            history="\n".join(done) or "nothing",
        )

    def act(self, turn: Turn) -> str:
        """The action that its answer ends with."""
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": self.prompt(turn)}],
            "temperature": self._temperature,
            "seed": self._seed,
        }
        where = f"{self._url}, session {turn.episode}, step {turn.step}"
        answer = self._ask(json.dumps(body).encode(), where)
        try:
            text = json.loads(answer)["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError):
            text = None
        if not isinstance(text, str):
            raise AgentError(f"{where}: {answer[:200]!r} is no chat completion")
        found = _ACTION.findall(text)
        return found[-1] if found else text.strip()

    def ended(self, episode: int, reward: float, done: bool) -> None:
        """A model is not told."""

    def close(self) -> None:
        """There is nothing to close."""

    def _ask(self, body: bytes, where: str) -> bytes:
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get("OPENAI_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        wait = FIRST_WAIT_S
        for attempt in range(TRIES):
            request = urllib.request.Request(self._url, body, headers)
            try:
                with urllib.request.urlopen(request, timeout=self._answer_s) as answer:
                    return answer.read()
            except urllib.error.HTTPError as error:
                problem, asked = f"HTTP {error.code}: {error.read(300).decode(errors='replace')}", error.headers
                if error.code not in BUSY:
                    raise AgentError(f"{where}: {problem}") from None
                wait = max(wait, float(after)) if (after := asked.get("Retry-After", "")).isdigit() else wait
            except OSError as error:  # refused, reset, timed out
                problem = str(error)
            if attempt + 1 < TRIES:
                time.sleep(wait)
                wait *= 2
        raise AgentError(f"{where}: {problem}, {TRIES} times; is the server up?")


@contextmanager
def opened(
    door: Literal["function", "command", "address"],
    where: str,
    *,
    model: str,
    template: Path | None,
    temperature: float,
    answer_s: float,
    seed: int,
) -> Iterator[FunctionAgent | ProcessAgent | AddressAgent]:
    """The agent that is reached so, closed at the end. Raises ``AgentError``."""
    if door == "function":
        agent = FunctionAgent(where)
    elif door == "command":
        agent = ProcessAgent(where, answer_s=answer_s)
    else:
        agent = AddressAgent(
            where, model, template=template, temperature=temperature, answer_s=answer_s, seed=seed
        )  # fmt: skip
    try:
        yield agent
    finally:
        agent.close()
