"""The choice model's architecture, as a policy folder's config.json has it. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from rl_recsys.console.ranges import COUNT, COUNT_OR_ZERO
from rl_recsys.core.task import DEFAULT_TASK
from rl_recsys.core.text_encoding import KINDS, EncodingShape
from rl_recsys.storage.declared import MAY_BE_MISSING, declared


@dataclass(frozen=True)
class ChoiceConfig:
    """``encoder`` is a ``BertShape``'s mapping; ``apart_layers``: how many of its layers, from the embeddings up, read
    each segment of a state by itself; ``begin`` and ``end`` are the ids of [CLS] and [SEP]; ``width`` is the
    interaction's, in features. ``task`` and ``decisions``: whose decisions it reads, and their format; ``kinds``: how
    many kinds of choices these have, padding included."""

    encoder: dict[str, Any]
    apart_layers: Annotated[int, COUNT_OR_ZERO]
    begin: Annotated[int, COUNT_OR_ZERO]
    end: Annotated[int, COUNT_OR_ZERO]
    decisions: Annotated[int, COUNT]
    shape: EncodingShape
    width: Annotated[int, COUNT]
    task: Annotated[str, MAY_BE_MISSING] = DEFAULT_TASK
    kinds: Annotated[int, KINDS, MAY_BE_MISSING] = 9  # WebShop's

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> ChoiceConfig:
        """What ``dataclasses.asdict`` gave of one. Raises ValueError naming the field."""
        return declared(cls, config)
