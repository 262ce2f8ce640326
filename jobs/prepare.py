"""Compile a shop: raw WebShop files, or the built-in demo shop, into a folder that every other job reads.

python jobs/prepare.py --out shops/demo
python jobs/prepare.py --items items_shuffle_1000.json --attributes items_ins_v2_1000.json --out shops/webshop-1k
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rl_recsys.console.command import Flags, run_job
from rl_recsys.console.progress import progress
from rl_recsys.console.ranges import COUNT, SEED
from rl_recsys.console.terminal import say
from rl_recsys.errors import UserError
from rl_recsys.runs.outputs import replaces_its_out
from rl_recsys.storage.locations import Place, place_of
from rl_recsys.webshop import Shop, ShopRules
from rl_recsys.webshop.data.compile import PriceClauses, Source, check_source, compile_shop
from rl_recsys.webshop.data.demo import write_demo_files
from rl_recsys.webshop.data.record_findings import described
from rl_recsys.webshop.goals.splits import RANGES, TEST_GOALS
from rl_recsys.webshop.search.java import SearchError


@dataclass
class Arguments(Flags):
    """Compile a shop folder."""

    out: Place | None = None
    """Folder to write; an existing shop there is replaced once the new one is whole."""
    check: bool = False
    """Read everything and say what would be made of it and what not, and why; write no shop."""
    items: Path | None = None
    """items_shuffle file (JSON list of products). Without it the demo shop is made."""
    attributes: Path | None = None
    """items_ins_v2 file (JSON object, asin -> attributes and instruction)."""
    human_instructions: Path | None = None
    """items_human_ins file; needed for --goals human."""
    goals: Literal["synthetic", "human"] = "synthetic"
    """Which goals to make: from the generated instructions or from the human ones."""
    limit: Annotated[int | None, COUNT] = None
    """Take only the first N records of the items file."""
    demo_products: Annotated[int, COUNT] = 1000
    """Products of the demo shop (used without --items)."""
    skip_bad: bool = False
    """Leave bad records of the items file out and list them, instead of refusing the file."""
    price_clauses: PriceClauses = "added"
    """added: an instruction gets WebShop's price limit at its end (", and price lower than 80.00 dollars"), drawn above
    the product's price. as-written: instructions stay as they are, and the limit is what they say."""
    processes: Annotated[int, COUNT] = 1
    """Processes that tag titles; worth it from some 20,000 products on."""
    rules: tyro.conf.OmitArgPrefixes[ShopRules] = ShopRules()
    """Kept in the folder: every job follows them."""
    seed: Annotated[int, SEED] = 0
    """Decides prices drawn from a range, price clauses, and the demo shop."""

    def validate(self) -> None:
        """Something is written or only looked at, and raw files come together."""
        super().validate()
        if self.out is None and not self.check:
            raise UserError("--out names the folder to write; --check writes none")
        if self.items is not None and self.attributes is None:
            raise UserError("--items needs --attributes, the items_ins_v2 file of the same products")


@replaces_its_out
def main(arguments: Arguments) -> None:
    """Compile, or check, and print what was made and what was not."""
    title = "check" if arguments.check else f"prepare {place_of(arguments.out)}"
    with _source(arguments) as source, progress(title) as task:
        common = {
            "rules": arguments.rules,
            "seed": arguments.seed,
            "processes": arguments.processes,
            "progress": lambda stage, done: task.update(done, f"({stage})"),
        }
        made = check_source(source, **common) if arguments.check else compile_shop(source, arguments.out, **common)
    _tell(made, arguments)
    if not arguments.check:
        _make_searches_start_faster(Shop.open(arguments.out))
    elif (bad := made["findings"]["found"].get("bad")) and not arguments.skip_bad:
        raise UserError(f"{source.items}: {bad['count']} records are bad: mend them, or give --skip-bad as well")


@contextmanager
def _source(arguments: Arguments) -> Iterator[Source]:
    """The raw files that are named, or those of the demo shop, which are gone afterwards."""
    kind = {"goals": arguments.goals, "price_clauses": arguments.price_clauses}
    if arguments.items is None:
        with tempfile.TemporaryDirectory() as raw:
            files = write_demo_files(Path(raw), products=arguments.demo_products, seed=arguments.seed)
            yield Source(*files, limit=arguments.limit, **kind)
        return
    yield Source(
        arguments.items, arguments.attributes, arguments.human_instructions, limit=arguments.limit,
        skip_bad=arguments.skip_bad, **kind,
    )  # fmt: skip


def _tell(made: Mapping, arguments: Arguments) -> None:
    counts, findings = made["counts"], made["findings"]
    records, products = findings["records"], counts["products"]
    what = "would be made" if arguments.check else place_of(arguments.out)
    of_records = f" of {records} records" if records != products else ""
    say(f"{what}: {products} products{of_records}, {counts['goals']} {made['goals']} goals")
    for rule, won in counts["winnable"].items():
        share = won / counts["goals"]
        say(f"  {won} goals ({share:.1%}) can be won by buying their own product, under the {rule} reward")
    splits = ", ".join(f"{name} {count or 'none'}" for name, count in made["splits"].items())
    say(f"  goals of protocol {arguments.rules.protocol}: {splits}")
    for line in described(findings, every_field=arguments.check):
        say(f"  {line}")
    for line in _warnings(made["splits"], arguments.rules.protocol, counts):
        say(f"  warning: {line}")


def _warnings(splits: Mapping[str, int], protocol: str, counts: Mapping) -> Iterator[str]:
    """What is wrong with a shop's splits, and the flag that helps."""
    empty = [name for name, count in splits.items() if not count]
    if empty or splits["train"] < splits["test"]:
        what = f"no goal is for {' or '.join(empty)}" if empty else "fewer goals are for training than for the test"
        if protocol in RANGES:
            remedy = f"protocol {protocol} keeps the first {TEST_GOALS} of {counts['goals']} goals for the test"
            yield f"{what}: {remedy}; give --protocol product-disjoint, or more products"
        else:
            yield f"{what}: a digest of its asin decides a product's side; give more products"
    if not counts["winnable"]["original"]:
        yield "no goal can be won under the original reward"


def _make_searches_start_faster(shop: Shop) -> None:
    try:
        shop.make_searches_start_faster()
    except SearchError as error:
        say(f"  every process will take a second longer to its first search: {error}")


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)
