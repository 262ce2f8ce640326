"""Compile raw WebShop files into a shop folder, once; everything that can be computed ahead is computed here."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import pyarrow as pa

from rl_recsys.storage.files import file_entry
from rl_recsys.storage.folders import whole_folder
from rl_recsys.webshop.data.catalog import (
    PRODUCT_SCHEMA,
    Product,
    RawDataError,
    read_attributes,
    read_human_instructions,
    read_products,
)
from rl_recsys.webshop.data.manifest import (
    FORMAT_VERSION,
    GOALS,
    IDENTIFIED_BY,
    INDEX,
    KIND,
    MANIFEST,
    PRODUCTS,
    files_of_manifest,
)
from rl_recsys.webshop.data.nouns import nouns_of
from rl_recsys.webshop.data.record_findings import Findings, described
from rl_recsys.webshop.data.table import BatchWriter, MappedTable
from rl_recsys.webshop.goals.goal import (
    GOAL_SCHEMA,
    NO_PRICE_LIMIT,
    Goal,
    goal_weight,
    human_goals,
    synthetic_goals,
    webshop_order,
)
from rl_recsys.webshop.goals.splits import split_goals, split_names
from rl_recsys.webshop.goals.winning import BestPurchase, can_be_opened, clickable_options
from rl_recsys.webshop.goals.wish import understand
from rl_recsys.webshop.play.reward import RULES
from rl_recsys.webshop.rules import ShopRules
from rl_recsys.webshop.search.lucene import build_index

_PRODUCTS_AS_READ, _GOALS_AS_MADE = "unordered-products.arrow", "unordered-goals.arrow"


PriceClauses = Literal["added", "as-written"]


@dataclass(frozen=True)
class Source:
    """The raw files of a shop, and which goals to make of them ("synthetic" or "human")."""

    items: Path
    attributes: Path
    human_instructions: Path | None = None
    goals: str = "synthetic"
    limit: int | None = None
    skip_bad: bool = False  # leave bad records out and list them, instead of refusing the file
    price_clauses: PriceClauses = "added"  # to the instructions, as WebShop does

    def __post_init__(self) -> None:
        if self.goals not in ("synthetic", "human"):
            raise RawDataError(f"goals {self.goals!r}: choose synthetic or human")
        if self.goals == "human" and self.human_instructions is None:
            raise RawDataError("human goals need an items_human_ins file")


Progress = Callable[[str, int], None]


def compile_shop(
    source: Source,
    out: str | Path,
    *,
    rules: ShopRules = ShopRules(),
    seed: int = 0,
    processes: int = 1,
    progress: Progress = lambda stage, done: None,
) -> dict:
    """Write the shop folder ``out``, with the rules it will follow, and return its manifest.

    It is built aside and renamed at the end: a killed run leaves the old shop or none. ``progress`` is called with a
    stage's name and how many products it has done; ``processes`` tag titles
    (see ``nouns_of``). Raises ``RawDataError`` for bad input.
    """
    with whole_folder(out, kind=KIND, unlisted=files_of_manifest) as aside:
        asins, summary = _write_tables(aside, source, rules, seed, processes, progress)
        _order_and_index(aside / _PRODUCTS_AS_READ, aside / PRODUCTS, aside / INDEX, asins, progress)
        files = sorted(path for path in aside.rglob("*") if path.is_file())
        manifest = {
            "format_version": FORMAT_VERSION,
            "seed": seed,
            "rules": asdict(rules),
            IDENTIFIED_BY: [PRODUCTS, GOALS],
            **summary,
            "files": {str(path.relative_to(aside)): file_entry(path) for path in files},
        }
        (aside / MANIFEST).write_text(json.dumps(manifest, indent=1))
    return manifest


def check_source(
    source: Source,
    *,
    rules: ShopRules = ShopRules(),
    seed: int = 0,
    processes: int = 1,
    progress: Progress = lambda stage, done: None,
) -> dict:
    """What ``compile_shop`` would make of the files, bad records left out: its manifest without the shop's files.

    Raises ``RawDataError`` where no shop could be made.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _write_tables(Path(folder), replace(source, skip_bad=True), rules, seed, processes, progress)[1]


def _write_tables(
    folder: Path, source: Source, rules: ShopRules, seed: int, processes: int, progress: Progress
) -> tuple[list[bytes], dict]:
    """Write products as they are read and goals in their order; the products' asins, and what the manifest says."""
    # Both tables are written as they come and then once more in their order: nothing is held that grows with the
    # catalogue but an asin a product, a number a goal, and the instructions that were read.
    writer = _TableWriter(source, seed)
    products, goals = folder / _PRODUCTS_AS_READ, folder / _GOALS_AS_MADE
    with BatchWriter(products, PRODUCT_SCHEMA) as to_products, BatchWriter(goals, GOAL_SCHEMA) as to_goals:
        writer.write(to_products, to_goals, processes, progress)
    findings = writer.findings.to_mapping()
    if not writer.asins:
        reasons = "; ".join(described(findings)) or "it has no record"
        raise RawDataError(f"{source.items}: it has no usable product: {reasons}")
    if not to_goals.count:
        reasons = "".join(f"; {line}" for line in described(findings))
        raise RawDataError(
            f"{source.items}: no goal could be made; does {source.attributes} belong to these products?{reasons}"
        )
    _order_goals(goals, folder / GOALS, writer.attribute_goals if source.goals == "synthetic" else None, progress)
    summary = {
        "goals": source.goals,
        "price_clauses": source.price_clauses,
        "counts": {
            "products": len(writer.asins),
            "goals": to_goals.count,
            "instructions_skipped": writer.findings.counts["instruction_without_attributes"],
            "instructions_of_absent_products": writer.findings.counts["absent_instructions"],
            "winnable": writer.won,
        },
        "splits": _split_sizes(folder / GOALS, rules),
        "findings": findings,
    }
    return writer.asins, summary


class _TableWriter:
    """Writes products and goals in the order of the items file, and counts what it meets."""

    def __init__(self, source: Source, seed: int):
        self.asins: list[bytes] = []
        self.attribute_goals: Counter[str] = Counter()  # an attribute's number of goals
        #: For each reward rule the goals that a purchase of their own product wins.
        self.won = dict.fromkeys(RULES, 0)
        self.findings = Findings()
        self._source, self._seed = source, seed
        self._attributes = read_attributes(source.attributes, self.findings)
        self._human = source.goals == "human"
        self._instructions = {}
        if self._human:
            self._instructions = read_human_instructions(source.human_instructions, self.findings)

    def write(self, to_products: BatchWriter, to_goals: BatchWriter, processes: int, progress: Progress) -> None:
        """Go through the files."""
        source = self._source
        raw = read_products(
            source.items, self._attributes, seed=self._seed, limit=source.limit, findings=self.findings,
            skip_bad=source.skip_bad,
        )  # fmt: skip
        tagged = nouns_of(((product.title, product) for product in raw), processes=processes)
        for position, (product, nouns) in enumerate(_counted(tagged, "products", progress)):
            product = replace(product, nouns=nouns, position=position)
            to_products.append(product.to_row())
            self.asins.append(product.asin.encode())
            best = BestPurchase(product)
            for goal in self._goals(product):
                to_goals.append(goal.to_row())
                self.attribute_goals.update(goal.attributes)
                for rule in self.won:
                    self.won[rule] += best.reward(goal, nouns, rule) == 1.0
            self._note_unclickable(product)
        self._note_absent()

    def _goals(self, product: Product) -> Iterator[Goal]:
        clauses = self._source.price_clauses == "added"
        stated_limit = None if clauses else _stated_limit
        if not self._human:
            entry = self._attributes.get(product.asin, {})
            if entry.get("instruction") and not entry.get("instruction_attributes"):
                self.findings.add("instruction_without_attributes", product.asin)
            if entry.get("instruction") and not _says_something(entry):
                self.findings.add("empty_instruction", product.asin)
                return
            yield from synthetic_goals(product, entry, seed=self._seed, stated_limit=stated_limit)
            return
        every = self._instructions.pop(product.asin, ())
        entries = [entry for entry in every if _says_something(entry)]
        if len(entries) < len(every):
            self.findings.add("empty_instruction", product.asin, len(every) - len(entries))
        for goal in human_goals(product, entries, seed=self._seed, stated_limit=stated_limit):
            if goal is None:
                self.findings.add("instruction_without_attributes", product.asin)
                continue
            if clauses and goal.price_upper != NO_PRICE_LIMIT:
                self.findings.add("price_clause", repr(goal.instruction_text))
            yield goal

    def _note_unclickable(self, product: Product) -> None:
        if not can_be_opened(product):
            self.findings.add("unclickable_product", repr(product.asin))
        clickable = clickable_options(product)
        for name, values in product.options.items():
            for value in set(values).difference(clickable[name]):
                self.findings.add("unclickable_option", f"{product.asin} {name}: {value}")

    def _note_absent(self) -> None:
        for asin, entries in self._instructions.items():
            self.findings.add("absent_instructions", asin, len(entries))
        if self._source.limit is None:
            for asin in self._attributes.keys() - {asin.decode() for asin in self.asins}:
                self.findings.add("absent_attributes", asin)


def _says_something(entry: Mapping) -> bool:
    return bool(entry["instruction"].strip(" \t\r\n."))


def _stated_limit(entry: Mapping) -> float | None:
    """The limit that an instruction names, or is said to mean: where nothing that reads words would find it."""
    return entry["price_upper"] if "price_upper" in entry else understand(entry["instruction"].strip(".")).limit


def _split_sizes(goals: Path, rules: ShopRules) -> dict[str, int]:
    """How many goals each split of the protocol has."""
    table = MappedTable(goals, GOAL_SCHEMA)

    def asins() -> Iterator[str]:
        return itertools.chain.from_iterable(column.to_pylist() for column in table.columns("asin"))

    return {name: len(split_goals(rules.protocol, name, asins(), len(table))) for name in split_names(rules.protocol)}


def _order_goals(unordered: Path, out: Path, attribute_goals: Mapping[str, int] | None, progress: Progress) -> None:
    """The goals in WebShop's order, with their weights where they have other weights than 1."""
    table, done = MappedTable(unordered, GOAL_SCHEMA), 0
    with pa.ipc.new_file(str(out), GOAL_SCHEMA) as file:
        for batch in table.batches(webshop_order(len(table))):
            if attribute_goals is not None:
                weights = [goal_weight(wanted, attribute_goals) for wanted in batch.column("attributes").to_pylist()]
                batch = batch.set_column(GOAL_SCHEMA.get_field_index("weight"), "weight", pa.array(weights))
            file.write(batch)
            done += len(batch)
            progress("goals", done)
    unordered.unlink()


def _order_and_index(unordered: Path, out: Path, index: Path, asins: Sequence[bytes], progress: Progress) -> None:
    """The products in the order of their asins' bytes, which is Lucene's order of ids, and their index."""
    table = MappedTable(unordered, PRODUCT_SCHEMA)

    def documents() -> Iterator[tuple[str, str]]:
        with pa.ipc.new_file(str(out), PRODUCT_SCHEMA) as file:
            for batch in table.batches(sorted(range(len(asins)), key=asins.__getitem__)):
                file.write(batch)
                for row in batch.to_pylist():
                    yield row["asin"], Product.from_row(row).index_text

    build_index(index, _counted(documents(), "index", progress))
    unordered.unlink()


def _counted(items: Iterable, stage: str, progress: Progress) -> Iterable:
    done = 0
    for done, item in enumerate(items, 1):
        yield item
        if done % 200 == 0:
            progress(stage, done)
    progress(stage, done)
