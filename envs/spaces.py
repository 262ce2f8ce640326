"""The spaces of the shop environments."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from rl_recsys.decision import ChoiceKind
from rl_recsys.encoding import DecisionEncoder

MAX_TEXT = 1_000_000  # characters; longer than any page of the original data


class FreeText(spaces.Text):
    """Any text up to ``max_length`` characters. Gymnasium's own ``Text`` would need every character listed."""

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a text that is not too long."""
        return isinstance(x, str) and len(x) <= self.max_length

    def __repr__(self) -> str:
        return f"FreeText(max_length={self.max_length})"


def choice_space(encoder: DecisionEncoder) -> spaces.Dict:
    """{"state": [S], "actions": [A, L], "kinds": [A], "mask": [A]}: token ids (int16 where they fit), kinds, 0 or 1."""
    shape, top = encoder.shape, np.iinfo(encoder.dtype).max

    def ids(*size: int) -> spaces.Box:
        return spaces.Box(0, top, size, encoder.dtype)

    return spaces.Dict(
        state=ids(shape.state_tokens),
        actions=ids(shape.choices, shape.choice_tokens),
        kinds=spaces.Box(0, len(ChoiceKind) - 1, (shape.choices,), np.int8),
        mask=spaces.Box(0, 1, (shape.choices,), np.int8),
    )
