"""Our three calls into Java beside Anserini's own searcher, which Pyserini's LuceneSearcher wraps."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_recsys.webshop import Shop
from rl_recsys.webshop.play.page import PageKind
from rl_recsys.webshop.search.java import SearchError, java
from rl_recsys.webshop.search.lucene import BM25_B, BM25_K1, TOP_K, Searcher, build_index
from tests.rl_recsys.storage.test_files import full_disk


class Anserini:
    """The searcher that the original's goes through."""

    def __init__(self, shop: Shop):
        with java() as autoclass:
            self._searcher = autoclass("io.anserini.search.SimpleSearcher")(str(shop.folder / "index"))
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


def test_threads_search_the_index_that_they_ask(tmp_path):
    """pyjnius has one method object a class: unguarded, a thread's search may be done by another thread's index."""
    shared = [f"word{number}" for number in range(20)]
    for name, first in (("one", 0), ("other", 1)):
        build_index(tmp_path / name, [(f"{n:03d}", shared[(first + n) % 20]) for n in range(20)])
    searchers = [Searcher(tmp_path / name) for name in ("one", "other")]

    def search(number: int) -> bool:
        word = number % 20
        return searchers[number % 2].search(shared[word]) == [(word - number % 2) % 20]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # the worst that can be
    try:
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(search, range(4000)))
    finally:
        sys.setswitchinterval(interval)


def test_java_lets_go_of_threads_that_ended(shop):
    def count() -> int:
        with java() as autoclass:
            return autoclass("java.lang.Thread").activeCount()

    before = count()
    for number in range(20):
        thread = threading.Thread(target=shop.search, args=(f"shirt {number}",))
        thread.start()
        thread.join()
    assert count() <= before


def test_a_damaged_index_is_named(tmp_path):
    build_index(tmp_path, [("a", "one"), ("b", "two")])
    (segments,) = tmp_path.glob("segments_*")
    segments.write_bytes(segments.read_bytes()[:-4] + b"xxxx")
    with pytest.raises(SearchError, match=r"the search index is damaged \(org.apache.lucene.*\); make it again with"):
        Searcher(tmp_path)


def test_an_index_that_there_is_no_room_for_is_named(tmp_path):
    build_index(tmp_path / "small", [("a", "one")])
    with full_disk(100), pytest.raises(SearchError, match=r"large: the search index cannot be written .*; make room"):
        build_index(tmp_path / "large", [("a", "one"), ("b", "two")])


def test_a_search_is_never_too_long_nor_of_half_characters(shop):
    many = " ".join(f"word{number}" for number in range(3000))
    assert shop.search(f"{many} shirt")[:1] == shop.search("shirt")[:1] != ()
    assert shop.search("\ud800 shirt \udfff") == shop.search("shirt")
    assert shop.session(0).step("search[\ud800]").page.kind is PageKind.RESULTS
    with pytest.raises(KeyError):
        shop.product("\ud800")
