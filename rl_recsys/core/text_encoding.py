"""Decisions as token arrays: the words of the state and of every choice."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from tokenizers import Tokenizer

from rl_recsys.console.ranges import COUNT, Range, check_ranges
from rl_recsys.core.decision import MAX_CHOICES, Decision
from rl_recsys.core.encoding import MASK, ArraySpec, DecisionEncoder, EncodingError
from rl_recsys.core.policy_folder import TOKENIZER_FILE
from rl_recsys.core.task import DEFAULT_TASK, task_class
from rl_recsys.storage.declared import MAY_BE_MISSING, declared
from rl_recsys.storage.locations import Place, local_folder

MAX_KINDS = 1 + np.iinfo(np.int8).max
TOKENS = Range(least=3)  # a word between two markers
CHOICES = Range(least=1, most=np.iinfo(np.int16).max)  # a trajectory's "chosen" is an int16
KINDS = Range(least=2, most=MAX_KINDS)  # padding and another


@dataclass(frozen=True)
class EncodingShape:
    """Sizes of the arrays: tokens of a state, choices of a decision, tokens of a choice. Raises ``RangeError``."""

    state_tokens: Annotated[int, TOKENS] = 192
    choices: Annotated[int, CHOICES] = MAX_CHOICES
    choice_tokens: Annotated[int, TOKENS] = 64  # 98 % of the 1,000 titles with their prices

    def __post_init__(self) -> None:
        check_ranges(self, flag=False)


@dataclass(frozen=True)
class _Room:
    """How many tokens, and tokens of a text, an encoder has embeddings for, by the keys of a BERT's config.json."""

    vocab_size: Annotated[int, COUNT]
    max_position_embeddings: Annotated[int, COUNT]


@dataclass(frozen=True)
class _PolicyTexts:
    """What a policy's config.json says of its texts. ``begin`` and ``end``: the markers that its network looks for."""

    shape: EncodingShape
    encoder: _Room
    kinds: Annotated[int | None, KINDS, MAY_BE_MISSING] = None
    task: Annotated[str, MAY_BE_MISSING] = DEFAULT_TASK
    begin: Annotated[int | None, MAY_BE_MISSING] = None
    end: Annotated[int | None, MAY_BE_MISSING] = None


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer in a file of a policy or encoder folder. Raises ``EncodingError`` naming the file."""
    if not path.is_file():
        raise EncodingError(f"{path}: no tokenizer here; expected a policy or encoder folder with {TOKENIZER_FILE}")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # nothing more specific is raised
        raise EncodingError(f"{path}: damaged ({error}); copy the folder whole, or make it again") from None


class TextDecisionEncoder(DecisionEncoder):
    """Turns a ``Decision`` into {"state": [S], "actions": [A, L], "kinds": [A], "mask": [A]} with padding 0.

    The state is [CLS] instruction [SEP] segment [SEP] ...: the instruction is always whole, the rest is cut at the end.
    Text can never forge a marker: "[SEP]" written in a product's title is encoded as plain characters.
    """

    encoder_type = "text"
    choice_arrays = ("actions", "kinds", MASK)

    def __init__(self, tokenizer_folder: Place, shape: EncodingShape = EncodingShape(), *, kinds: int = MAX_KINDS):
        """``kinds``: how many kinds of choices the task has, padding included."""
        self.kinds = kinds
        self.folder = tokenizer_folder
        self.choices, self.room = shape.choices, shape.state_tokens
        path = local_folder(tokenizer_folder) / TOKENIZER_FILE
        self.shape, self._tokenizer = shape, load_tokenizer(path)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # markers inside a text stay text
        padding, self.begin, self.end = (self._marker(name, path) for name in ("[PAD]", "[CLS]", "[SEP]"))
        if padding != 0:
            raise EncodingError(f"{path}: the padding token's id is {padding}, expected 0")
        self.vocabulary_size = 1 + max(self._tokenizer.get_vocab().values())
        self.dtype = np.dtype(np.int16 if self.vocabulary_size <= np.iinfo(np.int16).max else np.int32)
        self._ids = lru_cache(maxsize=50_000)(self._tokenize)
        self._choice = lru_cache(maxsize=50_000)(self._encode_choice)

    @classmethod
    def of_policy(cls, folder: Path, config: Mapping[str, Any]) -> TextDecisionEncoder:
        """Its shape is the config's "shape"; "encoder" says what the policy's text encoder has room for."""
        texts: _PolicyTexts = declared(_PolicyTexts, config, others=True)
        encoder = cls(folder, texts.shape, kinds=texts.kinds or len(task_class(texts.task).kinds))
        room = texts.encoder
        encoder.require_room(folder, vocabulary=room.vocab_size, positions=room.max_position_embeddings)
        for name in ("begin", "end"):
            of_config, of_tokenizer = getattr(texts, name), getattr(encoder, name)
            if of_config not in (None, of_tokenizer):
                raise ValueError(f"{name} is token {of_config}, {TOKENIZER_FILE} has {of_tokenizer} for it")
        return encoder

    def save(self, folder: Path) -> None:
        """Write the tokenizer."""
        shutil.copyfile(local_folder(self.folder) / TOKENIZER_FILE, folder / TOKENIZER_FILE)

    @property
    def arrays(self) -> Mapping[str, ArraySpec]:
        """Token ids (int16 where they fit), kinds, 0 or 1."""
        top = np.iinfo(self.dtype).max
        choices, width = self.shape.choices, self.shape.choice_tokens
        return {
            "state": ArraySpec((self.shape.state_tokens,), self.dtype, 0, top),
            "actions": ArraySpec((choices, width), self.dtype, 0, top),
            "kinds": ArraySpec((choices,), np.dtype(np.int8), 0, self.kinds - 1),
            MASK: ArraySpec((choices,), np.dtype(np.int8), 0, 1),
        }

    def _marker(self, name: str, path: Path) -> int:
        found = self._tokenizer.token_to_id(name)
        if found is None:
            raise EncodingError(f"{path}: the tokenizer has no {name} token; it is not a BERT tokenizer")
        return found

    def require_room(self, folder: Place, *, vocabulary: int, positions: int) -> None:
        """Raise ``EncodingError`` where an encoder has no embedding for a token, or for a token's place.

        So too where most of its embeddings are of no token: it is then another tokenizer's. The number of places
        becomes ``most_tokens``.
        ``folder``: what the message names. ``vocabulary``, ``positions``: how many the encoder's config.json has.
        """
        # An encoder may have some embeddings more than there are tokens, to make their number a round one.
        if not vocabulary / 2 <= self.vocabulary_size <= vocabulary:
            raise EncodingError(
                f"{folder}: {TOKENIZER_FILE} has {self.vocabulary_size} tokens, the encoder {vocabulary} (vocab_size "
                "of config.json): they are not of one encoder; copy the folder whole"
            )
        for flag, tokens in (
            ("state-tokens", self.shape.state_tokens),
            ("choice-tokens", self.shape.choice_tokens),
        ):
            if tokens > positions:
                raise EncodingError(
                    f"{folder}: the encoder reads {positions} tokens at most (max_position_embeddings of config.json), "
                    f"--{flag} is {tokens}: make the policy with --{flag} {positions} or fewer"
                )

        self.most_tokens = positions

    def _tokenize(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _encode_choice(self, text: str) -> np.ndarray:
        row = np.zeros(self.shape.choice_tokens, self.dtype)
        ids = [self.begin, *self._ids(text)[: self.shape.choice_tokens - 2], self.end]
        row[: len(ids)] = ids
        return row

    def tokens(self, instruction: str) -> int:
        """Its own tokens, and the markers around it."""
        return len(self._tokenize(instruction)) + 2

    def encode_state(self, segments: Sequence[str]) -> np.ndarray:
        """Token ids [S] of a state's segments. Raises ``EncodingError`` when the instruction alone does not fit."""
        limit = self.shape.state_tokens
        ids = [self.begin, *self._ids(segments[0]), self.end]
        if len(ids) > limit:
            longer = f", or make the policy with jobs/imitate.py --state-tokens {len(ids)} or more"
            if self.most_tokens is not None and len(ids) > self.most_tokens:
                longer = f"; the encoder reads {self.most_tokens} at most"
            raise EncodingError(
                f"the instruction has {len(ids) - 2} tokens, a state holds {limit}; it is never cut: shorten it{longer}"
            )
        for segment in segments[1:]:
            ids += (*self._ids(segment)[:limit], self.end)
        row = np.zeros(limit, self.dtype)
        row[: min(len(ids), limit)] = ids[:limit]
        return row

    def encode_choices(self, texts: Sequence[str], kinds: Sequence[int]) -> dict[str, np.ndarray]:
        """{"actions": [A, L], "kinds": [A], "mask": [A]} of the choices' texts and kinds."""
        if len(texts) > self.shape.choices:
            raise EncodingError(f"{len(texts)} choices, the arrays hold {self.shape.choices}")
        arrays = {
            "actions": np.zeros((self.shape.choices, self.shape.choice_tokens), self.dtype),
            "kinds": np.zeros(self.shape.choices, np.int8),
            "mask": np.zeros(self.shape.choices, np.int8),
        }
        for position, text in enumerate(texts):
            arrays["actions"][position] = self._choice(text)
        arrays["kinds"][: len(texts)] = kinds
        arrays["mask"][: len(texts)] = 1
        return arrays

    def encode(self, decision: Decision) -> dict[str, np.ndarray]:
        """The arrays of a decision."""
        choices = decision.choices
        encoded = self.encode_choices([choice.text for choice in choices], [choice.kind for choice in choices])
        return {"state": self.encode_state(decision.state), **encoded}
