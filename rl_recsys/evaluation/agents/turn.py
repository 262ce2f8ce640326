"""What an agent from elsewhere is asked, and what it must be able to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rl_recsys.errors import UserError


class AgentError(UserError):
    """An agent gave no action; the message names the episode, its goal and the step, and what the agent did instead."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One step of one episode, as a text environment shows it.

    ``available_actions``: {"has_search_bar": bool, "clickables": [label, ...]}, as the original WebShop lists them.
    ``history``: (observation, action) of the episode's earlier steps, the oldest first. ``episode`` is its number in
    the evaluation, ``step`` counts from 0.
    """

    episode: int
    goal: int
    step: int
    max_steps: int
    instruction: str
    observation: str
    available_actions: Mapping[str, Any]
    history: Sequence[tuple[str, str]] = ()

    @property
    def actions(self) -> list[str]:
        """The available actions as they are written, "search[...]" standing for any search."""
        search = ["search[...]"] if self.available_actions["has_search_bar"] else []
        # By WebShop's grammar the word "search" cannot be clicked.
        return search + [f"click[{label}]" for label in self.available_actions["clickables"] if label != "search"]

    def error(self, what: object) -> AgentError:
        """The error that this turn met."""
        return AgentError(f"episode {self.episode} (goal {self.goal}), step {self.step + 1}: {what}")


class TextAgent(Protocol):
    """What acts on texts."""

    def act(self, turn: Turn) -> str:
        """The action to take. Raises ``AgentError``."""

    def close(self) -> None:
        """Let go of what it holds."""
