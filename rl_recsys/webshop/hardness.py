"""How hard a shop's goals are: what the search finds, what rules without a model reach, and what can be reached at all.

    python -m rl_recsys.webshop.hardness --shop shops/market --split dev --out hardness

Searches are those that agents are offered (``Shop.search_candidates``), of several the best. What they find is counted
on the pages that can be turned to with a purchase still within an episode's steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rl_recsys.console.command import Flags, run_module
from rl_recsys.console.progress import progress
from rl_recsys.console.ranges import COUNT
from rl_recsys.console.table import Table
from rl_recsys.core.outcome import is_success
from rl_recsys.core.play import baseline_episodes
from rl_recsys.errors import UserError
from rl_recsys.evaluation.comparison import percent
from rl_recsys.evaluation.intervals import mean_interval
from rl_recsys.runs.results import write_results
from rl_recsys.webshop.data.catalog import Product
from rl_recsys.webshop.goals.goal import Goal, named_options, price_limit
from rl_recsys.webshop.goals.winning import BestPurchase
from rl_recsys.webshop.observe.decisions import MAX_STEPS
from rl_recsys.webshop.play.session import PRODUCTS_PER_PAGE
from rl_recsys.webshop.shop import Shop
from rl_recsys.webshop.task import WebShop

NOWHERE = 10**9  # the place of what a search does not find
SEARCH_OPEN_BUY = 3  # steps of the shortest purchase; options and pages come on top
PLACES = {"first": 1, "on the first page": PRODUCTS_PER_PAGE, "within reach": NOWHERE - 1}


@dataclass(kw_only=True)
class Arguments(Flags):
    """Measure a shop."""

    shop: Path
    """Shop folder made by jobs/prepare.py."""
    split: str = "test"
    """Whose goals: test, train, or dev where the shop's protocol has it."""
    goals: Annotated[int, COUNT] = 1000
    """How many of them: the first ones of the goal order."""
    out: Path | None = None
    """Folder for hardness.md and hardness.json; without it they are only printed."""


@dataclass(frozen=True)
class Found:
    """Where, from 1, the searches of a goal have its own product and the first whose purchase pays 1; else ``NOWHERE``.

    ``reach``: whether the latter can be bought within an episode's steps; ``own_pays``: whether the former pays 1.
    """

    own: int
    worth: int
    reach: bool
    own_pays: bool


def found(shop: Shop, goal: Goal, max_steps: int = MAX_STEPS) -> Found:
    """What the searches that agents are offered for a goal find of what would be worth the whole reward."""
    nouns, rule = shop.goal_nouns(goal), shop.rules.reward

    def pays(product: Product) -> bool:
        return is_success(BestPurchase(product).reward(goal, nouns, rule))

    own = worth = NOWHERE
    reach = False
    for query in shop.search_candidates(goal.instruction_text):
        for place, row in enumerate(shop.hits(query), 1):
            product = shop.listing(row).product
            if product.asin == goal.asin:
                own = min(own, place)
            if (place < worth or not reach) and pays(product):
                worth = min(worth, place)
                turned = (place - 1) // PRODUCTS_PER_PAGE
                reach |= SEARCH_OPEN_BUY + turned + len(goal.goal_options) <= max_steps
    return Found(own, worth, reach, pays(shop.product(goal.asin)))


def hardness(task: WebShop, goals: Sequence[int]) -> dict[str, dict[str, object]]:
    """By measure its "share" of the goals, in [0, 1], and its 95 % "interval" over the products that they are about."""
    shop = task.shop
    asins = [task.cluster(goal) for goal in goals]
    searched = []
    with progress("searching", len(goals)) as bar:
        for goal in goals:
            searched.append(found(shop, shop.goal(goal)))
            bar.advance()
    texts = [shop.goal(goal).instruction_text for goal in goals]
    measures: dict[str, list[bool]] = {
        "instruction in WebShop's template": [bool(named_options(text) or price_limit(text)) for text in texts],
        **{f"own product {where}": [one.own <= place for one in searched] for where, place in PLACES.items()},
        **{f"worth 1 {where}": [one.worth <= place for one in searched] for where, place in PLACES.items()},
        "ceiling: worth 1, and bought within the steps": [one.reach for one in searched],
        "own product worth 1": [one.own_pays for one in searched],
    }  # fmt: skip
    for name in task.baselines:
        with progress(name, len(goals)) as bar:
            played = []
            for outcome in baseline_episodes(task, goals, name):
                played.append(outcome.success)
                bar.advance()
        measures[f"success of {name}"] = played
    return {
        name: {"share": sum(values) / len(values), "interval": mean_interval([[float(one) for one in values]], asins)}
        for name, values in measures.items()
    }


def main(arguments: Arguments) -> None:
    """Measure, show, and write."""
    task = WebShop.open(str(arguments.shop))
    goals = list(task.split(arguments.split))[: arguments.goals]
    if not goals:
        raise UserError(f"{arguments.shop}: its split {arguments.split} has no goals")
    measured = hardness(task, goals)
    products = len({task.cluster(goal) for goal in goals})
    title = f"{len(goals)} {arguments.split} goals of {arguments.shop}, about {products} products"
    rows = [(name, percent(one["share"], one["interval"])) for name, one in measured.items()]
    table = Table(title, ("measure", "% of the goals (95 % interval)"), rows)
    if arguments.out is None:
        table.show()
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    figures = {"shop": task.fingerprint, "goals": len(goals), "products": products, "measures": measured}
    write_results(table, figures, page=arguments.out / "hardness.md", data=arguments.out / "hardness.json")


if __name__ == "__main__":
    run_module(main, Arguments, __doc__)
