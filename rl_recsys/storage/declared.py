"""What was read from JSON as what it was declared to be: each field of its type and within its range, or it is named.

A declaration is a type: a dataclass, a number that is ``Annotated`` with its ``Range``, a list of them, and so on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from rl_recsys.console.ranges import Range, RangeError, require_in_range
from rl_recsys.errors import UserError

#: In a field's ``Annotated``: files of earlier versions lack it, and mean its default. Any other field must be there.
MAY_BE_MISSING = "may be missing"
_CALLED = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", list: "a list",
           dict: "an object"}  # fmt: skip

Declared = TypeVar("Declared")


class FieldError(ValueError):
    """A value is not what it was declared to be; the message names it by its path ("encoder.hidden_size")."""


def require_declared(
    kind: type[Declared], found: Any, where: object, remedy: str, *, error: type[UserError] = UserError
) -> Declared:
    """See ``declared``, with others let pass. Raises ``error``, which says ``where`` the value is and the remedy."""
    try:
        return declared(kind, found, others=True)
    except ValueError as reason:
        raise error(f"{where}: damaged ({reason}); {remedy}") from None


def declared(kind: Any, found: Any, path: str = "", *, others: bool = False) -> Any:
    """``found``, which was read as JSON, as a value of ``kind``; objects become dataclasses, lists tuples if declared.

    A float may be written as an integer; it must be finite. ``path``: what the value is called in messages. ``others``:
    let pass what is not declared. Raises ``FieldError``, and ValueError where a dataclass refuses its values together.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return found
    if origin is Annotated:
        value = declared(parts[0], found, path, others=others)
        for allowed in parts[1:]:
            if isinstance(allowed, Range):
                _require_in_range(path, value, allowed)
        return value
    if origin in (Union, UnionType):
        if found is None and NoneType in parts:
            return None
        return _as_one_of([part for part in parts if part is not NoneType], found, path, others)
    if origin is Literal:
        if found not in parts:
            raise FieldError(f"{_named(path)} is {found!r}, expected one of {', '.join(map(repr, parts))}")
        return found
    if is_dataclass(kind):
        return _as_dataclass(kind, found, path, others)
    if origin in (list, tuple):
        return _as_list(origin, parts, _of_type(list, found, path), path, others)
    if origin in (dict, Mapping):
        return {
            key: declared(parts[1], value, f"{path}[{key!r}]", others=others)
            for key, value in _of_type(dict, found, path).items()
        }
    return _of_type(kind, found, path)


def _as_dataclass(kind: Any, found: Any, path: str, others: bool) -> Any:
    _of_type(dict, found, path)
    hints = get_type_hints(kind, include_extras=True)
    known = [field.name for field in fields(kind) if field.init]
    if not others and (unknown := [name for name in found if name not in known]):
        raise FieldError(f"{_named(path)} has {unknown[0]!r}, which is not known here")
    needed = [name for name in known if MAY_BE_MISSING not in get_args(hints[name])[1:]]
    if missing := [name for name in needed if name not in found]:
        raise FieldError(f"{_named(path)} has no {missing[0]!r}")
    before = f"{path}." if path else ""
    given = [name for name in known if name in found]
    return kind(**{name: declared(hints[name], found[name], f"{before}{name}", others=others) for name in given})


def _as_one_of(kinds: Sequence[Any], found: Any, path: str, others: bool) -> Any:
    refused: list[FieldError] = []
    for kind in kinds:
        try:
            return declared(kind, found, path, others=others)
        except FieldError as error:
            refused.append(error)
    raise FieldError(", nor ".join(map(str, refused)))


def _as_list(origin: type, parts: tuple, found: list, path: str, others: bool) -> list | tuple:
    if origin is list or parts[-1] is Ellipsis:
        kinds = [parts[0]] * len(found)
    elif len(parts) == len(found):
        kinds = list(parts)
    else:
        raise FieldError(f"{_named(path)} has {len(found)} values, expected {len(parts)}")
    places = enumerate(zip(kinds, found, strict=True))
    return origin(declared(kind, value, f"{path}[{place}]", others=others) for place, (kind, value) in places)


def _of_type(kind: type, found: Any, path: str) -> Any:
    if kind is float and type(found) is int:
        if abs(found) <= 2**53:  # those of which a float holds each
            return float(found)
    elif type(found) is kind and (kind is not float or math.isfinite(found)):
        return found
    shown = repr(found) if isinstance(found, (int, float, str)) or found is None else _CALLED.get(type(found), "")
    raise FieldError(f"{_named(path)} is {shown[:80]}, expected {_CALLED[kind]}")


def _require_in_range(path: str, value: Any, allowed: Range) -> None:
    try:
        require_in_range(_named(path), value, allowed)
    except RangeError as error:
        raise FieldError(str(error)) from None


def _named(path: str) -> str:
    return path or "it"
