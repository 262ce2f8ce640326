"""Compile raw WebShop files into a shop folder, once; everything that can be computed ahead is computed here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

from rl_recsys.files import checksum, whole_folder
from rl_recsys.shop.catalog import (
    PRODUCT_SCHEMA,
    Product,
    RawDataError,
    read_attributes,
    read_human_instructions,
    read_products,
)
from rl_recsys.shop.goals import GOAL_SCHEMA, Goal, human_goals, in_webshop_order, synthetic_goals
from rl_recsys.shop.nouns import nouns_of
from rl_recsys.shop.reward import RULES, score_purchase
from rl_recsys.shop.rules import ShopRules
from rl_recsys.shop.search import build_index
from rl_recsys.shop.shop import FORMAT_VERSION, GOALS, INDEX, MANIFEST, PRODUCTS
from rl_recsys.shop.table import MappedTable, write_batches


@dataclass(frozen=True)
class Source:
    """The raw files of a shop, and which goals to make of them ("synthetic" or "human")."""

    items: Path
    attributes: Path
    human_instructions: Path | None = None
    goals: str = "synthetic"
    limit: int | None = None
    skip_bad: bool = False  # leave bad records out and list them, instead of refusing the file


def compile_shop(
    source: Source,
    out: str | Path,
    *,
    rules: ShopRules = ShopRules(),
    seed: int = 0,
    processes: int = 1,
    progress: Callable[[str, int], None] = lambda stage, done: None,
) -> dict:
    """Write the shop folder ``out``, with the rules it will follow, and return its manifest.

    It is built aside and renamed at the end: a killed run leaves the old shop or none. ``progress`` is called with a
    stage's name and how many products it has done; ``processes`` tag titles. Raises ``RawDataError`` for bad input.
    """
    if source.goals not in ("synthetic", "human"):
        raise RawDataError(f"goals {source.goals!r}: choose synthetic or human")
    if source.goals == "human" and source.human_instructions is None:
        raise RawDataError("human goals need an items_human_ins file")
    with whole_folder(Path(out)) as aside:
        return _compile_into(aside, source, rules, seed, processes, progress)


def _compile_into(
    folder: Path, source: Source, rules: ShopRules, seed: int, processes: int, progress: Callable[[str, int], None]
) -> dict:
    attributes = read_attributes(source.attributes)
    bad: list[str] = []
    skip = (lambda error: bad.append(str(error))) if source.skip_bad else None
    raw = read_products(source.items, attributes, seed=seed, limit=source.limit, skip=skip)
    unsorted = folder / "unsorted.arrow"
    _write_tagged(unsorted, raw, processes, progress)
    in_file_order = MappedTable(unsorted, PRODUCT_SCHEMA)
    goals, skipped, absent = _goals(in_file_order, attributes, source, seed)
    if not goals:
        raise RawDataError(f"{source.items}: no goal could be made; does {source.attributes} belong to these products?")
    order = _order(in_file_order)
    rows = (in_file_order.row(row) for row in order)
    write_batches(folder / PRODUCTS, PRODUCT_SCHEMA, _counted(rows, "products", progress))
    del in_file_order
    unsorted.unlink()
    products = MappedTable(folder / PRODUCTS, PRODUCT_SCHEMA)
    goals = in_webshop_order(goals)
    write_batches(folder / GOALS, GOAL_SCHEMA, (goal.to_row() for goal in goals))
    documents = (Product.from_row(products.row(row)) for row in range(len(products)))
    index = folder / INDEX
    build_index(index, _counted(((product.asin, product.index_text) for product in documents), "index", progress))
    counts = {
        "products": len(products),
        "goals": len(goals),
        "instructions_skipped": skipped,
        "instructions_of_absent_products": absent,
        "winnable": _winnable(products, goals, progress),
    }
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest = {
        "format_version": FORMAT_VERSION,
        "seed": seed,
        "goals": source.goals,
        "rules": asdict(rules),
        "counts": counts,
        "skipped": bad,
        "files": {
            str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": checksum(path)} for path in files
        },
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))
    return manifest


def _goals(
    products: MappedTable, attributes: dict[str, dict], source: Source, seed: int
) -> tuple[list[Goal], int, int]:
    """The goals in WebShop's order before its shuffle, the instructions without attributes, those without a product."""
    rows = (Product.from_row(products.row(row)) for row in range(len(products)))
    if source.goals == "synthetic":
        return synthetic_goals(rows, attributes, seed=seed), 0, 0
    instructions = read_human_instructions(source.human_instructions)
    goals, skipped = human_goals(rows, instructions, seed=seed)
    present = {products.value(row, "asin") for row in range(len(products))}
    absent = sum(len(entries) for asin, entries in instructions.items() if asin not in present)
    return goals, skipped, absent


def _winnable(products: MappedTable, goals: Sequence[Goal], progress: Callable[[str, int], None]) -> dict[str, int]:
    """For each reward rule, how many goals their own product with the wanted options wins."""
    won = dict.fromkeys(RULES, 0)
    product = lru_cache(maxsize=1024)(lambda asin: Product.from_row(products.row(products.find("asin", asin))))
    for goal in _counted(goals, "goals", progress):
        wanted = goal.goal_options
        chosen = tuple(wanted.values()) if isinstance(wanted, dict) else wanted
        target = product(goal.asin)
        for rule in RULES:
            won[rule] += score_purchase(target, chosen, goal, target.nouns, rule).total == 1.0
    return won


def _counted(items: Iterable, stage: str, progress: Callable[[str, int], None]) -> Iterable:
    for done, item in enumerate(items, 1):
        yield item
        if done % 200 == 0:
            progress(stage, done)


def _write_tagged(path: Path, raw: Iterable[Product], processes: int, progress: Callable[[str, int], None]) -> None:
    tagged = (
        replace(product, nouns=nouns, position=position).to_row()
        for position, (product, nouns) in enumerate(
            nouns_of(((product.title, product) for product in raw), processes=processes)
        )
    )
    if not write_batches(path, PRODUCT_SCHEMA, _counted(tagged, "nouns", progress)):
        raise RawDataError("the items file has no usable product")


def _order(products: MappedTable) -> list[int]:
    """The rows in the order of their asins' bytes, which is Lucene's order of ids."""
    asins = [products.value(row, "asin").encode() for row in range(len(products))]
    return sorted(range(len(asins)), key=asins.__getitem__)
