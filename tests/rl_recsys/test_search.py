"""Our three calls into Java beside Anserini's own searcher, which Pyserini's LuceneSearcher wraps."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_recsys.shop import Shop
from rl_recsys.shop.java import java_classes
from rl_recsys.shop.search import BM25_B, BM25_K1, TOP_K


class Anserini:
    """The searcher that the original's goes through."""

    def __init__(self, shop: Shop):
        self._searcher = java_classes()("io.anserini.search.SimpleSearcher")(str(shop.folder / "index"))
        self._searcher.set_bm25(BM25_K1, BM25_B)

    def search(self, query: str) -> tuple[str, ...]:
        return tuple(hit.docid for hit in self._searcher.search(query, TOP_K))


@pytest.fixture(scope="module")
def anserini(shop) -> Anserini:
    return Anserini(shop)


def test_the_real_products_are_found_in_anserinis_order(webshop):
    anserini = Anserini(webshop)
    queries = sorted({webshop.listing(row).product.query for row in range(webshop.product_count)})
    queries += [webshop.goal(index).instruction_text for index in range(360)]
    assert len(queries) == 606
    assert [webshop.search(query) for query in queries] == [anserini.search(query) for query in queries]


WORDS = ["shirt", "shirts", "men's", "RED", "walking-shoes", "3.5mm", "the", '12"', "größe", "★", "gluten", "pack"]


@settings(max_examples=40)
@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=8), min_size=1, max_size=6).map(" ".join))
def test_any_words_are_searched_for_as_anserini_does(shop, anserini, query):
    assert shop.search(query) == anserini.search(query)
