"""A compiled shop: a folder that is only read, shared by every session of a process."""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rl_recsys.storage.files import file_entry, link_or_copy, read_json, write_json
from rl_recsys.storage.folders import whole_folder, within
from rl_recsys.storage.locations import Place, absolute, is_uri, local_folder
from rl_recsys.webshop.data.catalog import PRODUCT_SCHEMA, Product
from rl_recsys.webshop.data.manifest import (
    GOALS,
    IDENTIFIED_BY,
    INDEX,
    KIND,
    MANIFEST,
    PRODUCTS,
    QUERIES,
    RECALL,
    files_of_manifest,
    fingerprint,
    read_manifest,
    verify_shop,
)
from rl_recsys.webshop.data.table import REMEDY, MappedTable, ShopError
from rl_recsys.webshop.goals.goal import GOAL_SCHEMA, Goal, search_words, typed, without_price_clause
from rl_recsys.webshop.goals.splits import split_goals, split_names
from rl_recsys.webshop.play.listing import Listing
from rl_recsys.webshop.play.session import Session
from rl_recsys.webshop.rules import RulesError, ShopRules
from rl_recsys.webshop.search.filters import filtered
from rl_recsys.webshop.search.lucene import Searcher, make_searches_start_faster

# Kept between steps: enough for all of the 1,000 products, and no more of a million.
CACHED_PRODUCTS, CACHED_GOALS, CACHED_QUERIES = 1024, 1024, 4096

Part = TypeVar("Part")


class Shop:
    """The products, goals and search of one compiled folder.

    >>> shop = Shop.open("shops/demo")                                # doctest: +SKIP
    >>> session = shop.session(goal=17)                               # doctest: +SKIP
    >>> session.step("search[red shirt]").page.kind                   # doctest: +SKIP
    """

    def __init__(self, place: Place, folder: Path, manifest: dict, rules: ShopRules):
        self.place = place
        self.folder = folder
        self.manifest = manifest
        self.rules = rules
        #: How many products the shop has, and goals; a goal's index is its position in WebShop's order.
        self.product_count, self.goal_count = len(self._products), len(self._goals)
        self._searcher: Searcher | None = None
        self._queries: dict[str, list[str]] | None = None
        self._splits: dict[str, Sequence[int]] = {}
        self._drawing_weights: dict[str, np.ndarray] = {}
        self._opening = threading.Lock()
        self.listing = lru_cache(maxsize=CACHED_PRODUCTS)(self._listing)
        self.goal = lru_cache(maxsize=CACHED_GOALS)(self._goal)
        self.ranked = lru_cache(maxsize=CACHED_QUERIES)(self._ranked)

    @classmethod
    def open(cls, place: Place, *, verify: bool = False, **rules: object) -> Shop:
        """Open a folder made by ``prepare``; of one at a URI, this node's copy.

        The first to open it on a machine compares all files with their checksums and validates the tables; later ones
        only look whether a file changed since. ``verify`` compares all again.

        ``rules``: fields of ``ShopRules`` that differ from those the shop was prepared with, as ``reward="corrected"``.
        Raises ``ShopError`` for a missing, half-written or damaged folder, or one of another format version, and
        ``RulesError`` for rules that there are not.
        """
        folder = local_folder(place)
        manifest = read_manifest(folder)
        effective = _effective_rules(folder, manifest, rules)
        verify_shop(folder, manifest, again=verify)
        return cls(absolute(place), folder.resolve(), manifest, effective)

    @cached_property
    def _products(self) -> MappedTable:
        return self._opened(lambda: MappedTable(self.folder / PRODUCTS, PRODUCT_SCHEMA))

    @cached_property
    def _goals(self) -> MappedTable:
        return self._opened(lambda: MappedTable(self.folder / GOALS, GOAL_SCHEMA))

    def _opened(self, open_part: Callable[[], Part]) -> Part:
        """A part of the folder. Raises ``ShopError`` where it would be, or may have been, another shop's."""
        try:
            return open_part()
        finally:
            self._require_the_same_folder()

    def _require_the_same_folder(self) -> None:
        """Raise ``ShopError`` where another shop took the folder's place since this one was opened."""
        if read_json(self.folder / MANIFEST) != self.manifest:
            raise ShopError(f"{self.folder}: it was replaced or removed while it was open; open it again")

    def __reduce__(self) -> tuple:
        # What is pickled is where it is: who unpickles it opens it, once a process.
        return _reopened, (self.place, asdict(self.rules), self.fingerprint)

    def __copy__(self) -> Shop:
        return self  # it is only read

    def __deepcopy__(self, memo: dict) -> Shop:
        return self

    @property
    def fingerprint(self) -> str:
        """A short digest of the products, goals, queries and rules: equal for equal shops, however often prepared."""
        return fingerprint(self.manifest, self.rules)

    def row(self, asin: str) -> int:
        """A product's place among all in the order of asins. Raises KeyError where there is none of this asin."""
        row = self._products.find("asin", asin)
        if row is None:
            raise KeyError(f"{self.folder}: no product {asin!r}")
        return row

    def product(self, asin: str) -> Product:
        """The product of an asin. Raises KeyError where there is none."""
        return self.listing(self.row(asin)).product

    def _listing(self, row: int) -> Listing:
        return Listing(self._products, row)

    def _goal(self, index: int) -> Goal:
        if not 0 <= index < self.goal_count:
            raise IndexError(f"{self.folder}: goal {index} of {self.goal_count}")
        return Goal.from_row(self._goals.row(index))

    def goal_weights(self, goals: Sequence[int]) -> np.ndarray:
        """How likely each of some goals is to be drawn, up to a factor."""
        weights = np.concatenate(
            [np.from_dlpack(column) for column in self._goals.columns("weight")]
        )  # to_numpy loads pandas
        return weights[np.asarray(goals)]

    def drawing_weights(self, name: str) -> np.ndarray:
        """The weights of a split's goals in its order, summed up: kept, since every environment draws from them."""
        if name not in self._drawing_weights:
            self._drawing_weights[name] = np.cumsum(self.goal_weights(self.split(name)))
        return self._drawing_weights[name]

    def attributes(self, row: int) -> list[str]:
        """The attributes of the product of a row."""
        return self._products.value(row, "attributes")

    def products_of_goals(self, chosen: np.ndarray) -> np.ndarray:
        """Which products [row] some goals are about; ``chosen`` [goal] says which goals, as booleans."""
        bits = pa.py_buffer(np.packbits(chosen, bitorder="little"))
        mask = pa.BooleanArray.from_buffers(pa.bool_(), len(chosen), [None, bits])  # pa.array loads pandas
        asins = pa.chunked_array(self._goals.columns("asin")).filter(mask).unique()
        found = [pc.is_in(column, asins).cast(pa.uint8()) for column in self._products.columns("asin")]
        return np.concatenate([np.from_dlpack(column) for column in found]).astype(bool)

    def instruction_bytes(self, goals: Sequence[int]) -> np.ndarray:
        """How many bytes of UTF-8 the instruction of each of some goals has."""
        lengths = [np.from_dlpack(pc.binary_length(column)) for column in self._goals.columns("instruction_text")]
        return np.concatenate(lengths)[np.asarray(goals, int)]

    def split(self, name: str) -> Sequence[int]:
        """The goals of a split ("train", "test", ...) of the shop's protocol, or of "all".

        Raises ``ShopError`` for a name that the protocol does not have, and where the shop is too small for it.
        """
        if name not in self._splits:
            self._splits[name] = self._split(name)
        return self._splits[name]

    def _split(self, name: str) -> Sequence[int]:
        if name == "all":
            return range(self.goal_count)
        protocol = self.rules.protocol
        if name not in split_names(protocol):
            names = ", ".join(("all", *split_names(protocol)))
            raise ShopError(f"{self.folder}: no split {name!r} in protocol {protocol!r}; there are: {names}")
        asins = itertools.chain.from_iterable(column.to_pylist() for column in self._goals.columns("asin"))
        chosen = split_goals(protocol, name, asins, self.goal_count)
        if not chosen:
            raise ShopError(
                f"{self.folder}: split {name!r} of protocol {protocol!r} has none of the shop's {self.goal_count} goals"
                "; prepare it with more products, or with --protocol product-disjoint"
            )
        return chosen

    def search(self, query: str) -> tuple[str, ...]:
        """The asins of the 50 best products for a query, best first (BM25)."""
        return tuple(self.listing(row).asin for row in self.hits(query))

    def hits(self, query: str) -> Sequence[int]:
        """The rows of what a search shows: the 50 best products for a query, best first."""
        if "catalog_filters" in self.rules.quirks:
            listed = filtered(self._products, query.split(" "))
            if listed is not None:
                return listed
        return self.ranked(query)

    def _ranked(self, query: str) -> array:
        with self._opening:
            if self._searcher is None:  # Java starts with the first search, in the process that searches
                self._searcher = self._opened(lambda: Searcher(self.folder / INDEX))
            searcher = self._searcher
        return array("i", searcher.search(query))

    def search_candidates(self, instruction: str) -> list[str]:
        """What may be typed for an instruction: a query model's queries, best first, and its own ``search_words``.

        Without queries in the folder (``with_queries``) it is these alone.
        """
        if self._queries is None:
            self._queries = self._read_queries()
        found = self._queries.get(without_price_clause(instruction), ())
        return list(dict.fromkeys([*filter(None, found), search_words(instruction)]))

    def _read_queries(self) -> dict[str, list[str]]:
        entry = self.manifest["files"].get(QUERIES)
        if entry is None:
            return {}
        path = self.folder / QUERIES
        self._require_the_same_folder()
        written = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(written).hexdigest() != entry["sha256"]:
            raise ShopError(f"{path}: damaged (its checksum differs); {REMEDY}")
        return json.loads(written)

    def with_queries(
        self,
        out: str | Path,
        queries: Mapping[str, Sequence[str]],
        made_by: Mapping,
        recall: Mapping | None = None,
    ) -> None:
        """Write the folder ``out``: this shop, with search candidates by instruction, and what they were ``made_by``.

        ``recall``, what those searches find, is written beside them. The large files are those of this folder (hard
        links) where the disk is the same. Raises ``FolderError`` where ``out`` holds something else than a shop.
        """
        self._require_the_same_folder()
        kept = {without_price_clause(text): list(map(typed, found)) for text, found in queries.items()}
        with whole_folder(out, kind=KIND, unlisted=files_of_manifest) as aside:
            for name in self.manifest["files"]:
                path = within(aside, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(within(self.folder, name), path)
            (aside / QUERIES).unlink(missing_ok=True)
            (aside / QUERIES).write_text(json.dumps(kept))
            entry = file_entry(aside / QUERIES)
            self._require_the_same_folder()  # what was linked is what was opened
            manifest = self.manifest | {"files": self.manifest["files"] | {QUERIES: entry}, "queries": dict(made_by)}
            if IDENTIFIED_BY in manifest:
                manifest[IDENTIFIED_BY] = sorted({*manifest[IDENTIFIED_BY], QUERIES})
            write_json(aside / MANIFEST, manifest)
            if recall is not None:
                write_json(aside / RECALL, dict(recall))

    def make_searches_start_faster(self) -> None:
        """Prepare this machine for it, once: takes some seconds where it was not done. Raises ``SearchError``."""
        make_searches_start_faster(self.folder / INDEX, self.goal(0).query)

    def session(self, goal: int | Goal | Mapping, *, session_id: str | None = None) -> Session:
        """A new session for a goal: its index, a ``Goal``, or a mapping with the original's goal keys."""
        if isinstance(goal, (int, np.integer)):
            session_id = str(goal) if session_id is None else session_id
            goal = self.goal(int(goal))
        elif not isinstance(goal, Goal):
            goal = Goal.from_mapping(goal)
        return Session(self, goal, "session" if session_id is None else session_id)

    def group(self, goal: int | Goal | Mapping, size: int) -> list[Session]:
        """``size`` sessions that start alike, with one goal and one random state: to compare what is made of them."""
        return [self.session(goal) for _ in range(size)]

    def goal_nouns(self, goal: Goal) -> tuple[str, ...]:
        """The nouns of the wanted product's title, none of a goal known by its words only."""
        if not goal.name:
            return ()
        try:
            product = self.product(goal.asin)
            if product.title == goal.name:
                return product.nouns
        except KeyError:
            pass
        from rl_recsys.webshop.data.nouns import (
            title_nouns,  # a goal from elsewhere: its title was not tagged at compile time
        )

        return title_nouns(goal.name)

    def close(self) -> None:
        """Release the files and what was kept of them. Whoever uses the shop again opens them again."""
        with self._opening:
            if self._searcher is not None:
                self._searcher.close()
                self._searcher = None
        for kept in (self.listing, self.goal, self.ranked):
            kept.cache_clear()
        for table in ("_products", "_goals"):
            self.__dict__.pop(table, None)


def _effective_rules(folder: Path, manifest: Mapping, changes: Mapping[str, object]) -> ShopRules:
    """The rules that a shop was prepared with, with others in the place of some."""
    try:
        prepared = ShopRules(**manifest["rules"])
    except (KeyError, TypeError, RulesError) as error:
        raise ShopError(f"{folder / MANIFEST}: rules that this code does not know ({error}); {REMEDY}") from None
    return prepared.changed(changes)


def _reopened(place: str, rules: Mapping[str, object], fingerprint: str) -> Shop:
    shop = shared_shop(place, rules)
    if shop.fingerprint != fingerprint:
        raise ShopError(
            f"{place}: it is another shop than the one that was pickled ({shop.fingerprint}, {fingerprint})"
        )
    return shop


#: The shops of this process that somebody uses, by their folders and rules.
_shared: WeakValueDictionary[tuple, Shop] = WeakValueDictionary()
_sharing = threading.Lock()


def shared_shop(shop: Shop | str | Path, rules: Mapping[str, object] | None = None) -> Shop:
    """The one ``Shop`` of this process for a folder, so that all its environments share tables, caches and the JVM.

    ``rules``: see ``Shop.open``. A shop that is open already is returned; it raises ``RulesError`` to give it others.
    A folder that was replaced since is opened anew.
    """
    if isinstance(shop, Shop):
        if rules and shop.rules.changed(rules) != shop.rules:
            raise RulesError(f"{shop.folder} is open with {shop.rules}; give its folder to have {dict(rules)}")
        return shop
    folder = local_folder(shop)
    effective = _effective_rules(folder, read_manifest(folder), rules or {})
    status = (folder / MANIFEST).stat()
    # A shop says where it was opened from, so one at a URI is not the one of this node's copy.
    key = absolute(shop) if is_uri(shop) else str(folder.resolve()), effective, status.st_ino, status.st_mtime_ns
    with _sharing:
        opened = _shared.get(key)
        if opened is None:
            opened = _shared[key] = Shop.open(shop, **asdict(effective))
        return opened
