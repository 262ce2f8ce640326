"""The flags that say which agent is scored, and how it is reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from rl_recsys.console.ranges import COUNT, SEED, Range
from rl_recsys.core.task_flags import TaskFlags
from rl_recsys.errors import UserError
from rl_recsys.storage.locations import Place

DOORS = ("function", "policy", "command", "address")
VERL = "verl-128"


@dataclass(kw_only=True)
class AgentFlags(TaskFlags):
    """Score an agent."""

    function: str | None = None
    """MODULE:FUNCTION, which gets a rl_recsys.webshop.agents.session.Turn and returns an action."""
    policy: Place | None = None
    """Policy folder; it plays greedily, on the pages that it was trained on (--task)."""
    command: str | None = None
    """A command whose process reads a JSON object a line and answers with one (docs/evaluation-kit.md)."""
    address: str | None = None
    """Address of an OpenAI-compatible server, up to /v1; its key is read from OPENAI_API_KEY."""
    model: str = "default"
    """The model's name at --address."""
    template: Path | None = None
    """File of the prompt for --address, with $instruction, $observation, $actions and $history."""
    temperature: Annotated[float | None, Range(least=0)] = None
    """Of --address: by default 0, and 0.4 with --protocol verl-128."""
    name: str | None = None
    """What the agent is called in tables; by default how it is reached."""
    protocol: Literal["held-out", "verl-128"] = "held-out"
    """held-out: the first --goals of --split, each once. verl-128: --validations draws of 128 from all goals, training
    goals among them, as verl-agent and its followers validate; it shows how far such a figure scatters."""
    goals: Annotated[int, COUNT] = 500
    """How many goals of the split."""
    split: str = "test"
    """test, train, or dev where the shop has it."""
    validations: Annotated[int, COUNT] = 8
    """How many of verl-128."""
    max_steps: Annotated[int, COUNT] = 15
    """Actions a session."""
    answer_seconds: Annotated[float, Range(above=0)] = 120.0
    """How long an answer of --command or --address may take."""
    seed: Annotated[int, SEED] = 0
    """Decides the draws of verl-128, and what the model at --address draws."""

    def validate(self) -> None:
        """One agent must be named."""
        super().validate()
        if sum(getattr(self, door) is not None for door in DOORS) != 1:
            raise UserError("name one agent: --function, --policy, --command or --address")

    @property
    def door(self) -> str:
        """How the agent is reached."""
        return next(door for door in DOORS if getattr(self, door) is not None)

    @property
    def sampled_at(self) -> float:
        """The temperature of --address."""
        usual = 0.4 if self.protocol == VERL else 0.0
        return usual if self.temperature is None else self.temperature

    @property
    def called(self) -> str:
        """The agent's name."""
        return self.name or (f"{self.model} at {self.address}" if self.address else str(getattr(self, self.door)))
