"""How much of a shop's rewards hangs on how titles are spelled.

    python -m rl_recsys.webshop.spelling --shop shops/webshop-1k --out spelling.csv

WebShop compares the nouns of a bought product's title with those of the wanted one's, and a tagger decides what is a
noun. Titles are spelled otherwise here, as sellers do, and tagged again. The purchases are counted whose type part of
the reward differs then, by each reward rule. Takes half a minute for 1,000 products.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from rl_recsys.console.progress import phase, progress
from rl_recsys.console.table import Table
from rl_recsys.errors import plain_errors
from rl_recsys.storage.files import write_text
from rl_recsys.webshop import Goal, Shop
from rl_recsys.webshop.data.catalog import Product
from rl_recsys.webshop.data.nouns import nouns_of
from rl_recsys.webshop.play.reward import RULES, Comparison, type_reward

_UNITS = "oz|ounces?|fl|ml|l|g|kg|lbs?|inch(?:es)?|in|cm|mm|ft|pcs|ct|counts?|packs?|pieces?|mah|gb|w|v"
#: What a seller may do to a title that changes nothing of what it says.
SPELLINGS: dict[str, Callable[[str], str]] = {
    "small letters": str.lower,
    "capitals": str.upper,
    '"2 Pack" for "2-Pack"': lambda title: re.sub(r"(?<=\d)-(?=[^\W\d_])", " ", title),
    '"2-Pack" for "2 Pack"': lambda title: re.sub(rf"(?<=\d) (?=(?:{_UNITS})\b)", "-", title, flags=re.IGNORECASE),
    '"12 oz" for "12oz"': lambda title: re.sub(rf"(?<=\d)(?=(?:{_UNITS})\b)", " ", title, flags=re.IGNORECASE),
    '"12oz" for "12 oz"': lambda title: re.sub(rf"(?<=\d) (?=(?:{_UNITS})\b)", "", title, flags=re.IGNORECASE),
    "a dash for a bar": lambda title: re.sub(r"\s*\|\s*", " - ", title),
}
COLUMNS = (
    "titles with",
    "titles that change",
    "rule",
    "purchases",
    "of all %",
    "if all titles change",
    "of the own product",
)
LISTED = ("spelling", "rule", "wanted", "goals", "bought", "r_type", "r_type_spelled")


@dataclass
class Arguments:
    """Count what rewards hang on."""

    shop: Path
    """Shop folder made by jobs/prepare.py."""
    out: Path | None = None
    """File for the list of these purchases, as CSV; without it they are counted only."""


@dataclass(frozen=True)
class Difference:
    """Buying ``bought`` for a goal about ``wanted`` has another r_type where a title is spelled otherwise.

    ``alone``: the bought product's title is, and the goal's is as it was; else both are.
    """

    spelling: str
    rule: str
    wanted: str
    bought: str
    alone: bool
    before: float
    after: float


def spelled(products: Sequence[Product], spelling: str) -> list[Product]:
    """Products whose titles are spelled so, and tagged anew where that changes them; the others are as they were."""
    found = list(products)
    titles = ((SPELLINGS[spelling](product.title), place) for place, product in enumerate(products))
    changed = [(title, place) for title, place in titles if title != products[place].title]
    for (title, place), (_, nouns) in zip(changed, nouns_of(changed), strict=True):
        found[place] = replace(products[place], title=title, nouns=nouns)
    return found


def differences(
    products: Sequence[Product], goals: Sequence[Goal], spellings: Mapping[str, Sequence[Product]]
) -> Iterator[Difference]:
    """All by every rule; ``spellings`` are what ``spelled`` made of the products, among which are the goals' own."""
    places = {product.asin: place for place, product in enumerate(products)}
    for rule, comparison in RULES.items():

        def words(product: Product, comparison: Comparison = comparison) -> Counter[str]:
            return Counter(comparison.titles(product, goals[0], ())[0])

        moved = {
            spelling: [place for place, other in enumerate(others) if words(other) != words(products[place])]
            for spelling, others in spellings.items()
        }
        for goal in goals if any(moved.values()) else ():
            own = places[goal.asin]
            before = [type_reward(product, goal, products[own].nouns, rule)["r_type"] for product in products]
            for spelling, others in spellings.items():
                spelled_goal = replace(goal, name=others[own].title), others[own].nouns
                for alone, (wanted, nouns) in ((True, (goal, products[own].nouns)), (False, spelled_goal)):
                    for place in moved[spelling] if alone or own not in moved[spelling] else range(len(products)):
                        after = type_reward(others[place], wanted, nouns, rule)["r_type"]
                        if after != before[place]:
                            bought = products[place].asin
                            yield Difference(spelling, rule, goal.asin, bought, alone, before[place], after)


def main(arguments: Arguments) -> None:
    """Count, show, and write the list."""
    shop = Shop.open(arguments.shop)
    products = [shop.listing(row).product for row in range(shop.product_count)]
    goals = [shop.goal(index) for index in range(shop.goal_count)]
    with progress("tagging titles", len(SPELLINGS)) as task:
        spellings = {}
        for spelling in SPELLINGS:
            spellings[spelling] = spelled(products, spelling)
            task.advance()
    one_of_each = {goal.asin: goal for goal in goals}  # goals of one product have one title, query and category
    with phase("comparing titles"):
        found = list(differences(products, list(one_of_each.values()), spellings))
    about = Counter(goal.asin for goal in goals)
    difference_table(products, about, spellings, found).show()
    if arguments.out is not None:
        write_text(arguments.out, listed(found, about))


def difference_table(
    products: Sequence[Product],
    about: Mapping[str, int],
    spellings: Mapping[str, Sequence[Product]],
    found: Iterable[Difference],
) -> Table:
    """The purchases counted, a row a spelling and rule; ``about``: how many goals are about each product."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for one in found:
        counts[one.spelling, one.rule, "alone" if one.alone else "all"] += about[one.wanted]
        if one.alone and one.wanted == one.bought:
            counts[one.spelling, one.rule, "own"] += about[one.wanted]
    rows = []
    for (spelling, others), rule in itertools.product(spellings.items(), RULES):
        changed = sum(other is not product for product, other in zip(products, others, strict=True))
        alone, both, own = (counts[spelling, rule, what] for what in ("alone", "all", "own"))
        share = 100 * alone / (sum(about.values()) * len(products))
        rows.append((spelling, f"{changed:,}", rule, f"{alone:,}", f"{share:.2f}", f"{both:,}", f"{own:,}"))
    title = f"purchases with another r_type: of {sum(about.values()):,} goals and {len(products):,} products"
    return Table(title, COLUMNS, rows)


def listed(found: Iterable[Difference], about: Mapping[str, int]) -> str:
    """The purchases of which the bought product's title alone is spelled otherwise, a row each, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(LISTED)
    for one in found:
        if one.alone:
            writer.writerow((one.spelling, one.rule, one.wanted, about[one.wanted], one.bought, one.before, one.after))
    return text.getvalue()


if __name__ == "__main__":
    with plain_errors():
        main(tyro.cli(Arguments, description=__doc__))
