"""Episodes for people to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rl_recsys.core.trajectory import Step, Trajectory

STATE_WIDTH = 200  # characters of a state's words


@dataclass(frozen=True)
class SessionStep:
    """One decision: the state in the policy's words, what it did, and out of how many actions."""

    page: str
    action: str
    choices: int


@dataclass(frozen=True)
class ExampleSession:
    """An episode for people to read."""

    instruction: str
    wanted: str
    outcome: str
    success: bool
    steps: Sequence[SessionStep]


def example_session(episode: Trajectory, kinds: Sequence[str], *, quote: bool) -> ExampleSession:
    """An episode in the words of its decisions; without ``quote`` in none of them.

    ``kinds``: the task's. Without its words a choice is its kind, and its place among those of this kind.
    """
    parts = ", ".join(f"{name} {float(value):.2f}" for name, value in episode.reward_parts.items())
    outcome = f"reward {episode.reward:.2f}" + (f" ({parts})" if parts else "") if episode.done else "out of steps"
    steps = [_step(step) if quote else _unquoted_step(step, kinds) for step in episode.steps]
    instruction = episode.goal["instruction_text"] if quote else f"goal {episode.goal_index}"
    return ExampleSession(instruction, "", outcome, episode.success, steps)


def _step(step: Step) -> SessionStep:
    return SessionStep(shown_state(step), step.choices[step.chosen], len(step.actions))


def _unquoted_step(step: Step, kinds: Sequence[str]) -> SessionStep:
    kind = step.kinds[step.chosen]
    like = [place for place, other in enumerate(step.kinds) if other == kind]
    action = f"{kinds[kind]} {like.index(step.chosen) + 1} of {len(like)}"
    return SessionStep(f"a state of {len(step.state)} texts", action, len(step.actions))


def shown_state(step: Step) -> str:
    """A state's words after the instruction, in one line that is not too long."""
    state = " / ".join(step.state[1:])
    return state if len(state) <= STATE_WIDTH else state[: STATE_WIDTH - 1] + "…"
