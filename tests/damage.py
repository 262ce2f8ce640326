"""What may become of a JSON file: each of its leaves gone, of another type, null, negative, huge, or no number."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, NamedTuple

WRONG = (None, -1, -0.5, 0, 10**30, math.nan, math.inf, "", "x", True, [], {}, [None])


class Damaged(NamedTuple):
    """A JSON value with one of its leaves changed; ``now`` is ``...`` where it is gone."""

    path: tuple[str | int, ...]
    now: Any
    value: Any


def damaged(value: Any) -> Iterator[Damaged]:
    """``value`` with each of its leaves, and each object and list in it, changed in every way."""
    for path, before in _places(value):
        for now in (*WRONG, ...):
            if type(now) is type(before) and now == before:
                continue
            changed = deepcopy(value)
            if not path:
                if now is not ...:
                    yield Damaged(path, now, now)
                continue
            holder = changed
            for step in path[:-1]:
                holder = holder[step]
            if now is ...:
                del holder[path[-1]]
            else:
                holder[path[-1]] = now
            yield Damaged(path, now, changed)


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    yield path, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, one in inner:
        yield from _places(one, (*path, step))
