"""A decision: what an agent is shown of a world, in words, and the actions it may choose among."""

from __future__ import annotations

from dataclasses import dataclass

MAX_CHOICES = 64  # choices a decision; the largest page of WebShop's 1,000 products has 56
#: Ends a segment of a state that speaks of the time left. Two states that differ in such segments alone know the same.
TIME_LEFT = " for another"


@dataclass(frozen=True, slots=True)
class Choice:
    """One available action: the string that the world understands, the words that a policy reads, and its kind.

    ``kind`` indexes the task's ``kinds``; 0 is padding and no action's. A kind tells actions apart whatever their words
    say: no text of an item can pass for another kind.
    """

    action: str
    text: str
    kind: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy is shown. ``state`` are text segments, the whole instruction first; ``dropped`` counts the
    actions beyond the cap that are not among ``choices``."""

    state: tuple[str, ...]
    choices: tuple[Choice, ...]
    dropped: int = 0
