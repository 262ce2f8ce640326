"""Compile raw WebShop files into a shop folder, once; everything that can be computed ahead is computed here."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

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
from rl_recsys.shop.nouns import title_nouns
from rl_recsys.shop.search import build_index
from rl_recsys.shop.shop import ASINS, FORMAT_VERSION, GOALS, INDEX, MANIFEST, PRODUCTS

CHUNK = 2_000  # products a record batch


@dataclass(frozen=True)
class Source:
    """The raw files of a shop, and which goals to make of them ("synthetic" or "human")."""

    items: Path
    attributes: Path
    human_instructions: Path | None = None
    goals: str = "synthetic"
    limit: int | None = None


def compile_shop(
    source: Source, out: str | Path, *, seed: int = 0, progress: Callable[[str, int], None] = lambda stage, done: None
) -> dict:
    """Write the shop folder ``out`` and return its manifest.

    It is built aside and renamed at the end: a killed run leaves the old shop or none. ``progress`` is called with a
    stage's name and how many products it has done. Raises ``RawDataError`` for bad input.
    """
    if source.goals not in ("synthetic", "human"):
        raise RawDataError(f"goals {source.goals!r}: choose synthetic or human")
    if source.goals == "human" and source.human_instructions is None:
        raise RawDataError("human goals need an items_human_ins file")
    with whole_folder(Path(out)) as aside:
        return _compile_into(aside, source, seed, progress)


def _compile_into(folder: Path, source: Source, seed: int, progress: Callable[[str, int], None]) -> dict:
    attributes = read_attributes(source.attributes)
    raw = read_products(source.items, attributes, seed=seed, limit=source.limit)
    products = _write_products(folder, _counted(raw, "products", progress), progress)
    if source.goals == "synthetic":
        goals, skipped = synthetic_goals(products, attributes, seed=seed), 0
    else:
        goals, skipped = human_goals(products, read_human_instructions(source.human_instructions), seed=seed)
    if not goals:
        raise RawDataError(f"{source.items}: no goal could be made; does {source.attributes} belong to these products?")
    _write_goals(folder, in_webshop_order(goals))
    index = folder / INDEX
    build_index(index, _counted(((p.asin, p.index_text) for p in products), "index", progress))
    (index / "write.lock").unlink(missing_ok=True)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest = {
        "format_version": FORMAT_VERSION,
        "seed": seed,
        "goals": source.goals,
        "counts": {"products": len(products), "goals": len(goals), "instructions_skipped": skipped},
        "files": {
            str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": checksum(path)} for path in files
        },
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))
    return manifest


def _counted(items: Iterable, stage: str, progress: Callable[[str, int], None]) -> Iterable:
    for done, item in enumerate(items, 1):
        yield item
        if done % 200 == 0:
            progress(stage, done)


def _write_products(folder: Path, raw: Iterable[Product], progress: Callable[[str, int], None]) -> list[Product]:
    products: list[Product] = []
    with pa.ipc.new_file(str(folder / PRODUCTS), PRODUCT_SCHEMA) as writer:
        chunks = iter(raw)
        while chunk := list(itertools.islice(chunks, CHUNK)):
            nouns = title_nouns(product.title for product in chunk)
            tagged = [replace(product, nouns=found) for product, found in zip(chunk, nouns, strict=True)]
            writer.write(pa.RecordBatch.from_pylist([product.to_row() for product in tagged], PRODUCT_SCHEMA))
            products += tagged
            progress("nouns", len(products))
    if not products:
        raise RawDataError("the items file has no usable product")
    order = sorted(range(len(products)), key=lambda row: products[row].asin.encode())
    width = max(len(product.asin.encode()) for product in products)
    asins = [products[row].asin.encode().ljust(width, b"\0") for row in order]
    table = pa.table({"asin": pa.array(asins, pa.binary(width)), "row": pa.array(order, pa.int32())})
    _write_table(folder / ASINS, table)
    return products


def _write_goals(folder: Path, goals: list[Goal]) -> None:
    _write_table(folder / GOALS, pa.Table.from_pylist([goal.to_row() for goal in goals], GOAL_SCHEMA))


def _write_table(path: Path, table: pa.Table) -> None:
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
