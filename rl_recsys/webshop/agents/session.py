"""A session of an agent that reads the shop's text and answers with an action."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rl_recsys.core.outcome import Outcome, paid
from rl_recsys.webshop.play.session import StepResult, parse_action
from rl_recsys.webshop.shop import Shop


@dataclass(frozen=True)
class Turn:
    """What an agent is shown. ``clickables``: what ``click[...]`` takes; ``has_search_bar``: whether ``search[...]`` is
    taken. ``history``: what was shown and done before, the oldest first."""

    episode: int
    step: int
    instruction: str
    observation: str
    has_search_bar: bool
    clickables: tuple[str, ...]
    history: Sequence[tuple[str, str]] = ()

    @property
    def actions(self) -> list[str]:
        """All that can be done, as a reader would be told."""
        return [*(["search[<words>]"] if self.has_search_bar else []), *[f"click[{one}]" for one in self.clickables]]


class Agent(Protocol):
    """Somebody who shops."""

    def act(self, turn: Turn) -> str:
        """The next action, ``search[words]`` or ``click[label]``. Raises ``AgentError`` where there is no answer."""

    def ended(self, episode: int, reward: float, done: bool) -> None:
        """Told of a session's end."""

    def close(self) -> None:
        """Called once, when nothing more is asked."""


@dataclass(frozen=True)
class AgentOutcome:
    """How a session ended, and how many of its actions could not be done."""

    outcome: Outcome
    invalid: int


def play_agent(shop: Shop, agent: Agent, episode: int, goal: int, *, max_steps: int) -> AgentOutcome:
    """One session of an agent on ``text_rich`` pages.

    As in WebShop an action that cannot be done changes nothing and counts as a step; a session without a purchase after
    ``max_steps`` earns 0. Raises ``AgentError``.
    """
    session = shop.session(goal)
    history: list[tuple[str, str]] = []
    result: StepResult | None = None
    invalid = 0
    while len(history) < max_steps and not session.done:
        available, observation = session.available_actions, session.page.text_rich
        turn = Turn(
            episode, len(history), session.goal.instruction_text, observation, available["has_search_bar"],
            tuple(available["clickables"]), tuple(history),
        )  # fmt: skip
        action = agent.act(turn)
        invalid += not _can_be_done(action, turn)
        result = session.step(action)
        history.append((observation, action))
    reward = paid(result)
    agent.ended(episode, reward, session.done)
    return AgentOutcome(Outcome(goal, reward, len(history), session.done, dict(result.reward_parts)), invalid)


def _can_be_done(action: str, turn: Turn) -> bool:
    name, argument = parse_action(action)
    if name == "search":
        return turn.has_search_bar and bool(argument)
    return name == "click" and argument in turn.clickables
