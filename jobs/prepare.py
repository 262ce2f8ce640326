"""Compile a shop: raw WebShop files, or a built-in one, into a folder that every other job reads.

python jobs/prepare.py --out shops/demo
python jobs/prepare.py --market --out shops/market
python jobs/prepare.py --items items_shuffle_1000.json --attributes items_ins_v2_1000.json --out shops/webshop-1k
"""

from __future__ import annotations

from contextlib import nullcontext
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
from rl_recsys.webshop.data.demo import demo_source
from rl_recsys.webshop.data.market import Market, market_rules, market_source
from rl_recsys.webshop.data.summary import described_shop, require_good_records
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
    market: bool = False
    """Make the market in the place of the demo shop: large and hard. 15 % of its products have a test goal each, 5 % a
    dev goal; the protocol is product-disjoint-all (docs/market.md)."""
    market_products: Annotated[int, COUNT] = Market.products
    """Products of the market."""
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
        if self.market:
            if (self.items, self.goals, self.price_clauses, self.limit) != (None, "synthetic", "added", None):
                raise UserError("--market makes its own goals: leave --items, --goals, --price-clauses, --limit out")
            self.rules = market_rules(self.rules)
            Market(products=self.market_products, seed=self.seed)  # raises


@replaces_its_out
def main(arguments: Arguments) -> None:
    """Compile, or check, and print what was made and what was not."""
    options = {"goals": arguments.goals, "price_clauses": arguments.price_clauses, "limit": arguments.limit}
    if arguments.market:
        raw_files = market_source(Market(products=arguments.market_products, seed=arguments.seed))
    elif arguments.items is None:
        raw_files = demo_source(products=arguments.demo_products, seed=arguments.seed, **options)
    else:
        files = arguments.items, arguments.attributes, arguments.human_instructions
        raw_files = nullcontext(Source(*files, skip_bad=arguments.skip_bad, **options))
    title = "check" if arguments.check else f"prepare {place_of(arguments.out)}"
    with raw_files as source, progress(title) as task:
        how = {
            "rules": arguments.rules,
            "seed": arguments.seed,
            "processes": arguments.processes,
            "progress": lambda stage, done: task.update(done, f"({stage})"),
        }
        manifest = check_source(source, **how) if arguments.check else compile_shop(source, arguments.out, **how)
    name = "would be made" if arguments.check else place_of(arguments.out)
    protocol = arguments.rules.protocol
    for line in described_shop(manifest, name=name, protocol=protocol, every_field=arguments.check):
        say(line)
    if not arguments.check:
        shop = Shop.open(arguments.out)
        try:
            shop.make_searches_start_faster()
        except SearchError as error:
            say(f"  every process will take a second longer to its first search: {error}")
    elif not arguments.skip_bad:
        require_good_records(manifest, source.items)


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)
