"""BERT over texts made of segments: the lower layers read each segment apart, the upper ones the whole text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from policies.bert.bert import Bert, through
from policies.bert.encoder_folder import EncoderError
from policies.bert.inference import InferenceLayers
from policies.bert.products import fastest_precision
from policies.bert.transfer import on_device, on_host
from policies.bert_choice.encoding_cache import EncodingCache
from policies.torch_compat import can_pack


@dataclass(frozen=True)
class Encoded:
    """Texts as their tokens' encodings, one after the other without padding.

    tokens [T, H]; starts [N] and lengths [N], on the host, say where each text's tokens are (texts may share them);
    means [N, H] are the averages over a text's inner tokens.
    """

    tokens: Tensor
    starts: np.ndarray
    lengths: np.ndarray
    means: Tensor

    @classmethod
    def of(cls, tokens: Tensor, lengths: np.ndarray) -> Encoded:
        """Texts of which each has its own tokens, one after the other; computes the means."""
        starts = np.cumsum(lengths) - lengths
        token, text, inner = token_places(starts, lengths)
        token, text, count = on_device(tokens.device, token[inner], text[inner], inner_counts(lengths))
        sums = tokens.new_zeros(len(lengths), tokens.shape[-1]).index_add(0, text, tokens[token])
        return cls(tokens, starts, lengths, sums / count.unsqueeze(-1))


def token_places(starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every token of texts: its row in ``Encoded.tokens``, the text it belongs to, and whether it is an inner one:
    neither the text's first nor its last, which are markers; the last of a cut text is a word."""
    text = np.repeat(np.arange(len(starts)), lengths)
    inside = np.arange(len(text)) - (np.cumsum(lengths) - lengths)[text]
    return starts[text] + inside, text, (inside > 0) & (inside < lengths[text] - 1)


def inner_counts(lengths: np.ndarray) -> np.ndarray:
    """How many inner tokens texts of these lengths have, and 1 where they have none: what sums are divided by."""
    return (lengths - 2).clip(min=1)


class TextEncoder(nn.Module):
    """Encodes texts given as token ids: [CLS] segment [SEP] segment [SEP] ...

    The first ``apart_layers`` layers read every segment by itself, as "[CLS] segment [SEP]" from position 0; the others
    read all of a text's segments together (DeFormer, Cao et al. 2020). What a segment is made of in the lower layers
    does not depend on the text that it stands in, so a product's title is read once for all goals and pages. It is
    kept for as long as those layers stay the same, which is for ever where they are frozen.
    """

    def __init__(self, bert: Bert, *, apart_layers: int, begin: int, end: int):
        """``begin`` and ``end`` are the ids of [CLS] and [SEP]. Raises ``EncoderError`` for too many layers."""
        super().__init__()
        layers = len(bert.layers)
        if not 0 <= apart_layers <= layers:
            raise EncoderError(f"apart_layers is {apart_layers}; the encoder has {layers} layers")
        self.bert = bert
        self.apart_layers, self.begin, self.end = apart_layers, begin, end
        self._segments = EncodingCache(self._apart_parameters, "segments")
        self._texts = EncodingCache(self.bert.parameters, f"texts with {apart_layers} layers apart")
        self._for_inference = tuple(
            InferenceLayers(part) for part in (bert.layers[:apart_layers], bert.layers[apart_layers:])
        )
        #: What it computes in where nothing is learnt and no autocast says otherwise; None for the fastest.
        self.precision: torch.dtype | None = None

    @property
    def hidden_size(self) -> int:
        """Features of a token's encoding."""
        return self.bert.shape.hidden_size

    def forward(self, ids: Tensor | np.ndarray) -> Encoded:
        """The encodings, in the weights' precision, of texts given as padded token ids [N, L], best on the host.

        Actions recur, and so do the states of several episodes of one goal: equal texts are encoded once, and without
        gradient their encodings are kept until the weights change.
        """
        padded = on_host(ids)
        lengths = (padded != 0).sum(-1)
        keys = [row[:length].tobytes() for row, length in zip(padded, lengths, strict=True)]
        first = {key: position for position, key in reversed(list(enumerate(keys)))}
        places = {key: place for place, key in enumerate(first)}
        rows = list(first.values())

        def read(missing: Sequence[int]) -> list[Tensor]:
            chosen = [rows[place] for place in missing]
            return self.read([padded[row, : lengths[row]] for row in chosen])

        found = (
            read(range(len(rows))) if torch.is_grad_enabled() else self._texts.get(list(first), read, self._precision)
        )
        unique = Encoded.of(torch.cat(found).to(self.bert.dtype), lengths[rows])
        which = np.array([places[key] for key in keys])
        means = unique.means[on_device(self.bert.device, which)[0]]
        return Encoded(unique.tokens, unique.starts[which], unique.lengths[which], means)

    def share(self) -> None:
        """Keep what other encoders of this process keep of equal lower layers, from now on."""
        self._segments.join(self._precision)

    def forget(self) -> None:
        """Keep nothing between calls, until the next one."""
        for kept in (self._segments, self._texts, *self._for_inference):
            kept.forget()

    def read(self, texts: Sequence[np.ndarray]) -> list[Tensor]:
        """The encodings [length, H] of texts given as token ids: the segments are looked up, the texts are not."""
        segments: dict[bytes, int] = {}  # each one's number
        parts: list[list[tuple[int, int]]] = []  # of each text: its segments' numbers, and how much of each is left out
        for text in texts:
            ends = (np.flatnonzero(text == self.end) + 1).tolist()
            bounds = sorted({0, *ends, len(text)})
            of_text = []
            for start, end in zip(bounds[:-1], bounds[1:], strict=True):
                alone = text[start:end] if start == 0 else np.concatenate([[self.begin], text[start:end]])
                number = segments.setdefault(alone.astype(np.int32).tobytes(), len(segments))
                of_text.append((number, int(start != 0)))
            parts.append(of_text)
        read = self._apart(list(segments))
        lengths = np.array([len(one) for one in read])
        starts = np.cumsum(lengths) - lengths
        tokens = torch.cat(read)
        ends = starts + lengths
        places = [
            np.concatenate([np.arange(starts[number] + skip, ends[number]) for number, skip in part]) for part in parts
        ]

        def gathered(rows: list[int]) -> Tensor:
            return tokens[on_device(self.bert.device, np.concatenate([places[row] for row in rows]))[0]]

        return self._through(1, [len(text) for text in texts], gathered)

    def _apart(self, keys: list[bytes]) -> list[Tensor]:
        """The segments' encodings after the lower layers; computed with gradient where those layers are trained."""

        def read(missing: Sequence[int]) -> list[Tensor]:
            segments = [np.frombuffer(keys[place], np.int32) for place in missing]
            lengths = [len(segment) for segment in segments]
            return self._through(0, lengths, lambda rows: self.bert.embed([segments[row] for row in rows]))

        if torch.is_grad_enabled() and any(parameter.requires_grad for parameter in self._apart_parameters()):
            return read(range(len(keys)))
        with torch.no_grad():
            return self._segments.get(keys, read, self._precision)

    @property
    def _precision(self) -> str:
        """What tells encodings that are kept from others: the precision that they were computed in without gradient."""
        inferring = self._inference_precision()
        if inferring is not None:
            return f"layers for inference, {inferring}"
        device = self.bert.device.type
        return str(torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else self.bert.dtype)

    def _inference_precision(self) -> torch.dtype | None:
        """In what the layers for inference compute now; None where they are not for this device or precision."""
        if self.bert.device.type != "cpu" or self.bert.dtype is not torch.float32:
            return None
        if torch.is_autocast_enabled("cpu"):
            asked = torch.get_autocast_dtype("cpu")
        else:
            asked = self.precision or fastest_precision()
        return asked if asked is torch.float32 or (asked is torch.bfloat16 and can_pack()) else None

    def _through(self, part: int, lengths: Sequence[int], tokens: Callable[[list[int]], Tensor]) -> list[Tensor]:
        """``through`` the lower layers (part 0) or the upper ones (1)."""
        precision = None if torch.is_grad_enabled() else self._inference_precision()
        if precision is None:
            layers = (self.bert.layers[: self.apart_layers], self.bert.layers[self.apart_layers :])[part]
            return through(layers, lengths, tokens)
        with torch.autocast("cpu", enabled=False):
            return through(self._for_inference[part].current(precision), lengths, tokens, equal=True)

    def _apart_parameters(self) -> Iterator[nn.Parameter]:
        yield from self.bert.embeddings.parameters()
        yield from self.bert.layers[: self.apart_layers].parameters()
