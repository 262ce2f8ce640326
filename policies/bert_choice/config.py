"""The choice model's architecture, as a policy folder's config.json has it. Needs no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from rl_recsys.core.task import DEFAULT_TASK
from rl_recsys.core.text_encoding import EncodingShape


@dataclass(frozen=True)
class ChoiceConfig:
    """``encoder`` is a ``BertShape``'s mapping; ``apart_layers``: how many of its layers, from the embeddings up, read
    each segment of a state by itself; ``begin`` and ``end`` are the ids of [CLS] and [SEP]; ``width`` is the
    interaction's, in features. ``task`` and ``decisions``: whose decisions it reads, and their format; ``kinds``: how
    many kinds of choices these have, padding included."""

    encoder: dict
    apart_layers: int
    begin: int
    end: int
    decisions: int
    shape: dict[str, int] = field(default_factory=lambda: asdict(EncodingShape()))
    width: int = 128
    task: str = DEFAULT_TASK
    kinds: int = 9  # of folders that do not say it: WebShop's
