"""A compiled shop: a folder that is only read, shared by every session of a process."""

from __future__ import annotations

import hashlib
import itertools
import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np

from rl_recsys.files import checksum, link_or_copy, read_json, write_json
from rl_recsys.folders import whole_folder, within
from rl_recsys.shop.catalog import PRODUCT_SCHEMA, Product
from rl_recsys.shop.filters import filtered
from rl_recsys.shop.goals import GOAL_SCHEMA, Goal, search_words, typed, without_price_clause
from rl_recsys.shop.listing import Listing
from rl_recsys.shop.rules import RulesError, ShopRules
from rl_recsys.shop.search import Searcher, make_searches_start_faster
from rl_recsys.shop.session import Session
from rl_recsys.shop.splits import split_goals, split_names
from rl_recsys.shop.table import REMEDY, MappedTable, ShopError
from rl_recsys.storage import Place, absolute, local_folder

FORMAT_VERSION = 3
KIND = "shop"
MANIFEST, PRODUCTS, GOALS, INDEX = "manifest.json", "products.arrow", "goals.arrow", "index"
QUERIES = "queries.json"  # where there is one: what a query model would search for, by instruction
RECALL = "recall.json"  # beside it: what those searches find
# Kept between steps: enough for all of the 1,000 products, and no more of a million.
CACHED_PRODUCTS, CACHED_GOALS, CACHED_QUERIES = 1024, 1024, 4096


class Shop:
    """The products, goals and search of one compiled folder.

    >>> shop = Shop.open("shops/demo")                                # doctest: +SKIP
    >>> session = shop.session(goal=17)                               # doctest: +SKIP
    >>> session.step("search[red shirt]").page.kind                   # doctest: +SKIP
    """

    def __init__(self, folder: Path, manifest: dict, rules: ShopRules):
        self.folder = folder
        self.manifest = manifest
        self.rules = rules
        self._products = MappedTable(folder / PRODUCTS, PRODUCT_SCHEMA)
        self._goals = MappedTable(folder / GOALS, GOAL_SCHEMA)
        self._searcher: Searcher | None = None
        self._queries: dict[str, list[str]] | None = None
        self.listing = lru_cache(maxsize=CACHED_PRODUCTS)(self._listing)
        self.goal = lru_cache(maxsize=CACHED_GOALS)(self._goal)
        self.ranked = lru_cache(maxsize=CACHED_QUERIES)(self._ranked)

    @classmethod
    def open(cls, folder: Place, *, verify: bool = False, **rules: object) -> Shop:
        """Open a folder made by ``prepare``; of one at a URI, this node's copy.

        ``verify`` also recomputes every file's checksum (slow for a large shop).

        ``rules``: fields of ``ShopRules`` that differ from those the shop was prepared with, as ``reward="corrected"``.
        Raises ``ShopError`` for a missing, half-written or damaged folder, or one of another format version, and
        ``RulesError`` for rules that there are not.
        """
        folder = local_folder(folder)
        try:
            manifest = json.loads((folder / MANIFEST).read_text())
        except FileNotFoundError:
            remedy = f"make one with jobs/prepare.py --out {folder}"
            raise ShopError(f"{folder}: no shop here ({MANIFEST} is missing); {remedy}") from None
        except ValueError as error:
            raise ShopError(f"{folder / MANIFEST}: damaged ({error}); {REMEDY}") from None
        if manifest.get("format_version") != FORMAT_VERSION:
            found = manifest.get("format_version")
            raise ShopError(f"{folder}: format version {found}, this code reads {FORMAT_VERSION}; {REMEDY}")
        for name, entry in manifest["files"].items():
            path = folder / name
            if not path.is_file():
                raise ShopError(f"{path}: missing; {REMEDY}")
            if path.stat().st_size != entry["bytes"]:
                raise ShopError(f"{path}: {path.stat().st_size} bytes, expected {entry['bytes']}; {REMEDY}")
            if verify and checksum(path) != entry["sha256"]:
                raise ShopError(f"{path}: damaged (its checksum differs); {REMEDY}")
        try:
            prepared = ShopRules(**manifest["rules"])
        except (KeyError, TypeError, RulesError) as error:
            raise ShopError(f"{folder / MANIFEST}: rules that this code does not know ({error}); {REMEDY}") from None
        return cls(folder, manifest, prepared.changed(rules))

    @property
    def fingerprint(self) -> str:
        """A short digest of all the shop's files and its rules: equal for equal shops, wherever they lie."""
        files = {name: entry["sha256"] for name, entry in sorted(self.manifest["files"].items())}
        return hashlib.sha256(json.dumps([files, asdict(self.rules)]).encode()).hexdigest()[:16]

    @property
    def goal_count(self) -> int:
        """How many goals the shop has; a goal's index is its position in WebShop's order."""
        return len(self._goals)

    @property
    def product_count(self) -> int:
        """How many products the shop has."""
        return len(self._products)

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
        weights = np.concatenate([column.to_numpy() for column in self._goals.columns("weight")])
        return weights[np.asarray(goals)]

    def split(self, name: str) -> Sequence[int]:
        """The goals of a split ("train", "test", ...) of the shop's protocol, or of "all".

        Raises ``ShopError`` for a name that the protocol does not have, and where the shop is too small for it.
        """
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
        if self._searcher is None:  # Java starts with the first search, in the process that searches
            self._searcher = Searcher(self.folder / INDEX)
        return array("i", self._searcher.search(query))

    def search_candidates(self, instruction: str) -> list[str]:
        """What may be typed for an instruction: a query model's queries, best first, and its own ``search_words``.

        Without queries in the folder (``with_queries``) it is these alone.
        """
        if self._queries is None:
            known = QUERIES in self.manifest["files"]
            self._queries = json.loads((self.folder / QUERIES).read_text()) if known else {}
        found = self._queries.get(without_price_clause(instruction), ())
        return list(dict.fromkeys([*filter(None, found), search_words(instruction)]))

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
        kept = {without_price_clause(text): list(map(typed, found)) for text, found in queries.items()}
        with whole_folder(out, kind=KIND, unlisted=files_of_manifest) as aside:
            for name in self.manifest["files"]:
                path = within(aside, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(within(self.folder, name), path)
            (aside / QUERIES).unlink(missing_ok=True)
            (aside / QUERIES).write_text(json.dumps(kept))
            entry = {"bytes": (aside / QUERIES).stat().st_size, "sha256": checksum(aside / QUERIES)}
            files = self.manifest["files"] | {QUERIES: entry}
            manifest = self.manifest | {"files": files, "queries": dict(made_by)}
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
        return Session(self, goal, self._goal_nouns(goal), "session" if session_id is None else session_id)

    def group(self, goal: int | Goal | Mapping, size: int) -> list[Session]:
        """``size`` sessions that start alike, with one goal and one random state: to compare what is made of them."""
        return [self.session(goal) for _ in range(size)]

    def _goal_nouns(self, goal: Goal) -> tuple[str, ...]:
        try:
            product = self.product(goal.asin)
            if product.title == goal.name:
                return product.nouns
        except KeyError:
            pass
        from rl_recsys.shop.nouns import title_nouns  # a goal from elsewhere: its title was not tagged at compile time

        return title_nouns(goal.name)

    def close(self) -> None:
        """Release the files and what was kept of them; the shop cannot be used afterwards."""
        if self._searcher is not None:
            self._searcher.close()
            self._searcher = None
        for kept in (self.listing, self.goal, self.ranked):
            kept.cache_clear()
        self._products.close()
        self._goals.close()


def files_of_manifest(folder: Path) -> set[str] | None:
    """The files of a shop by its manifest; None where there is none. Earlier versions wrote no other listing."""
    manifest = read_json(folder / MANIFEST)
    if (
        not isinstance(manifest, dict)
        or "format_version" not in manifest
        or not isinstance(manifest.get("files"), dict)
    ):
        return None
    return {MANIFEST, RECALL, *manifest["files"]}


@lru_cache(maxsize=4)
def _shared(place: str, rules: str) -> Shop:
    return Shop.open(place, **json.loads(rules))


def shared_shop(shop: Shop | str | Path, rules: Mapping[str, object] | None = None) -> Shop:
    """The one ``Shop`` of this process for a folder, so that all its environments share tables, caches and the JVM.

    ``rules``: see ``Shop.open``. A shop that is open already is returned; it raises ``RulesError`` to give it others.
    """
    if isinstance(shop, Shop):
        if rules and shop.rules.changed(rules) != shop.rules:
            raise RulesError(f"{shop.folder} is open with {shop.rules}; give its folder to have {dict(rules)}")
        return shop
    return _shared(absolute(shop), json.dumps(rules or {}, sort_keys=True))
