"""What ``reset(options=...)`` may name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rl_recsys.errors import UserError


class OptionsError(UserError, ValueError):
    """The options of a reset cannot be followed; the message names the option and what it may be."""


def read_options(options: Mapping[str, Any] | None, known: Sequence[str]) -> dict[str, Any]:
    """The options, all of which are ``known``. Raises ``OptionsError``."""
    if options is not None and not isinstance(options, Mapping):
        raise OptionsError(f"reset options are {options!r}, they must be a mapping such as {{'goal': 17}}")
    named = dict(options or {})
    unknown = [name for name in named if name not in known]
    if unknown:
        raise OptionsError(f"no reset option {', '.join(map(repr, unknown))}; there are: {', '.join(known)}")
    return named


def read_person(options: Mapping[str, Any] | None, name: str, *, paired: bool) -> int | None:
    """The number of the user or customer that the option ``name`` asks for, the only one; None where it asks for none.

    ``paired``: whether the simulator's stream is, for otherwise people only come in turn. Raises ``OptionsError``.
    """
    number = read_options(options, (name,)).get(name)
    if number is None:
        return None
    if not paired:
        raise OptionsError(f"the option {name!r} needs stream='paired': the original's {name}s only come in turn")
    if not (is_index(number) and number >= 0):
        raise OptionsError(f"the option {name!r} is {number!r}, it must be a whole number of at least 0")
    return int(number)


def is_index(value: object) -> bool:
    """Whether it is an integer, of Python's or of numpy's."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
