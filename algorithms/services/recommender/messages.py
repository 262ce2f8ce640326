"""What clients say to the recommender and what it answers, with the limits of both; the OpenAPI page is made of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from rl_recsys.console.ranges import LARGEST

MAX_TEXT = 1000  # characters of a request
MAX_PRODUCTS = 50  # of a list: as many as a search finds
MAX_REQUESTS = 32  # of a batch
MAX_OPTIONS = 10  # of a request

Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^\r\n,:]+$")]
Value = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\r\n]+$")]
Item = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Price = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]


class Message(BaseModel):
    """What is not known is refused, never dropped in silence."""

    model_config = ConfigDict(extra="forbid")


class Filters(Message):
    """What a product must be to be listed. Prices are dollars, both ends included."""

    price_min: Price | None = None
    price_max: Price | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Filters:
        if self.price_min is not None and self.price_max is not None and self.price_min > self.price_max:
            raise ValueError("price_min is above price_max")
        return self


class Request(Message):
    """What somebody wants."""

    text: Text = Field(description="In words; prices and options in them are understood", examples=["red shirt, $40"])
    k: int = Field(5, ge=1, le=MAX_PRODUCTS, description="Products to list at most")
    options: dict[Name, Value] = Field(
        default_factory=dict, max_length=MAX_OPTIONS, description="To choose beside those that the words name"
    )
    filters: Filters = Field(default_factory=Filters)
    seed: int = Field(
        0, ge=0, le=LARGEST, description="Decides what the agent's sessions draw: equal ones, equal lists"
    )


class Batch(Message):
    """Several requests, answered in their order."""

    requests: list[Request] = Field(min_length=1, max_length=MAX_REQUESTS)


class Recommended(BaseModel):
    """Something recommended, with what the world tells of it (of a shop: asin, title, price, options, meets, lacks)."""

    model_config = ConfigDict(extra="allow")

    item: str = Field(description="What feedback names it by")
    share: float = Field(description="Of the agent's sessions, those that ended with it")
    interval: tuple[float, float] | None = Field(
        None, description="Where that share is with a confidence of 95 % (Wilson); null before any session ended"
    )


class Answer(BaseModel):
    """A list, or why there is none. ``stage`` "search": before the agent played; "agent": after some of its sessions;
    "done": after all of them, and then feedback may be given by ``id``."""

    stage: Literal["search", "agent", "done"]
    request: str
    status: str = Field(description='"ok", "nothing found", or why the request cannot be answered')
    understood: dict[str, Any] | None = None
    products: list[Recommended] = Field(default_factory=list)
    left_out: dict[str, int] = Field(default_factory=dict, description="Products not listed, by the reason")
    sessions: int = Field(0, description="Of the agent's sessions, those that the list is made of")
    id: str | None = Field(None, description="What feedback names the list by")
    policy: str | None = Field(None, description="The policy that played")


class Answers(BaseModel):
    """Those of a batch."""

    answers: list[Answer]


class Feedback(Message):
    """What became of a list: reported once, when it is known."""

    id: str = Field(min_length=1, max_length=64)
    shown: list[Item] | None = Field(
        None, max_length=MAX_PRODUCTS, description="The items that were seen; by default all of the list"
    )
    clicked: list[Item] = Field(default_factory=list, max_length=MAX_PRODUCTS)
    bought: list[Item] = Field(default_factory=list, max_length=MAX_PRODUCTS)


class Recorded(BaseModel):
    """A report that is on disk."""

    id: str
    reward: float = Field(description="Of the list: 1 with something bought, 0.5 with something clicked, else 0")
    episodes: int = Field(description="Trajectories recorded for jobs/dpo.py")


class Problem(BaseModel):
    """Why a request was refused."""

    detail: Any
