"""What environments may be made with: an argument that cannot be followed is refused before anything is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from envs.options import is_index
from rl_recsys.console.ranges import COUNT, Range
from rl_recsys.core.text_encoding import EncodingShape
from rl_recsys.errors import UserError


class ArgumentError(UserError, ValueError):
    """An argument of an environment is not what it may be; the message names it, its value and what it may be."""


def refused(name: str, value: object, allowed: object) -> ArgumentError:
    """The error for an argument that is not one of what is allowed."""
    return ArgumentError(f"{name} is {value!r:.200}, it must be {allowed}")


def require_whole(name: str, value: Any, allowed: Range) -> int:
    """An integer, of Python's or of numpy's, in a range."""
    if not is_index(value) or value not in allowed:
        raise refused(name, value, f"a whole number {allowed}")
    return int(value)


def require_steps(value: Any) -> int | None:
    """``max_steps``: None where an environment has a number of its own."""
    if value is None:
        return None
    if not is_index(value) or value not in COUNT:
        raise refused("max_steps", value, f"a whole number {COUNT}, or None")
    return int(value)


def require_number(name: str, value: Any, allowed: Range) -> float:
    """A number in a range."""
    if not (is_index(value) or isinstance(value, (float, np.floating))) or value not in allowed:
        raise refused(name, value, f"a number {allowed}")
    return float(value)


def require_flag(name: str, value: Any) -> bool:
    """True or False; a text is neither."""
    if not isinstance(value, (bool, np.bool_)):
        raise refused(name, value, "True or False")
    return bool(value)


def require_one_of(name: str, value: Any, allowed: Iterable[Any]) -> None:
    """One of a list of values."""
    allowed = list(allowed)
    if value not in allowed:
        raise refused(name, value, f"one of {', '.join(map(repr, allowed))}")


def require_render_mode(value: Any, metadata: Mapping[str, Any]) -> None:
    """None, or one of the modes that an environment's ``metadata`` lists."""
    require_one_of("render_mode", value, [None, *metadata["render_modes"]])


def require_mapping(name: str, value: Any) -> None:
    """A mapping, or None."""
    if value is not None and not isinstance(value, Mapping):
        raise refused(name, value, "a mapping of names to values, or None")


def require_goals(goals: Any, goal_of: Callable[[int], Any], *, others: tuple[type, ...] = ()) -> None:
    """A split's name, which whoever knows the splits checks, or a list of goal indices and of goals of other types.

    ``goal_of`` gives the goal of an index, and raises LookupError or ValueError for one that there is not.
    """
    if isinstance(goals, str):
        return
    allowed = f"a split's name or a list of goals' indices{' or goals' if others else ''}"
    if not isinstance(goals, (Sequence, np.ndarray)):
        raise refused("goals", goals, allowed)
    indices = []
    for goal in goals:
        if is_index(goal):
            indices.append(goal)
        elif not others or not isinstance(goal, others):
            raise ArgumentError(f"goals has {goal!r:.200}, it must be {allowed}")
    if not len(goals):
        raise ArgumentError("goals: the list has none")
    for index in {min(indices), max(indices)} if indices else ():  # where these are indices, all are
        try:
            if index < 0:
                raise LookupError(f"goal {index} is below 0")
            goal_of(int(index))
        except (LookupError, ValueError) as error:
            reason = error.args[0] if error.args else error
            raise ArgumentError(f"goals has {index}, it must be a list of indices that there are: {reason}") from None


def require_encoding(value: Any) -> EncodingShape:
    """An ``EncodingShape`` or its mapping. Raises ``RangeError`` too."""
    if isinstance(value, EncodingShape):
        return value
    names = [field.name for field in fields(EncodingShape)]
    if not isinstance(value, Mapping):
        raise refused("encoding", value, f"an EncodingShape, or a mapping of {', '.join(names)}")
    if unknown := [name for name in value if name not in names]:
        raise ArgumentError(f"encoding has {', '.join(map(repr, unknown))}, it may have: {', '.join(names)}")
    return EncodingShape(**{name: require_whole(f"encoding {name}", size, COUNT) for name, size in value.items()})
