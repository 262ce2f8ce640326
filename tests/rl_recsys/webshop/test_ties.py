"""Products whose texts are equal, as the variants of one catalogue are, come in the order of their ids at any size."""

from __future__ import annotations

import pytest

from rl_recsys.webshop.search import lucene
from rl_recsys.webshop.search.java import java
from rl_recsys.webshop.search.lucene import BM25_B, BM25_K1, TOP_K, Searcher, build_index

VARIANT, OTHER = "soft cotton shirt for men", "cotton"


def catalogue(count: int, every: int) -> list[tuple[str, str]]:
    """So many variants of one product, and another product before every few of them."""
    found = []
    for number in range(count):
        if number % every == 0:
            found.append((f"B{number:06d}A", f"{OTHER} {number} garden hose"))
        found.append((f"B{number:06d}B", VARIANT))
    return found


# Less than a list, a little more, more than the 1,000 hits up to which Lucene counts them, and many segments.
@pytest.mark.parametrize(("count", "buffer"), [(TOP_K - 1, 48.0), (TOP_K + 1, 48.0), (1_100, 48.0), (6_000, 0.2)])
def test_variants_come_in_the_order_of_their_ids(tmp_path, monkeypatch, count, buffer):
    monkeypatch.setattr(lucene, "INDEX_BUFFER_MB", buffer)
    documents = catalogue(count, every=7)
    assert build_index(tmp_path, documents) == len(documents)
    variants = [place for place, (_, text) in enumerate(documents) if text == VARIANT]
    searcher = Searcher(tmp_path)
    assert searcher.search("soft shirt") == variants[:TOP_K]
    assert searcher.search("men soft shirt for") == variants[:TOP_K]


def test_a_list_is_ranks_for_its_scores_are_no_bm25(tmp_path):
    """Anserini makes ties strict by taking a little from each hit: behind a long one scores are less than nothing."""
    documents = catalogue(4_000, every=4_000)
    build_index(tmp_path, documents)
    with java() as autoclass:
        anserini = autoclass("io.anserini.search.SimpleSearcher")(str(tmp_path))
        anserini.set_bm25(BM25_K1, BM25_B)
        listed = [(hit.docid, hit.score) for hit in anserini.search("shirt", 4_000)]
    assert listed[0][1] > 0 > listed[-1][1]
    found = Searcher(tmp_path).search("shirt")
    assert [documents[place][0] for place in found] == [identifier for identifier, _ in listed[:TOP_K]]
    assert all(type(place) is int for place in found)  # and nothing beside it that could be taken for a score
