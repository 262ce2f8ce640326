"""BERT (Devlin et al. 2019) over texts that stand one after the other, without padding.

Weights are named as in transformers' ``BertModel`` and give the same encodings. That is not used itself because to
import it takes longer than all else that a rollout worker imports together (docs/design.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from policies.bert.attention import Group, LayerFunction, attention, groups_of
from policies.bert.embedding import embedding
from policies.bert.linear import Linear, with_round_rows
from policies.bert.transfer import on_device
from rl_recsys.console.ranges import COUNT, Range
from rl_recsys.storage.declared import declared

BATCH_TOKENS = 4096  # tokens one call of a layer reads at most, unless a single text has more
LAYERS = Range(least=1, most=1000)  # each is made before its size is known to be right
EPSILON = Range(above=0.0, below=0.1)


@dataclass(frozen=True)
class BertShape:
    """The architecture, by the keys of transformers' ``BertConfig``."""

    vocab_size: Annotated[int, COUNT] = 30522
    hidden_size: Annotated[int, COUNT] = 768
    num_hidden_layers: Annotated[int, LAYERS] = 12
    num_attention_heads: Annotated[int, COUNT] = 12
    intermediate_size: Annotated[int, COUNT] = 3072
    max_position_embeddings: Annotated[int, COUNT] = 512
    type_vocab_size: Annotated[int, COUNT] = 2
    layer_norm_eps: Annotated[float, EPSILON] = 1e-12

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size is {self.hidden_size}, expected a multiple of num_attention_heads, "
                f"{self.num_attention_heads}"
            )

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> BertShape:
        """That of an encoder's config.json, which may leave out what is as in the first BERT.

        Raises ValueError for an architecture that is not plain BERT's.
        """
        expected = {
            "model_type": "bert",
            "hidden_act": "gelu",
            "position_embedding_type": "absolute",
            "is_decoder": False,
        }
        for key, value in expected.items():
            if config.get(key, value) != value:
                raise ValueError(f"{key} is {config[key]!r}, expected {value!r}")
        return cls.written({name: config.get(name, field.default) for name, field in cls.__dataclass_fields__.items()})

    @classmethod
    def written(cls, config: Mapping[str, Any], path: str = "") -> BertShape:
        """That which ``to_mapping`` gave, called ``path`` in messages. Raises ValueError."""
        return declared(cls, config, path, others=True)

    def to_mapping(self) -> dict[str, Any]:
        """The architecture as JSON has it."""
        return asdict(self)


class Bert(nn.Module):
    """The embeddings and layers; no pooler, and no dropout.

    Dropout is off because rollouts and updates must see the same policy: with it, PPO's ratio is not 1 at the start.
    """

    def __init__(self, shape: BertShape):
        super().__init__()
        self.shape = shape
        self.embeddings = _Embeddings(shape)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Layer(shape) for _ in range(shape.num_hidden_layers))})

    @classmethod
    def blank(cls, shape: BertShape) -> Bert:
        """One whose weights are to be loaded: all are 0, and none are drawn, so it is quick to make."""
        with torch.device("meta"):
            model = cls(shape)
        for module in model.modules():
            # Not by to_empty, which makes torch (2.13) import sympy.
            for name, parameter in list(module.named_parameters(recurse=False)):
                setattr(module, name, nn.Parameter(torch.zeros(parameter.shape)))
        return model

    @property
    def layers(self) -> nn.ModuleList:
        """From the one above the embeddings up."""
        return self.encoder["layer"]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embeddings.word_embeddings.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' precision."""
        return self.embeddings.word_embeddings.weight.dtype

    def forward(self, texts: Sequence[Sequence[int]]) -> list[Tensor]:
        """The encodings [length, H] of texts given as token ids."""
        return through(
            self.layers, [len(text) for text in texts], lambda rows: self.embed([texts[row] for row in rows])
        )

    def embed(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """The embeddings [T, H] of texts, one after the other; each begins at position 0."""
        ids = np.concatenate([np.asarray(text, np.int64) for text in texts])
        positions = np.concatenate([np.arange(len(text)) for text in texts])
        return self.embeddings(*on_device(self.device, ids, positions))


def through(
    layers: Sequence[LayerFunction],
    lengths: Sequence[int],
    tokens: Callable[[list[int]], Tensor],
    *,
    equal: bool = False,
) -> list[Tensor]:
    """What layers make of texts of these lengths: [length, H] of each; ``tokens`` gives some texts' tokens [T, H].

    ``equal``: attention takes texts of one length at a time.

    Most of a layer works on tokens one by one, so they are given to it without padding, but for a few rows of zeros at
    the end (``with_round_rows``).
    """
    found: list[Tensor] = [torch.empty(0)] * len(lengths)
    for rows in _batches(lengths):
        hidden = tokens(rows)
        count = len(hidden)
        groups = list(groups_of([lengths[row] for row in rows], hidden.device, equal=equal))
        hidden = with_round_rows(hidden)
        for layer in layers:
            hidden = layer(hidden, groups)
        for row, one in zip(rows, hidden[:count].split([lengths[row] for row in rows]), strict=True):
            found[row] = one
    return found


class _Embeddings(nn.Module):
    def __init__(self, shape: BertShape):
        super().__init__()
        self.word_embeddings = embedding(shape.vocab_size, shape.hidden_size)
        self.position_embeddings = embedding(shape.max_position_embeddings, shape.hidden_size)
        self.token_type_embeddings = embedding(shape.type_vocab_size, shape.hidden_size)
        self.LayerNorm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)

    def forward(self, ids: Tensor, positions: Tensor) -> Tensor:
        first_type = self.token_type_embeddings.weight[0]
        return self.LayerNorm(self.word_embeddings(ids) + first_type + self.position_embeddings(positions))


class _Layer(nn.Module):
    def __init__(self, shape: BertShape):
        super().__init__()
        hidden, between = shape.hidden_size, shape.intermediate_size
        self.heads = shape.num_attention_heads
        projections = {name: Linear(hidden, hidden) for name in ("query", "key", "value")}
        self.attention = nn.ModuleDict({"self": nn.ModuleDict(projections), "output": _Added(hidden, shape)})
        self.intermediate = nn.ModuleDict({"dense": Linear(hidden, between)})
        self.output = _Added(between, shape)

    def forward(self, hidden: Tensor, groups: Sequence[Group]) -> Tensor:
        projected = (project(hidden).unflatten(-1, (self.heads, -1)) for project in self.attention["self"].values())
        hidden = self.attention["output"](attention(*projected, groups).flatten(1), hidden)
        return self.output(F.gelu(self.intermediate["dense"](hidden)), hidden)


class _Added(nn.Module):
    """What a part of a layer found, added to what it was given."""

    def __init__(self, inner: int, shape: BertShape):
        super().__init__()
        self.dense = Linear(inner, shape.hidden_size)
        self.LayerNorm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)

    def forward(self, found: Tensor, given: Tensor) -> Tensor:
        return self.LayerNorm(self.dense(found) + given)


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Texts in the order of their lengths, so many at a time as ``BATCH_TOKENS`` allows."""
    batch: list[int] = []
    tokens = 0
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and tokens + lengths[row] > BATCH_TOKENS:
            yield batch
            batch, tokens = [], 0
        batch.append(row)
        tokens += lengths[row]
    if batch:
        yield batch
