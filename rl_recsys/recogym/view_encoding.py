"""Decisions of RecoGym as numbers: how often, and how lately, a user viewed each product."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from rl_recsys.console.ranges import COUNT
from rl_recsys.core.decision import Decision
from rl_recsys.core.encoding import MASK, ArraySpec, DecisionEncoder, EncodingError
from rl_recsys.recogym.task import VIEWED
from rl_recsys.storage.declared import declared

FADING = 0.9  # what a view counts for in "recent" after another one


class ViewEncoder(DecisionEncoder):
    """{"views": [P], "recent": [P], "mask": [P]}: views of each product, and views of which later ones count more."""

    encoder_type = "views"

    def __init__(self, choices: int):
        self.choices = choices

    @classmethod
    def of_policy(cls, folder: Path, config: Mapping[str, Any]) -> ViewEncoder:
        """Of as many products as config.json's "choices"."""
        return cls(declared(Annotated[int, COUNT], config["choices"], "choices"))

    def save(self, folder: Path) -> None:
        """Nothing beside config.json."""

    @property
    def arrays(self) -> Mapping[str, ArraySpec]:
        """float32, and int8 for the mask."""
        numbers = np.dtype(np.float32)
        return {
            "views": ArraySpec((self.choices,), numbers, 0.0, np.inf),
            "recent": ArraySpec((self.choices,), numbers, 0.0, 1 / (1 - FADING)),
            MASK: ArraySpec((self.choices,), np.dtype(np.int8), 0, 1),
        }

    def encode(self, decision: Decision) -> dict[str, np.ndarray]:
        """Raises ``EncodingError`` for more products than there is room for, and for what is no decision of RecoGym."""
        products = [int(number) for number in _viewed(decision)]
        if (most := max([len(decision.choices), *(product + 1 for product in products)])) > self.choices:
            raise EncodingError(f"{self.name}: the policy knows {self.choices} products, not {most}; train one here")
        views, recent = np.zeros(self.choices, np.float32), np.zeros(self.choices, np.float32)
        np.add.at(views, products, 1)
        np.add.at(recent, products, FADING ** np.arange(len(products))[::-1])
        mask = np.zeros(self.choices, np.int8)
        mask[: len(decision.choices)] = 1
        return {"views": views, "recent": recent, MASK: mask}


def _viewed(decision: Decision) -> list[str]:
    shown = decision.state[1] if len(decision.state) > 1 else ""
    if not shown.startswith(VIEWED):
        raise EncodingError(f"a state of RecoGym says {VIEWED!r} what was viewed; this one says {shown[:60]!r}")
    return shown.removeprefix(VIEWED).split()
