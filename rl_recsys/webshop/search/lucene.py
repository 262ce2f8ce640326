"""Lucene BM25 through Pyserini, in this process, by the light binding (no import of pyserini.search)."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rl_recsys.webshop.data.table import REMEDY
from rl_recsys.webshop.search.java import SearchError, java, reason_of, write_class_archive

BM25_K1, BM25_B = 0.9, 0.4  # Anserini's defaults, which the original uses
MAX_WORDS = 2**31 - 1  # of a query: the original fails on more than 1,024
TOP_K = 50  # WebShop: a search shows at most this many products
INDEX_BUFFER_MB = 48.0  # what is indexed before it is written out, within java.HEAP
_DOCUMENT = re.compile(r'"doc":(\d+)')


def build_index(folder: Path, documents: Iterable[tuple[str, str]]) -> int:
    """Index (id, text) documents into ``folder``, as Pyserini's LuceneIndexer does; return how many.

    Ids must ascend. Segments are only merged with their neighbours, and into one at the end, so that Lucene's number
    of a document is its place in the order of ids: a search needs no look-up, and ties, which Pyserini breaks by id,
    are broken by the number. Raises ValueError where ids do not ascend.
    """
    with java() as autoclass, _named(folder, "the search index cannot be written", "make room, or name another folder"):
        return _build(autoclass, folder, documents)


def _build(autoclass: Callable, folder: Path, documents: Iterable[tuple[str, str]]) -> int:
    analyzer = autoclass("io.anserini.analysis.DefaultEnglishAnalyzer").newDefaultInstance()
    config = autoclass("org.apache.lucene.index.IndexWriterConfig")(analyzer)
    config.setMergePolicy(autoclass("org.apache.lucene.index.LogDocMergePolicy")())
    config.setMergeScheduler(autoclass("org.apache.lucene.index.SerialMergeScheduler")())  # the same files every time
    config.setRAMBufferSizeMB(INDEX_BUFFER_MB)
    directory = autoclass("org.apache.lucene.store.FSDirectory").open(_path(autoclass, folder))
    writer = autoclass("org.apache.lucene.index.IndexWriter")(directory, config)
    document = autoclass("io.anserini.collection.JsonCollection$Document").fromFields
    generator = autoclass("io.anserini.index.generator.DefaultLuceneDocumentGenerator")()
    count, last = 0, ""
    for identifier, text in documents:
        if identifier.encode() <= last.encode():
            raise ValueError(f"document {identifier!r} after {last!r}: ids must ascend")
        writer.addDocument(generator.createDocument(document(identifier, text)))
        count, last = count + 1, identifier
    writer.forceMerge(1)
    writer.close()
    directory.close()
    (folder / "write.lock").unlink(missing_ok=True)
    return count


def _path(autoclass: Callable, folder: Path):
    return autoclass("java.io.File")(str(folder)).toPath()


@contextmanager
def _named(folder: Path, what: str, remedy: str) -> Iterator[None]:
    from jnius import JavaException

    try:
        yield
    except JavaException as error:
        raise SearchError(f"{folder}: {what} ({reason_of(error)}); {remedy}") from None


class Searcher:
    """The numbers of the 50 best documents of a query, best first, in the order of Pyserini's LuceneSearcher.

    A document's number is its place among the ids in ascending order. A search is three calls into Java: Pyserini's
    own would wrap each of the 50 hits in an object, which takes several times as long as Lucene. Any thread may search.
    """

    def __init__(self, folder: Path):
        if not any(folder.glob("segments_*")):
            raise SearchError(f"{folder}: no Lucene index here; {REMEDY}")
        self._folder = folder
        with java() as autoclass, _named(folder, "the search index is damaged", REMEDY):
            directory = autoclass("org.apache.lucene.store.FSDirectory").open(_path(autoclass, folder))
            self._reader = autoclass("org.apache.lucene.index.DirectoryReader").open(directory)
            # The objects are kept, not their methods: see ``java``.
            searchers = autoclass("org.apache.lucene.search.IndexSearcher")
            searchers.setMaxClauseCount(MAX_WORDS)
            self._lucene = searchers(self._reader.getContext())
            similarity = autoclass("org.apache.lucene.search.similarities.BM25Similarity")(BM25_K1, BM25_B)
            self._lucene.setSimilarity(similarity)
            self._analyzer = autoclass("io.anserini.analysis.DefaultEnglishAnalyzer").newDefaultInstance()
            self._queries = autoclass("io.anserini.search.query.BagOfWordsQueryGenerator")()
            self._json = autoclass("com.fasterxml.jackson.databind.ObjectMapper")()
        self._release = weakref.finalize(self, _release, self._reader)
        self._release.atexit = False  # the process's end releases them too

    def search(self, query: str) -> list[int]:
        """The numbers of the best documents for a query in words. Raises ``SearchError`` for a damaged index."""
        query = query.encode(errors="replace").decode()  # half of a character, which JSON can hold, is no word
        with java(), _named(self._folder, "the search index is damaged", REMEDY):
            hits = self._lucene.search(self._queries.buildQuery("contents", self._analyzer, query), TOP_K)
            return list(map(int, _DOCUMENT.findall(self._json.writeValueAsString(hits))))

    def close(self) -> None:
        """Release the index's files, as happens as well once nobody has the searcher any more."""
        self._release()


def _release(reader: Any) -> None:
    with suppress(SearchError), java():  # a forked process has no Java, nor files of it
        reader.close()


def make_searches_start_faster(index: Path, query: str) -> None:
    """Keep the Java classes that this query loads for the processes to come; see ``java.write_class_archive``."""
    write_class_archive(
        "from pathlib import Path; from rl_recsys.webshop.search.lucene import Searcher; "
        f"Searcher(Path({str(index.resolve())!r})).search({query!r})"
    )
