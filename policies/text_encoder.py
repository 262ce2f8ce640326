"""BERT over texts made of segments: the lower layers read each segment apart, the upper ones the whole text."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers.masking_utils import create_bidirectional_mask

from policies.encoders import EncoderError

ENCODE_TOKENS = 4096  # padded tokens one call of a layer reads at most
KEPT_TOKENS = 150_000  # whose encodings each of the two stores keeps: 230 MB of MiniLM's


@dataclass(frozen=True)
class Encoded:
    """Texts as their tokens' encodings, one after the other without padding.

    tokens [T, H]; starts [N] and lengths [N] say where each text's tokens are (texts may share them); means [N, H] are
    the averages over a text's tokens but the first and the last, which are markers.
    """

    tokens: Tensor
    starts: Tensor
    lengths: Tensor
    means: Tensor

    @classmethod
    def of(cls, tokens: Tensor, starts: Tensor, lengths: Tensor) -> Encoded:
        """Texts that share no tokens; computes the means."""
        index, owner, inside = token_places(starts, lengths)
        inner = (inside > 0) & (inside < lengths[owner] - 1)
        sums = tokens.new_zeros(len(starts), tokens.shape[-1]).index_add(0, owner[inner], tokens[index[inner]])
        return cls(tokens, starts, lengths, sums / (lengths - 2).clamp(min=1).unsqueeze(-1))


def token_places(starts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For every token of texts: its row in ``Encoded.tokens``, the text it belongs to, and its place in the text."""
    owner = torch.repeat_interleave(torch.arange(len(starts), device=starts.device), lengths)
    before = lengths.cumsum(0) - lengths
    inside = torch.arange(len(owner), device=starts.device) - before[owner]
    return starts[owner] + inside, owner, inside


class TextEncoder(nn.Module):
    """Encodes texts given as token ids: [CLS] segment [SEP] segment [SEP] ...

    The first ``apart_layers`` layers read every segment by itself, as "[CLS] segment [SEP]" from position 0; the others
    read all of a text's segments together (DeFormer, Cao et al. 2020). What a segment is made of in the lower layers
    does not depend on the text that it stands in, so a product's title is read once for all goals and pages. It is
    kept for as long as those layers stay the same, which is for ever where they are frozen.
    """

    def __init__(self, bert: nn.Module, *, apart_layers: int, begin: int, end: int):
        """``begin`` and ``end`` are the ids of [CLS] and [SEP]. Raises ``EncoderError`` for too many layers."""
        super().__init__()
        layers = len(bert.encoder.layer)
        if not 0 <= apart_layers <= layers:
            raise EncoderError(f"apart_layers is {apart_layers}; the encoder has {layers} layers")
        self.bert = bert
        self.apart_layers, self.begin, self.end = apart_layers, begin, end
        self._segments, self._texts = _Kept(self._apart_parameters), _Kept(self.bert.parameters)

    @property
    def hidden_size(self) -> int:
        """Features of a token's encoding."""
        return self.bert.config.hidden_size

    def forward(self, ids: Tensor) -> Encoded:
        """The encodings of texts given as padded token ids [N, L].

        Actions recur, and so do the states of several episodes of one goal: equal texts are encoded once, and without
        gradient their encodings are kept until the weights change.
        """
        padded = ids.cpu().numpy()
        lengths = (padded != 0).sum(-1)
        keys = [row[:length].tobytes() for row, length in zip(padded, lengths, strict=True)]
        first = {key: position for position, key in reversed(list(enumerate(keys)))}
        places = {key: place for place, key in enumerate(first)}
        rows = list(first.values())

        def read(missing: Sequence[int]) -> list[Tensor]:
            chosen = [rows[place] for place in missing]
            return self.read([padded[row, : lengths[row]] for row in chosen])

        found = read(range(len(rows))) if torch.is_grad_enabled() else self._texts.get(list(first), read)
        unique = Encoded.of(torch.cat(found), *_spans(lengths[rows], ids.device))
        which = torch.tensor([places[key] for key in keys], device=ids.device)
        return Encoded(unique.tokens, unique.starts[which], unique.lengths[which], unique.means[which])

    def forget(self) -> None:
        """Drop everything that is kept between calls."""
        self._segments.clear()
        self._texts.clear()

    def read(self, texts: Sequence[np.ndarray]) -> list[Tensor]:
        """The encodings [length, H] of texts given as token ids: the segments are looked up, the texts are not."""
        device = self.bert.embeddings.word_embeddings.weight.device
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
        read = self._apart(list(segments), device)
        lengths = np.array([len(one) for one in read])
        starts = np.cumsum(lengths) - lengths
        tokens = torch.cat(read)
        ends = starts + lengths
        places = [
            np.concatenate([np.arange(starts[number] + skip, ends[number]) for number, skip in part]) for part in parts
        ]
        found: list[Tensor] = [tokens] * len(texts)
        for rows in _alike([len(text) for text in texts]):
            place, mask = _pad([places[row] for row in rows], device)
            hidden = self._layers(self.bert.encoder.layer[self.apart_layers :], tokens[place], mask)
            for row, one in zip(rows, _split(hidden, mask), strict=True):
                found[row] = one
        return found

    def _apart(self, keys: list[bytes], device: torch.device) -> list[Tensor]:
        """The segments' encodings after the lower layers; computed with gradient where those layers are trained."""

        def read(missing: Sequence[int]) -> list[Tensor]:
            segments = [np.frombuffer(keys[place], np.int32) for place in missing]
            found: list[Tensor] = [torch.empty(0)] * len(segments)
            for rows in _alike([len(segment) for segment in segments]):
                ids, mask = _pad([segments[row] for row in rows], device)
                hidden = self.bert.embeddings(input_ids=ids)
                hidden = self._layers(self.bert.encoder.layer[: self.apart_layers], hidden, mask)
                for row, one in zip(rows, _split(hidden, mask), strict=True):
                    found[row] = one
            return found

        if torch.is_grad_enabled() and any(parameter.requires_grad for parameter in self._apart_parameters()):
            return read(range(len(keys)))
        with torch.no_grad():
            return self._segments.get(keys, read)

    def _layers(self, layers: Sequence[nn.Module], hidden: Tensor, mask: Tensor) -> Tensor:
        attention = create_bidirectional_mask(self.bert.config, hidden, mask)
        for layer in layers:
            hidden = layer(hidden, attention)
        return hidden

    def _apart_parameters(self) -> Iterator[nn.Parameter]:
        yield from self.bert.embeddings.parameters()
        yield from self.bert.encoder.layer[: self.apart_layers].parameters()


class _Kept:
    """Tensors [length, H] by key, those asked for last; all are dropped when the parameters' values change."""

    def __init__(self, parameters: Callable[[], Iterator[nn.Parameter]]):
        self._parameters = parameters
        self._versions, self._digest, self._lowered = -1, b"", False
        self._tensors: dict[bytes, Tensor] = {}
        self._tokens = 0

    def get(self, keys: list[bytes], compute: Callable[[list[int]], list[Tensor]]) -> list[Tensor]:
        """The tensors of different keys; ``compute`` is given the places in ``keys`` of those that are not here."""
        self._drop_if_changed()
        # What is taken goes to the end: the front is what was not asked for the longest.
        found = [self._tensors.pop(key, None) for key in keys]
        missing = [place for place, tensor in enumerate(found) if tensor is None]
        if missing:
            for place, tensor in zip(missing, compute(missing), strict=True):
                found[place] = tensor.clone()  # a view would keep its whole batch alive
                self._tokens += len(tensor)
        self._tensors.update(zip(keys, found, strict=True))
        while self._tokens > KEPT_TOKENS:
            self._tokens -= len(self._tensors.pop(next(iter(self._tensors))))
        return found

    def clear(self) -> None:
        self._tensors, self._tokens = {}, 0

    def _drop_if_changed(self) -> None:
        """Versions count writes: weights that are loaded again, as rollout workers do, may be what they were."""
        lowered = any(map(torch.is_autocast_enabled, ("cpu", "cuda")))
        if lowered != self._lowered:  # what a lower precision gave is not what is asked for without it
            self.clear()
            self._lowered = lowered
        versions = sum(parameter._version for parameter in self._parameters())
        if versions == self._versions:
            return
        digest = hashlib.blake2b(digest_size=16)
        for parameter in self._parameters():
            digest.update(str(parameter.device).encode())
            digest.update(parameter.detach().cpu().contiguous().numpy())
        if digest.digest() != self._digest:
            self.clear()
        self._versions, self._digest = versions, digest.digest()


def _alike(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows in groups of like length, so that little is spent on padding."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    start = 0
    while start < len(order):
        end = start + 1
        limit = 2 * max(8, lengths[order[start]])
        while (
            end < len(order)
            and lengths[order[end]] <= limit
            and (end + 1 - start) * lengths[order[end]] <= ENCODE_TOKENS
        ):
            end += 1
        yield order[start:end]
        start = end


def _pad(rows: Sequence[np.ndarray], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of numbers as (long [N, L] padded with 0, mask [N, L] of 1 and 0)."""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    padded = np.zeros(mask.shape, np.int64)
    padded[mask] = np.concatenate(rows)
    return torch.as_tensor(padded, device=device), torch.as_tensor(mask, device=device).long()


def _split(hidden: Tensor, mask: Tensor) -> Sequence[Tensor]:
    """Each row's tokens [length, H] of padded ones."""
    return hidden[mask.bool()].split(mask.sum(-1).tolist())


def _spans(lengths: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor]:
    """(starts, lengths) of texts that stand one after the other."""
    return (
        torch.as_tensor(np.cumsum(lengths) - lengths, device=device),
        torch.as_tensor(lengths, device=device),
    )
