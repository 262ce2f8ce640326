"""What clients may send and what they get, as types: messages are checked against them, and /schema shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from envs.webshop_served import GoalRecord
from envs.webshop_text import MAX_ACTION
from rl_recsys.console.ranges import LARGEST

LONGEST_NAME = 255  # characters of a session's or an episode's name

Index = Annotated[int, Field(ge=0, le=LARGEST)]
Name = Annotated[str, Field(max_length=LONGEST_NAME)]


class _Exact(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ShopAction(_Exact):
    """What an agent does. (Clients take a schema that is called "Action" for that of MCP tools.)"""

    action: str = Field(
        max_length=MAX_ACTION,
        description="search[words] on any page, or click[label] with a label of the page; else nothing changes",
    )


class ResetSettings(_Exact):
    """How an episode begins; ``envs.webshop_served.ServedSession.reset`` has the meanings."""

    seed: Index | None = Field(None, description="of the goals that are drawn from now on")
    episode_id: Name | None = Field(None, description="a name for the state")
    goal: Index | GoalRecord | None = Field(None, description="a goal's index, or a goal with the original's keys")
    session: Index | Name | None = Field(None, description="a goal's index, or a name that URLs show")
    split: Name | None = Field(None, description="to draw a goal from")
    index: Index | None = Field(None, description="the place of the goal in the split")
    goals: list[Index | GoalRecord] | None = Field(None, min_length=1, description="to draw a goal from")
    observation_mode: Literal["text", "text_rich", "html", "url"] | None = None
    max_steps: Annotated[int, Field(ge=1, le=LARGEST)] | None = Field(None, description="actions an episode")
    reveal_goal: bool = Field(False, description="observe the goal, which holds the answer")
    arrays: bool = Field(False, description="observe token arrays and choices as WebShopChoice-v0 does")

    def arguments(self) -> dict[str, Any]:
        """Those that are set, as ``ServedSession.reset`` takes them."""
        return {name: getattr(self, name) for name in self.model_fields_set}

    @property
    def has_records(self) -> bool:
        """Whether a goal comes from elsewhere, so that a language model may have to be loaded."""
        return any(isinstance(goal, GoalRecord) for goal in (self.goal, *(self.goals or ())))


class AvailableActions(BaseModel):
    """What a page offers, as the original lists it."""

    has_search_bar: bool
    clickables: list[str]


class Array(BaseModel):
    """An array: its bytes in base64, little-endian, row by row."""

    shape: list[int]
    dtype: str
    data: str


class Observation(BaseModel):
    """What an agent sees."""

    text: str = Field(description="the page in the observation mode")
    available_actions: AvailableActions
    instruction_text: str
    session_id: str
    truncated: bool = Field(description="whether the episode ran out of steps")
    reward_parts: dict[str, float | bool] | None = Field(None, description="after a purchase")
    goal: GoalRecord | None = Field(None, description="with reveal_goal")
    arrays: dict[str, Array] | None = Field(None, description="with arrays, as are the fields below")
    actions: list[str] | None = None
    texts: list[str] | None = None
    dropped: int | None = None


class Observed(_Exact):
    """The reply to a reset or a step."""

    observation: dict[str, Any] = Field(description="see /schema")
    reward: float | None = None
    done: bool = False


class State(BaseModel):
    """Where a session is."""

    model_config = ConfigDict(extra="allow")

    episode_id: str | None = None
    step_count: int = Field(0, ge=0)
    done: bool = True


class StepRequest(BaseModel):
    """A step without a session."""

    action: ShopAction
    timeout_s: float | None = Field(None, gt=0)
    request_id: Name | None = None


class Split(_Exact):
    """A split by its name."""

    split: Name = Field(description="one of /webshop/splits")


class Place(Split):
    """A task of a split."""

    index: Index


class Range(Split):
    """Some tasks of a split: from start on, without stop."""

    start: int | None = None
    stop: int | None = None
