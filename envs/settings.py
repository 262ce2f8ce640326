"""The settings of a simulator, from an environment's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_args, get_type_hints

from envs.arguments import ArgumentError, refused, require_flag, require_number, require_whole
from rl_recsys.console.ranges import Range

Settings = TypeVar("Settings")


def read_settings(kind: type[Settings], arguments: Mapping[str, Any]) -> Settings:
    """Settings of a simulator, a dataclass. Raises ``ArgumentError``, and what ``kind`` raises."""
    hints = get_type_hints(kind, include_extras=True)
    known = [field.name for field in fields(kind)]
    if unknown := [name for name in arguments if name not in known]:
        raise ArgumentError(f"no argument {', '.join(map(repr, unknown))}; there are: {', '.join(known)}")
    for field in fields(kind):
        if field.default is MISSING and field.name not in arguments:
            raise ArgumentError(f"the argument {field.name!r} is missing")
    checked = dict(arguments)
    for name, value in arguments.items():
        allowed = next((part for part in get_args(hints[name]) if isinstance(part, Range)), None)
        if hints[name] is bool:
            checked[name] = require_flag(name, value)
        elif hints[name] is str and not isinstance(value, str):
            raise refused(name, value, "a text")
        elif allowed is not None:
            whole = get_args(hints[name])[0] is int
            checked[name] = (require_whole if whole else require_number)(name, value, allowed)
    return kind(**checked)
