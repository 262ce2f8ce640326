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


def is_index(value: object) -> bool:
    """Whether it is an integer, of Python's or of numpy's."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
