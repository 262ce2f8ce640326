"""A language model as an agent, at an address that speaks OpenAI's chat completions."""

from __future__ import annotations

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from string import Template
from typing import Any

from rl_recsys.errors import UserError
from rl_recsys.evaluation.agents.turn import Turn

API_KEY = "OPENAI_API_KEY"  # the variable that clients of this protocol read; local servers need none
DEFAULT_TEMPLATE = Path(__file__).with_name("chat_template.txt")
FIELDS = ("instruction", "observation", "actions", "history", "steps_left")
HISTORY = 2  # earlier steps that the prompt shows, as verl-agent's does
ANSWER_TOKENS = 512  # at most, as verl-agent's
PAUSES_S = (1.0, 4.0, 16.0)  # before a request is sent again
_BUSY = (408, 429, 500, 502, 503, 504)
_ACTION = re.compile(r"<action>(.*?)</action>", re.DOTALL)


def read_template(path: Path) -> Template:
    """The text of a prompt, in which ``FIELDS`` stand as $observation and so on; $$ is a dollar sign.

    Raises ``UserError`` where it is missing, has another field, or shows no observation.
    """
    try:
        template = Template(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--template {path}: cannot be read ({error})") from None
    known = ", ".join(f"${name}" for name in FIELDS)
    if not template.is_valid():
        raise UserError(f"--template {path}: a $ stands alone; write $$ for a dollar sign, fields are {known}")
    found = template.get_identifiers()
    if unknown := [name for name in found if name not in FIELDS]:
        raise UserError(f"--template {path}: no field ${unknown[0]}; there are {known}")
    if "observation" not in found:
        raise UserError(f"--template {path}: it has no $observation, so the model would see no page")
    return template


def action_of(answer: str) -> str:
    """The action in a model's answer: what its last <action> tags enclose, else all of it.

    An answer without tags is mostly no action, and costs a step, as it does in verl-agent.

    >>> action_of("It fits. <action> click[Buy Now] </action>")
    'click[Buy Now]'
    """
    tagged = _ACTION.findall(answer)
    return (tagged[-1] if tagged else answer).strip()


class ChatAgent:
    """Asks the model at ``address`` (its "/chat/completions" is called) anew at each step, without a conversation.

    ``temperature`` 0 takes the likeliest words. ``patience``: seconds for an answer. A server that is busy or does not
    answer is asked again after each of ``PAUSES_S``. The key of the environment's ``OPENAI_API_KEY`` is sent, if any.
    """

    def __init__(self, address: str, *, model: str, template: Template, temperature: float, patience: float):
        if not address.startswith(("http://", "https://")):
            raise UserError(f"--chat {address!r}: write an address such as http://127.0.0.1:8000/v1")
        self._url = f"{address.rstrip('/')}/chat/completions"
        self._model, self._template = model, template
        self._temperature, self._patience = temperature, patience

    def act(self, turn: Turn) -> str:
        """See ``TextAgent.act``."""
        answer = self._answer(turn)
        match answer:
            case {"choices": [{"message": {"content": str(content)}}, *_]}:
                return action_of(content)
            case {"choices": [{"message": {"content": None}}, *_]}:  # it said nothing
                return ""
        raise turn.error(f"{self._url} answered {_shown(answer)}, which is no chat completion")

    def prompt(self, turn: Turn) -> str:
        """What the model reads."""
        recent = turn.history[-HISTORY:] if HISTORY else ()
        first = len(turn.history) - len(recent) + 1
        steps = [f"Step {n}, the page:\n{page}\nYou did: {action}\n" for n, (page, action) in enumerate(recent, first)]
        return self._template.substitute(
            instruction=turn.instruction,
            observation=turn.observation,
            actions="\n".join(turn.actions),
            history="\n".join(steps),
            steps_left=turn.max_steps - turn.step,
        )

    def _answer(self, turn: Turn) -> Any:
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": self.prompt(turn)}],
            "temperature": self._temperature,
            "max_tokens": ANSWER_TOKENS,
        }
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(API_KEY):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers)
        for pause in (*PAUSES_S, None):
            try:
                with urllib.request.urlopen(request, timeout=self._patience) as reply:
                    text = reply.read()
                break
            except urllib.error.HTTPError as error:
                reason, again = f"status {error.code}: {_shown(error.read())}", error.code in _BUSY
            except (OSError, http.client.HTTPException) as error:
                reason, again = str(getattr(error, "reason", None) or error or type(error).__name__), True
            if pause is None or not again:
                raise turn.error(f"{self._url}: {reason}; the same command goes on once it answers")
            time.sleep(pause)
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise turn.error(f"{self._url} answered {_shown(text)}, which is no JSON") from None

    def close(self) -> None:
        """Nothing is held."""


def _shown(answer: Any) -> str:
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else json.dumps(answer)
    return text if len(text) <= 200 else f"{text[:200]}..."
