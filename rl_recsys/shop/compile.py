"""Compile raw WebShop files into a shop folder, once; everything that can be computed ahead is computed here."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyarrow as pa

from rl_recsys.files import checksum
from rl_recsys.folders import whole_folder
from rl_recsys.shop.catalog import (
    PRODUCT_SCHEMA,
    Product,
    RawDataError,
    read_attributes,
    read_human_instructions,
    read_products,
)
from rl_recsys.shop.goals import GOAL_SCHEMA, Goal, goal_weight, human_goals, synthetic_goals, webshop_order
from rl_recsys.shop.manifest import (
    FORMAT_VERSION,
    GOALS,
    IDENTIFIED_BY,
    INDEX,
    KIND,
    MANIFEST,
    PRODUCTS,
    files_of_manifest,
)
from rl_recsys.shop.nouns import nouns_of
from rl_recsys.shop.reward import RULES, score_purchase
from rl_recsys.shop.rules import ShopRules
from rl_recsys.shop.search import build_index
from rl_recsys.shop.table import BatchWriter, MappedTable


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
    stage's name and how many products it has done; ``processes`` tag titles
    (see ``nouns_of``). Raises ``RawDataError`` for bad input.
    """
    if source.goals not in ("synthetic", "human"):
        raise RawDataError(f"goals {source.goals!r}: choose synthetic or human")
    if source.goals == "human" and source.human_instructions is None:
        raise RawDataError("human goals need an items_human_ins file")
    with whole_folder(out, kind=KIND, unlisted=files_of_manifest) as aside:
        return _compile_into(aside, source, rules, seed, processes, progress)


def _compile_into(
    folder: Path, source: Source, rules: ShopRules, seed: int, processes: int, progress: Callable[[str, int], None]
) -> dict:
    # Both tables are written as they come and then once more in their order: nothing is held that grows with the
    # catalogue but an asin a product, a number a goal, and the instructions that were read.
    bad: list[str] = []
    products, goals = folder / "unordered-products.arrow", folder / "unordered-goals.arrow"
    with BatchWriter(products, PRODUCT_SCHEMA) as to_products, BatchWriter(goals, GOAL_SCHEMA) as to_goals:
        asins, goal_counts, attribute_goals = _write_unordered(
            source, seed, processes, to_products, to_goals, bad, progress
        )
    if not asins:
        raise RawDataError(f"{source.items}: it has no usable product")
    if not to_goals.count:
        raise RawDataError(f"{source.items}: no goal could be made; does {source.attributes} belong to these products?")
    _order_goals(goals, folder / GOALS, attribute_goals if source.goals == "synthetic" else None, progress)
    _order_and_index(products, folder / PRODUCTS, folder / INDEX, asins, progress)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest = {
        "format_version": FORMAT_VERSION,
        "seed": seed,
        "goals": source.goals,
        "rules": asdict(rules),
        IDENTIFIED_BY: [PRODUCTS, GOALS],
        "counts": {"products": len(asins), "goals": to_goals.count, **goal_counts},
        "skipped": bad,
        "files": {
            str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": checksum(path)} for path in files
        },
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))
    return manifest


def _write_unordered(
    source: Source,
    seed: int,
    processes: int,
    to_products: BatchWriter,
    to_goals: BatchWriter,
    bad: list[str],
    progress: Callable[[str, int], None],
) -> tuple[list[bytes], dict, Counter[str]]:
    """Products and goals in the order of the items file; the asins, counts about goals, and each attribute's goals."""
    attributes = read_attributes(source.attributes)
    human = source.goals == "human"
    instructions = read_human_instructions(source.human_instructions) if human else {}
    asins: list[bytes] = []
    attribute_goals: Counter[str] = Counter()
    won = dict.fromkeys(RULES, 0)
    skipped = 0
    skip = (lambda error: bad.append(str(error))) if source.skip_bad else None
    raw = read_products(source.items, attributes, seed=seed, limit=source.limit, skip=skip)
    tagged = nouns_of(((product.title, product) for product in raw), processes=processes)
    for position, (product, nouns) in enumerate(_counted(tagged, "products", progress)):
        product = replace(product, nouns=nouns, position=position)
        to_products.append(product.to_row())
        asins.append(product.asin.encode())
        if human:
            made = list(human_goals(product, instructions.pop(product.asin, ()), seed=seed))
        else:
            made = list(synthetic_goals(product, attributes.get(product.asin, {}), seed=seed))
        its_goals = [goal for goal in made if goal is not None]
        skipped += len(made) - len(its_goals)
        for goal in its_goals:
            to_goals.append(goal.to_row())
            attribute_goals.update(goal.attributes)
        for rule, count in _winnable(product, its_goals).items():
            won[rule] += count
    absent = sum(map(len, instructions.values()))
    counts = {"instructions_skipped": skipped, "instructions_of_absent_products": absent, "winnable": won}
    return asins, counts, attribute_goals


def _winnable(product: Product, goals: Iterable[Goal]) -> dict[str, int]:
    """For each reward rule, how many of its own goals a product wins with the options that they want."""
    won = dict.fromkeys(RULES, 0)
    for _, alike in itertools.groupby(goals, lambda goal: (goal.attributes, goal.price_upper)):
        goals = list(alike)
        # They differ in their options only, so the rest is scored once.
        if score_purchase(product, (), replace(goals[0], goal_options=()), product.nouns).total < 1.0:
            continue
        for wanted in (goal.goal_options for goal in goals):
            chosen = tuple(wanted.values()) if isinstance(wanted, dict) else wanted
            for rule, matches in RULES.items():
                won[rule] += matches(chosen, wanted) == len(wanted)
    return won


def _order_goals(
    unordered: Path, out: Path, attribute_goals: Mapping[str, int] | None, progress: Callable[[str, int], None]
) -> None:
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


def _order_and_index(
    unordered: Path, out: Path, index: Path, asins: Sequence[bytes], progress: Callable[[str, int], None]
) -> None:
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


def _counted(items: Iterable, stage: str, progress: Callable[[str, int], None]) -> Iterable:
    done = 0
    for done, item in enumerate(items, 1):
        yield item
        if done % 200 == 0:
            progress(stage, done)
    progress(stage, done)
