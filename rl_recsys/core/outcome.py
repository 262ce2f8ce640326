"""How an episode ended, and what a success is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from rl_recsys.console.ranges import COUNT_OR_ZERO, SHARE
from rl_recsys.core.task import StepResult, TaskError

Mode = Literal["greedy", "sampled"]  # the policy's best action, or one drawn from it
MODES: tuple[Mode, ...] = get_args(Mode)
FULL_REWARD = 1.0  # rewards are in [0, 1] in every world


def is_success(reward):
    """Whether a reward, or each of an array of rewards, is the full one: exactly 1 (WebShop's rule)."""
    return reward == FULL_REWARD


def paid(result: StepResult) -> float:
    """What an episode with this last result earned: its reward, 0 where it ran out of steps.

    Raises ``TaskError`` for a reward outside [0, 1], or of nan, which would pass any comparison.
    """
    if not 0.0 <= result.reward <= 1.0:
        raise TaskError(f"the world paid a reward of {result.reward}; rewards are in [0, 1]")
    return result.reward if result.done else 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one episode ended. ``reward`` in [0, 1], 0 where it ran out of steps; ``bought``: whether the agent ended it
    by itself, in a shop by a purchase; ``parts`` is the task's breakdown of the reward."""

    goal: int
    reward: Annotated[float, SHARE]
    steps: Annotated[int, COUNT_OR_ZERO]
    bought: bool
    parts: dict[str, float | bool] = field(default_factory=dict)

    @property
    def success(self) -> bool:
        """See ``is_success``."""
        return is_success(self.reward)
