import math
from dataclasses import dataclass
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_recsys.console.ranges import COUNT, LARGEST, RATE, SHARE, Range, RangeError, check_ranges


@dataclass
class _Settings:
    rate: Annotated[float, RATE] = 1e-5
    shares: Annotated[tuple[float, ...], SHARE] = (0.5,)
    count: Annotated[int | None, COUNT] = None
    free: float = math.nan


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_only_finite_numbers_within_both_ends_are_in_a_range(value):
    assert (value in Range(least=-1.0, below=2.0)) == (math.isfinite(value) and -1.0 <= value < 2.0)
    assert (value in Range(above=-1.0, most=2.0)) == (math.isfinite(value) and -1.0 < value <= 2.0)
    assert (value in Range()) == (abs(value) <= LARGEST)


def test_what_is_in_range_or_not_given_passes():
    check_ranges(_Settings())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (_Settings(rate=0.0), "--rate is 0.0, it must be above 0"),
        (_Settings(rate=math.nan), "--rate is nan, it must be above 0"),
        (_Settings(shares=(0.1, 1.5)), "--shares is 1.5, it must be at least 0 and at most 1"),
        (_Settings(count=0), "--count is 0, it must be at least 1"),
        (_Settings(count=2**31), "--count is 2147483648, it must be at least 1, and no number beyond 2,147,483,647"),
    ],
)
def test_the_first_setting_outside_its_range_is_named(settings, message):
    with pytest.raises(RangeError, match=f"^{message}$"):
        check_ranges(settings)
