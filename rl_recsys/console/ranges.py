"""The numbers that a setting may have: said once, where the setting is, and checked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from rl_recsys.errors import UserError

LARGEST = 2**31 - 1  # what numpy, torch and gymnasium take for sizes and seeds alike


class RangeError(UserError, ValueError):
    """A setting is outside its range; the message names it, its value and the range."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers between two ends, which belong to it (``least``, ``most``) or do not (``above``, ``below``).

    What is larger in size than ``LARGEST``, infinite or not a number is in no range.

    >>> 0.0 in Range(above=0.0), math.nan in Range(least=0.0), str(Range(least=0.0, below=1.0))
    (False, False, 'at least 0 and below 1')
    """

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            abs(value) <= LARGEST  # false of a nan
            and (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        ends = (("at least", self.least), ("above", self.above), ("at most", self.most), ("below", self.below))
        return " and ".join(f"{words} {end:.12g}" for words, end in ends if end is not None) or "a finite number"


COUNT = Range(least=1)
COUNT_OR_ZERO = Range(least=0)
SHARE = Range(least=0.0, most=1.0)
WEIGHT = Range(least=0.0)
RATE = Range(above=0.0)
SEED = COUNT_OR_ZERO


def require_in_range(name: str, value: Any, allowed: Range) -> None:
    """Raise ``RangeError`` where a number, or one of a sequence of numbers, is outside; None is a setting not given."""
    for number in value if isinstance(value, (tuple, list)) else (value,):
        if number is not None and number not in allowed:
            large = f", and no number beyond {LARGEST:,}" if abs(number) > LARGEST else ""
            raise RangeError(f"{name} is {number}, it must be {allowed}{large}")


def check_ranges(settings: Any, *, flag: bool = True) -> None:
    """Check a dataclass's fields that are ``Annotated`` with a ``Range``; raise ``RangeError`` for the first outside.

    ``flag``: name them as a job's flags ("--final-rate") instead of by their field.
    """
    for name, hint in get_type_hints(type(settings), include_extras=True).items():
        if get_origin(hint) is not Annotated:
            continue
        for allowed in get_args(hint)[1:]:
            if isinstance(allowed, Range):
                shown = f"--{name.replace('_', '-')}" if flag else name
                require_in_range(shown, getattr(settings, name), allowed)
