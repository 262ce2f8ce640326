"""Compile a shop: raw WebShop files, or the built-in demo shop, into a folder that every other job reads.

python jobs/prepare.py --out shops/demo
python jobs/prepare.py --items items_shuffle_1000.json --attributes items_ins_v2_1000.json --out shops/webshop-1k
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rl_recsys.command import run_job
from rl_recsys.errors import UserError
from rl_recsys.outputs import replaces_its_out
from rl_recsys.progress import progress
from rl_recsys.shop import Shop, ShopError, ShopRules
from rl_recsys.shop.compile import Source, compile_shop
from rl_recsys.shop.demo import write_demo_files
from rl_recsys.shop.java import SearchError
from rl_recsys.shop.splits import split_names
from rl_recsys.storage import Place, place_of
from rl_recsys.terminal import say


@dataclass
class Arguments:
    """Compile a shop folder."""

    out: Place
    """Folder to write; an existing shop there is replaced once the new one is whole."""
    items: Path | None = None
    """items_shuffle file (JSON list of products). Without it the demo shop is made."""
    attributes: Path | None = None
    """items_ins_v2 file (JSON object, asin -> attributes and instruction)."""
    human_instructions: Path | None = None
    """items_human_ins file; needed for --goals human."""
    goals: Literal["synthetic", "human"] = "synthetic"
    """Which goals to make: from the generated instructions or from the human ones."""
    limit: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Take only the first N records of the items file."""
    demo_products: int = 1000
    """Products of the demo shop (used without --items)."""
    skip_bad: bool = False
    """Leave bad records of the items file out and list them, instead of refusing the file."""
    processes: int = 1
    """Processes that tag titles; worth it from some 20,000 products on."""
    rules: tyro.conf.OmitArgPrefixes[ShopRules] = ShopRules()
    """Kept in the folder: every job follows them."""
    seed: int = 0
    """Decides prices drawn from a range, price clauses, and the demo shop."""


@replaces_its_out
def main(arguments: Arguments) -> None:
    """Compile, and print what was made."""
    with tempfile.TemporaryDirectory() as raw:
        if arguments.items is None:
            items, attributes, human = write_demo_files(
                Path(raw), products=arguments.demo_products, seed=arguments.seed
            )
        else:
            items, attributes, human = arguments.items, arguments.attributes, arguments.human_instructions
            if attributes is None:
                raise UserError("--items needs --attributes, the items_ins_v2 file of the same products")
        source = Source(items, attributes, human, arguments.goals, arguments.limit, arguments.skip_bad)
        with progress(f"prepare {place_of(arguments.out)}") as task:
            manifest = compile_shop(
                source,
                arguments.out,
                rules=arguments.rules,
                seed=arguments.seed,
                processes=arguments.processes,
                progress=lambda stage, done: task.update(done, f"({stage})"),
            )
    counts, shop = manifest["counts"], Shop.open(arguments.out)
    say(f"{place_of(arguments.out)}: {counts['products']} products, {counts['goals']} {manifest['goals']} goals")
    for rule, won in counts["winnable"].items():
        share = won / counts["goals"]
        say(f"  {won} goals ({share:.1%}) are won by their own product under the {rule} reward")
    say(f"  protocol {arguments.rules.protocol}: {', '.join(_splits(shop))}")
    for reason in manifest["skipped"]:
        say(f"  skipped: {reason}")
    if absent := counts["instructions_of_absent_products"]:
        say(f"  {absent} instructions are of products that the items file does not have")
    _make_searches_start_faster(shop)


def _make_searches_start_faster(shop: Shop) -> None:
    try:
        shop.make_searches_start_faster()
    except SearchError as error:
        say(f"  every process will take a second longer to its first search: {error}")


def _splits(shop: Shop) -> Iterator[str]:
    for name in split_names(shop.rules.protocol):
        try:
            yield f"{name} {len(shop.split(name))} goals"
        except ShopError:
            yield f"{name} none"


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)
