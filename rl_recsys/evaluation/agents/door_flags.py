"""The flags that say which agent from elsewhere acts, and that agent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rl_recsys.console.command import Flags
from rl_recsys.console.ranges import COUNT, RATE
from rl_recsys.errors import UserError
from rl_recsys.evaluation.agents.chat import DEFAULT_TEMPLATE, ChatAgent, read_template
from rl_recsys.evaluation.agents.function import FunctionAgent
from rl_recsys.evaluation.agents.process import ProcessAgent
from rl_recsys.evaluation.agents.turn import TextAgent

#: Flags that change no episode, or, as a template's place, are in ``DoorFlags.details`` by what they hold.
INCIDENTAL_TO_DOORS = ("template", "patience", "at_once")


@dataclass(kw_only=True)
class DoorFlags(Flags):
    """Which agent."""

    function: str | None = None
    """The agent is a Python function, MODULE:FUNCTION: called with the observation and the available actions, it
    returns an action."""
    process: str | None = None
    """The agent is a command that reads and writes lines of JSON."""
    chat: str | None = None
    """The agent is a model at an OpenAI-compatible address, as http://127.0.0.1:8000/v1. The environment's
    OPENAI_API_KEY is sent if it is set."""
    model: str | None = None
    """With --chat: the model's name there."""
    template: Path | None = None
    """With --chat: file of the prompt, in which $instruction, $observation, $actions, $history and $steps_left stand
    for what they say; by default a prompt that asks for an action between <action> tags."""
    patience: Annotated[float, RATE] = 120.0
    """With --process and --chat: seconds to wait for an action."""
    at_once: Annotated[int, COUNT] = 4
    """With --chat: episodes that are played side by side."""

    def validate(self) -> None:
        """A model goes with an address."""
        super().validate()
        if (self.chat is None) != (self.model is None):
            raise UserError("--chat and --model go together: the address, and the model's name there")
        if self.template is not None and self.chat is None:
            raise UserError("--template is for --chat: nothing else is prompted")

    @property
    def sessions(self) -> int:
        """How many episodes the agent can play side by side."""
        return 1 if self.chat is None else self.at_once

    def open_agent(self, temperature: float) -> TextAgent:
        """The agent; a model answers at the ``temperature``. Raises ``UserError``."""
        if self.function is not None:
            return FunctionAgent.named(self.function)
        if self.process is not None:
            return ProcessAgent(self.process, patience=self.patience)
        template = read_template(self._template)
        return ChatAgent(
            self.chat, model=self.model, template=template, temperature=temperature, patience=self.patience
        )

    def details(self, temperature: float) -> dict[str, Any]:
        """What results say of the agent: its kind, and what it is known by. Raises ``UserError``."""
        if self.function is not None:
            return {"kind": "function", "function": self.function}
        if self.process is not None:
            return {"kind": "process", "process": self.process}
        digest = hashlib.sha256(read_template(self._template).template.encode()).hexdigest()
        return {"kind": "chat", "model": self.model, "temperature": temperature, "template": digest}

    @property
    def _template(self) -> Path:
        return self.template or DEFAULT_TEMPLATE
