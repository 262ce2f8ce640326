"""What decides the customers, and how far the world is the original's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from rl_recsys.console.ranges import COUNT, SEED, check_ranges
from rl_recsys.errors import UserError

Stream = Literal["paired", "original"]


class SettingsError(UserError, ValueError):
    """Settings that contradict each other; the message names them and what they may be."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Virtual-Taobao's settings."""

    weights: str
    """Whose networks: a folder that jobs/prepare_virtual_taobao.py made, or "stand-in:SEED", drawn by chance."""
    random_seed: Annotated[int, SEED] = 0
    """Decides the customers, until a reset names another seed for them."""
    stream: Stream = "paired"
    """"paired": what a customer draws depends on the seed, the customer and the page alone, so all arms meet the same
    customers. "original": one generator for all, in the order of the original under torch 2.13, seed for seed."""
    clip_actions: bool = True
    """Weights beyond -1 and 1 count as -1 and 1. False: they are taken as they are, as in the original."""
    leave_when_bored: bool = False
    """Ours, not the original's: a customer leaves after a page of the same as before (``boredom``)."""
    bored_memory: Annotated[int, COUNT] = 1
    """How many of the last pages a customer remembers."""

    def __post_init__(self) -> None:
        """Raise ``RangeError`` or ``SettingsError`` for what cannot be."""
        check_ranges(self, flag=False)
        if self.stream not in get_args(Stream):
            raise SettingsError(
                f"stream is {self.stream!r}, it must be one of {', '.join(map(repr, get_args(Stream)))}"
            )
