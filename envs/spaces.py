"""The spaces of the environments."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence, Set
from multiprocessing.sharedctypes import SynchronizedArray
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import create_empty_array, create_shared_memory, read_from_shared_memory
from gymnasium.vector.utils.shared_memory import write_to_shared_memory

from rl_recsys.core.encoding import DecisionEncoder

MAX_TEXT = 1_000_000  # characters; longer than any page of the original data
SAMPLE_LENGTH = 20  # characters of a drawn text, at most
_LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz "))


class _Unicode(Sequence[str], Set[str]):
    """Every character there is, in the order of code points, of which none is kept."""

    def __len__(self) -> int:
        return sys.maxunicode + 1

    def __getitem__(self, index: int) -> str:
        return chr(index)

    def __contains__(self, character: object) -> bool:
        return isinstance(character, str) and len(character) == 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Unicode)

    def __hash__(self) -> int:
        return hash(_Unicode)


class FreeText(spaces.Text):
    """Any text of up to ``max_length`` characters. Gymnasium's own ``Text`` would need a list of the characters.

    Its flat form is gymnasium's: int32 code points, padded to ``max_length`` with the number of characters that there
    are. A sample is a short text of small letters.
    """

    def __init__(self, max_length: int, *, min_length: int = 0, seed: int | np.random.Generator | None = None):
        super().__init__(max_length, min_length=min_length, charset="", seed=seed)

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a text of a length that is allowed."""
        return isinstance(x, str) and self.min_length <= len(x) <= self.max_length

    def sample(self, mask: tuple[int | None, None] | None = None, probability: None = None) -> str:
        """A short text, or one of the length ``mask[0]``. Raises ``ValueError`` for a mask of characters."""
        length, characters = mask or (None, None)
        if characters is not None or probability is not None:
            raise ValueError("a FreeText has no list of characters that a mask could name: mask=(length, None)")
        if length is None:
            shortest = min(max(self.min_length, 1), self.max_length)
            length = self.np_random.integers(shortest, min(max(shortest, SAMPLE_LENGTH), self.max_length) + 1)
        return "".join(self.np_random.choice(_LETTERS, size=length))

    @property
    def character_set(self) -> _Unicode:
        """All characters."""
        return _Unicode()

    @property
    def character_list(self) -> _Unicode:
        """All characters in order."""
        return _Unicode()

    def character_index(self, char: str) -> np.int32:
        """A character's code point."""
        return np.int32(ord(char))

    @property
    def characters(self) -> str:
        """A string of all characters (4 MB)."""
        return "".join(_Unicode())

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and (self.min_length, self.max_length) == (other.min_length, other.max_length)

    __hash__ = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(min_length={self.min_length}, max_length={self.max_length})"


# ``AsyncVectorEnv`` reads its shared memory once, and looks at what it got whenever something was written: that is an
# array's view for arrays, but gymnasium's own for texts are strings, which stay empty for ever.


class _SharedTexts(Sequence[str]):
    """What the texts in shared memory say whenever they are looked at; a copy is a tuple of strings."""

    def __init__(self, memory: np.ndarray):
        self._memory = memory

    def __len__(self) -> int:
        return len(self._memory)

    def __getitem__(self, index: int) -> str:
        length, text = self._memory[index, 0], self._memory[index, 1:]
        return text[:length].tobytes().decode(*_ENCODING)

    def __deepcopy__(self, memo: dict) -> tuple[str, ...]:
        return tuple(self)

    def __repr__(self) -> str:
        return repr(tuple(self))


_ENCODING = ("utf-32-le" if sys.byteorder == "little" else "utf-32-be", "surrogatepass")


@create_shared_memory.register(FreeText)
def _create_texts(space: FreeText, n: int = 1, ctx: Any = multiprocessing) -> SynchronizedArray:
    """Room for n times a length and as many characters."""
    return ctx.Array(np.dtype(np.int32).char, n * (1 + space.max_length))


@read_from_shared_memory.register(FreeText)
def _read_texts(space: FreeText, shared_memory: SynchronizedArray, n: int = 1) -> _SharedTexts:
    return _SharedTexts(np.frombuffer(shared_memory.get_obj(), np.int32).reshape(n, 1 + space.max_length))


@write_to_shared_memory.register(FreeText)
def _write_text(space: FreeText, index: int, value: str, shared_memory: SynchronizedArray) -> None:
    memory = np.frombuffer(shared_memory.get_obj(), np.int32).reshape(-1, 1 + space.max_length)[index]
    memory[0] = len(value)
    memory[1 : 1 + len(value)] = np.frombuffer(value.encode(*_ENCODING), np.int32)


@create_empty_array.register(FreeText)
def _empty_texts(space: FreeText, n: int = 1, fn: Any = np.zeros) -> tuple[str, ...]:
    return (" " * space.min_length,) * n


def encoding_space(encoder: DecisionEncoder) -> spaces.Dict:
    """The space of an encoder's arrays: a box each."""
    boxes = {name: spaces.Box(each.low, each.high, each.shape, each.dtype) for name, each in encoder.arrays.items()}
    return spaces.Dict(boxes)
