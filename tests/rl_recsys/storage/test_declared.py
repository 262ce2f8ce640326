"""Values read from JSON that are, or are not, what they were declared to be."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_recsys.console.ranges import COUNT, SHARE
from rl_recsys.errors import UserError
from rl_recsys.storage.declared import MAY_BE_MISSING, FieldError, declared, require_declared


@dataclass(frozen=True)
class Size:
    width: Annotated[int, COUNT]
    share: Annotated[float, SHARE] = 0.5


@dataclass(frozen=True)
class Thing:
    name: str
    size: Size
    interval: tuple[float, float]
    seeds: list[int]
    sizes: tuple[Size, ...]
    parts: dict[str, float | bool | None]
    mode: Literal["greedy", "sampled"]
    more: Mapping[str, Any]
    gain: float | None
    whole: Annotated[bool, MAY_BE_MISSING] = True


THING = Thing(
    "a", Size(3), (0.0, 1.0), [1, 2], (Size(1, 1.0),), {"a": 0.5, "b": None, "c": True}, "greedy", {"x": [1]}, None
)
WRITTEN = json.loads(json.dumps(asdict(THING)))


def test_what_was_written_is_read_as_it_was():
    assert declared(Thing, WRITTEN) == THING
    assert declared(Thing, {name: value for name, value in WRITTEN.items() if name != "whole"}) == THING
    assert declared(Thing, WRITTEN | {"other": 1}, others=True) == THING
    assert declared(float, 3) == 3.0 and isinstance(declared(float, 3), float)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": 1}, "name is 1, expected a text"),
        ({"size": None}, "size is None, expected an object"),
        ({"size": {"width": 0, "share": 1}}, "size.width is 0, it must be at least 1"),
        ({"size": {"width": True, "share": 1}}, "size.width is True, expected a whole number"),
        ({"size": {"width": 2**40, "share": 1}}, "size.width is 1099511627776, it must be at least 1, and no number"),
        ({"size": {"width": 1, "share": math.nan}}, "size.share is nan, expected a number"),
        ({"size": {"width": 1}}, "size has no 'share'"),
        ({"size": {"width": 1, "share": 1, "depth": 1}}, "size has 'depth', which is not known here"),
        ({"interval": [0.0]}, "interval has 1 values, expected 2"),
        ({"interval": [0.0, 10**400]}, r"interval\[1\] is 1000.*, expected a number"),
        ({"seeds": [1, "2"]}, r"seeds\[1\] is '2', expected a whole number"),
        ({"sizes": [{"width": 1.5, "share": 1}]}, r"sizes\[0\].width is 1.5, expected a whole number"),
        ({"parts": {"a": "x"}}, r"parts\['a'\] is 'x', expected a number"),
        ({"parts": {"a": []}}, r"parts\['a'\] is a list, expected a number, nor .* expected true or false"),
        ({"mode": "other"}, "mode is 'other', expected one of 'greedy', 'sampled'"),
        ({"whole": 1}, "whole is 1, expected true or false"),
        ({"other": 1}, "it has 'other', which is not known here"),
    ],
)
def test_what_was_not_declared_is_named_by_its_path(changed, said):
    with pytest.raises(FieldError, match=said):
        declared(Thing, WRITTEN | changed)
    if "not known" not in said:
        with pytest.raises(UserError, match=f"^a.json: damaged \\({said}.*\\); do this$"):
            require_declared(Thing, WRITTEN | changed, "a.json", "do this")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(WRITTEN)), JSON_VALUES)
def test_no_value_is_taken_for_another(name, value):
    try:
        found = declared(Thing, WRITTEN | {name: value})
    except FieldError:
        return
    assert json.loads(json.dumps(asdict(found))) == WRITTEN | {name: value}
