"""Decisions as token arrays of a fixed shape: what environments emit and policies read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from tokenizers import Tokenizer

from rl_recsys.console.ranges import COUNT, Range, check_ranges
from rl_recsys.errors import UserError
from rl_recsys.storage.locations import Place, local_folder
from rl_recsys.webshop.observe.decisions import MAX_CHOICES, Decision

if TYPE_CHECKING:
    from rl_recsys.webshop.shop import Shop

TOKENIZER_FILE = "tokenizer.json"
GOALS_NAMED = 3  # of those that do not fit
TOKENS = Range(least=3)  # a word between two markers


class EncodingError(UserError):
    """A text cannot be encoded within the stated limits; the message names the limit."""


@dataclass(frozen=True)
class EncodingShape:
    """Sizes of the arrays: tokens of a state, choices of a decision, tokens of a choice. Raises ``RangeError``."""

    state_tokens: Annotated[int, TOKENS] = 192
    choices: Annotated[int, COUNT] = MAX_CHOICES
    choice_tokens: Annotated[int, TOKENS] = 64  # 98 % of the 1,000 titles with their prices

    def __post_init__(self) -> None:
        check_ranges(self, flag=False)


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer in a file of a policy or encoder folder. Raises ``EncodingError`` naming the file."""
    if not path.is_file():
        raise EncodingError(f"{path}: no tokenizer here; expected a policy or encoder folder with {TOKENIZER_FILE}")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # nothing more specific is raised
        raise EncodingError(f"{path}: damaged ({error}); copy the folder whole, or make it again") from None


class DecisionEncoder:
    """Turns a ``Decision`` into {"state": [S], "actions": [A, L], "kinds": [A], "mask": [A]} with padding 0.

    The state is [CLS] instruction [SEP] segment [SEP] ...: the instruction is always whole, the rest is cut at the end.
    Text can never forge a marker: "[SEP]" written in a product's title is encoded as plain characters.
    """

    def __init__(self, tokenizer_folder: Place, shape: EncodingShape = EncodingShape()):
        self.folder = tokenizer_folder
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

    def _marker(self, name: str, path: Path) -> int:
        found = self._tokenizer.token_to_id(name)
        if found is None:
            raise EncodingError(f"{path}: the tokenizer has no {name} token; it is not a BERT tokenizer")
        return found

    def require_room(self, folder: Place, *, vocabulary: int, positions: int) -> None:
        """Raise ``EncodingError`` where an encoder has no embedding for a token, or for a token's place.

        ``folder``: what the message names. ``vocabulary``, ``positions``: how many the encoder's config.json has.
        """
        if self.vocabulary_size > vocabulary:
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

    def _tokenize(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _encode_choice(self, text: str) -> np.ndarray:
        row = np.zeros(self.shape.choice_tokens, self.dtype)
        ids = [self.begin, *self._ids(text)[: self.shape.choice_tokens - 2], self.end]
        row[: len(ids)] = ids
        return row

    def state_tokens(self, instruction: str) -> int:
        """How many tokens the shortest state of an instruction has: its own, and the markers around it."""
        return len(self._tokenize(instruction)) + 2

    def fits(self, instruction: str) -> bool:
        """Whether an instruction fits a state: it is never cut."""
        return self.state_tokens(instruction) <= self.shape.state_tokens

    def encode_state(self, segments: Sequence[str]) -> np.ndarray:
        """Token ids [S] of a state's segments. Raises ``EncodingError`` when the instruction alone does not fit."""
        limit = self.shape.state_tokens
        ids = [self.begin, *self._ids(segments[0]), self.end]
        if len(ids) > limit:
            raise EncodingError(
                f"the instruction has {len(ids) - 2} tokens, a state holds {limit}; it is never cut: shorten it, or "
                f"make the policy with jobs/imitate.py --state-tokens {len(ids)} or more"
            )
        for segment in segments[1:]:
            ids += (*self._ids(segment)[:limit], self.end)
        row = np.zeros(limit, self.dtype)
        row[: min(len(ids), limit)] = ids[:limit]
        return row

    def encode_choices(self, texts: Sequence[str], kinds: Sequence[int]) -> dict[str, np.ndarray]:
        """{"actions": [A, L], "kinds": [A], "mask": [A]} of the choices' texts and ``ChoiceKind``s."""
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


@dataclass(frozen=True, slots=True)
class FittingGoals:
    """Which of a shop's goals a policy can play: an instruction longer than its state fits no decision.

    As text it says which do not fit and what to do; it is empty where all do.
    """

    goals: Sequence[int]
    #: Goal -> tokens of the state that would hold it, of those left out.
    too_long: dict[int, int] = field(default_factory=dict)
    state_tokens: int = 0

    def __str__(self) -> str:
        if not self.too_long:
            return ""
        named = [f"goal {goal} has {tokens}" for goal, tokens in list(self.too_long.items())[:GOALS_NAMED]]
        named += ["..."] if len(self.too_long) > GOALS_NAMED else []
        return (
            f"left out: {len(self.too_long)} of {len(self.goals) + len(self.too_long)} goals do not fit the policy's "
            f"state of {self.state_tokens} tokens ({', '.join(named)}); "
            f"jobs/imitate.py --state-tokens {max(self.too_long.values())} makes a policy that reads them"
        )


def fitting_goals(shop: Shop, goals: Sequence[int], *encoders: DecisionEncoder) -> FittingGoals:
    """The ``goals`` of a shop that fit the states of all ``encoders``, in their order.

    Raises ``EncodingError`` where none does.
    """
    smallest = min(encoder.shape.state_tokens for encoder in encoders)
    # A BERT tokenizer makes at most a token of a byte, so most texts need not be tokenized.
    places = np.flatnonzero(shop.instruction_bytes(goals) > smallest - 2)
    too_long = {}
    for goal in np.asarray(goals, int)[places].tolist():
        instruction = shop.goal(goal).instruction_text
        if not all(encoder.fits(instruction) for encoder in encoders):
            too_long[goal] = max(encoder.state_tokens(instruction) for encoder in encoders)
    kept = [goal for goal in goals if goal not in too_long] if too_long else goals
    found = FittingGoals(kept, too_long, smallest)
    if too_long and not kept:
        raise EncodingError(str(found))
    return found
