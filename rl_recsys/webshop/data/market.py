"""The market: a large shop that is hard on purpose, with enough goals to tell agents apart, by one seed.

The demo shop shows that everything runs. This one is to decide: 3,000 test and 1,000 dev goals, each about a product of
its own that no training goal is about, nor any of its near-duplicates. What makes it hard are the fields of ``Market``;
``python -m rl_recsys.webshop.hardness`` measures how hard that came out.
"""

from __future__ import annotations

import json
import random
import string
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from rl_recsys.console.ranges import COUNT, SHARE, Range, check_ranges
from rl_recsys.errors import UserError
from rl_recsys.webshop.data.compile import Source
from rl_recsys.webshop.data.demo import BRANDS, KINDS, Kind
from rl_recsys.webshop.data.spoken import Wish, in_free_words, in_template
from rl_recsys.webshop.goals.splits import side_of
from rl_recsys.webshop.play.reward import RULES
from rl_recsys.webshop.rules import ShopRules

LEAST_PRODUCTS = 100  # with fewer a split has hardly a goal
TEST_SHARE, DEV_SHARE = 0.15, 0.05  # of the products, each in a family of its own: 3,000 and 1,000 of 20,000
PROTOCOL = "product-disjoint-all"  # whose splits the asins are chosen for
STEP = 10  # dollars: people name round limits

#: Of the demo's option values those that WebShop's reward cannot tell apart ("pack of 2" counts as "pack of 4",
#: "x-large" as "large"), as the market sells them.
_SOLD_AS = {
    "x-large": "xl", "xx-large": "xxl", "pack of 1": "1 pack", "pack of 2": "2 pack", "pack of 4": "4 pack",
    "pack of 6": "6 pack", "2 fl oz": "60 ml", "4 fl oz": "100 ml", "8 fl oz": "250 ml",
}  # fmt: skip
#: What a thing of each category is made of, or made as: one more word to ask for.
_MAKES = {
    "fashion": ("linen", "cotton", "wool", "bamboo", "fleece", "denim", "jersey", "corduroy"),
    "beauty": ("aloe", "shea", "oatmeal", "charcoal", "honey", "green tea", "rosemary", "argan"),
    "grocery": ("oat", "almond", "spelt", "quinoa", "hazelnut", "rice", "buckwheat", "pumpkin"),
    "electronics": ("foldable", "ultra thin", "rugged", "portable", "compact", "solar", "magnetic", "braided"),
    "garden": ("bamboo", "rattan", "steel", "oak wood", "marble", "velvet", "jute", "glass"),
}
#: What is sold for a thing and named after it: its title says another type of product than it is.
_EXTRAS = {
    "fashion": ("Storage Bag", "garment storage bags", "Storage › Closet › Bags"),
    "beauty": ("Travel Bottle", "empty travel bottles", "Travel › Toiletries › Bottles"),
    "grocery": ("Keeping Tin", "keeping tins", "Kitchen › Pantry › Tins"),
    "electronics": ("Carry Pouch", "carry pouches", "Luggage › Small › Pouches"),
    "garden": ("Dust Cover", "dust covers", "Household › Care › Covers"),
}
_EXTRA_SAYS = ("tear resistant", "folds flat", "see through", "double stitched", "dust proof", "odor free")
_BULLETS = (
    "Made with {0} in mind, and tried out for {1}",
    "You will notice that it is {0}",
    "{0}: that is what buyers praise most",
    "Comes with {0}, checked by hand before it leaves us",
    "Among others of its kind it stands out by {0}",
)


@dataclass(frozen=True)
class Market:
    """What the market is like; shares are in [0, 1]. Raises ``UserError`` for fewer than ``LEAST_PRODUCTS`` products.

    Products come in families: an original, which goals are about, its near-duplicates, and what is sold for it. A
    near-duplicate has the original's title, at times under another brand, and fails what the first goal about the
    original asks for in one respect: an option value that it lacks, an attribute, or the price.
    """

    products: Annotated[int, COUNT] = 20_000
    near_duplicates: Annotated[float, SHARE] = 0.5
    """Share of the products that are near-duplicates of another."""
    misleading: Annotated[float, SHARE] = 0.1
    """Share of the products whose title names the type and attributes of another: what is sold for it."""
    lacking: Annotated[float, SHARE] = 0.4
    """Share of the near-duplicates whose options lack a value that is asked for."""
    other_brand: Annotated[float, SHARE] = 0.5
    """Share of the near-duplicates that another brand sells."""
    in_template: Annotated[float, SHARE] = 0.3
    """Share of the goals in WebShop's template; the others are in free words."""
    price_in_words: Annotated[float, SHARE] = 0.3
    """Share of the goals in free words whose price limit is spelled out: "under fifty dollars"."""
    price_in_digits: Annotated[float, SHARE] = 0.4
    """Share of them whose price limit is in digits: "under $50". The rest name no price."""
    respelled: Annotated[float, SHARE] = 0.5
    """Share of the option values in free words that are spelled otherwise than on the page, where there is a way."""
    training_goals: Annotated[int, COUNT] = 3
    """Goals about each product that training goals are about; of test and dev one each."""
    seed: Annotated[int, Range(least=0)] = 0

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.products < LEAST_PRODUCTS:
            raise UserError(
                f"a market of {self.products} products: it has at least {LEAST_PRODUCTS}, or its splits are too small"
            )
        for one, other in (("near_duplicates", "misleading"), ("price_in_words", "price_in_digits")):
            if getattr(self, one) + getattr(self, other) > 1:
                raise UserError(f"the market's {one} and {other} are more than 1 together")
        if sum(self.families.values()) < 1 or self.families["train"] < 1:
            raise UserError(
                f"no product is left for training goals: near_duplicates {self.near_duplicates} and misleading "
                f"{self.misleading} take too many of {self.products} products"
            )

    @property
    def families(self) -> dict[str, int]:
        """How many families each split's goals are about."""
        test, dev = round(TEST_SHARE * self.products), round(DEV_SHARE * self.products)
        return {"test": test, "dev": dev, "train": self.products - self._duplicates - self._extras - test - dev}

    @property
    def _duplicates(self) -> int:
        return round(self.near_duplicates * self.products)

    @property
    def _extras(self) -> int:
        return round(self.misleading * self.products)

    def write(self, folder: Path) -> tuple[Path, Path, Path]:
        """Write items_shuffle.json, items_ins_v2.json and items_human_ins.json into a folder; their paths.

        The goals are those of the last, "human" as WebShop calls what is not of its template.
        """
        rng = random.Random(f"market:{self.seed}")
        sides = [side for side, count in self.families.items() for _ in range(count)]
        rng.shuffle(sides)
        duplicates, extras = _shared_out(self._duplicates, sides, rng), _shared_out(self._extras, sides, rng)
        kinds = [(category, kind) for category, group in KINDS.items() for kind in group]
        files = _Files(rng)
        for number, side in enumerate(sides):
            category, kind = kinds[number % len(kinds)]
            family = _Family(category, kind, rng)
            goals = [
                self._goal(family, rng, first=not count)
                for count in range(self.training_goals if side == "train" else 1)
            ]
            files.add(family.original(), side, [entry for _, entry in goals])
            first, _ = goals[0]
            for _ in range(duplicates[number]):
                files.add(self._duplicate(family, first, rng), side)
            for _ in range(extras[number]):
                files.add(family.extra(first), side)
        return files.write(folder)

    def _wish(self, family: _Family, rng: random.Random, *, first: bool) -> Wish:
        """A wish for a family's original; the first has an attribute that the title does not tell."""
        hidden = [one for one in family.said if one not in family.shown]
        wanted = rng.sample(family.said, rng.randint(1, 3))
        if first and not set(wanted) & set(hidden):
            wanted[-1] = rng.choice(hidden)
        asked = {name: rng.choice(values) for name, values in family.options.items() if rng.random() < 0.85}
        if not asked:
            name = rng.choice(list(family.options))
            asked = {name: rng.choice(family.options[name])}
        limit = STEP * (int(family.price) // STEP + rng.randint(1, 3))
        return Wish(family.kind.query, tuple(wanted), asked, limit, rng.choice(family.kind.uses))

    def _goal(self, family: _Family, rng: random.Random, *, first: bool) -> tuple[Wish, dict[str, Any]]:
        """A wish, and the same in words as an entry of an items_human_ins file; where they name no price, neither does
        the wish."""
        wish = self._wish(family, rng, first=first)
        if rng.random() < self.in_template:
            text = in_template(wish, rng)
        else:
            drawn = rng.random()
            spelled_out = drawn < self.price_in_words
            if drawn >= self.price_in_words + self.price_in_digits:
                wish = replace(wish, limit=None)
            text = in_free_words(wish, rng, respelled=self.respelled, price_in_words=spelled_out)
        return wish, {
            "instruction": text,
            "instruction_attributes": list(wish.attributes),
            "instruction_options": list(wish.options.values()),
            "price_upper": wish.limit,
        }

    def _duplicate(self, family: _Family, wish: Wish, rng: random.Random) -> _Product:
        brand = _brand(rng) if rng.random() < self.other_brand else family.brand
        hidden = [one for one in wish.attributes if one not in family.shown]
        if rng.random() < self.lacking or not hidden:
            name = rng.choice(list(wish.options))
            without = _without(wish.options[name], family.kind_options[name], len(family.options[name]), rng)
            return family.like(brand=brand, options=family.options | {name: without})
        if wish.limit is not None and rng.random() < 0.5:
            return family.like(brand=brand, price=round(wish.limit * rng.uniform(1.05, 1.9), 2))
        others = [one for one in family.kind.attributes if one not in family.said]
        replaced = rng.choice(hidden)
        return family.like(brand=brand, said=[rng.choice(others) if one == replaced else one for one in family.said])


@dataclass
class _Product:
    """A product before it is a record: ``title`` is without its brand, ``said`` are its attributes."""

    brand: str
    title: str
    category: str
    query: str
    chain: str
    said: Sequence[str]
    options: Mapping[str, Sequence[str]]
    price: float
    use: str
    noun: str

    def record(self, asin: str, rng: random.Random) -> dict[str, Any]:
        """As WebShop's items file has it. Only the first bullet and the description are searched, and tell two of
        the attributes; the features page tells all."""
        told = rng.sample(list(self.said), len(self.said))
        templates = rng.sample(_BULLETS, len(_BULLETS))
        bullets = [templates[place % len(templates)].format(one, self.use) for place, one in enumerate(told)]
        described = rng.random() < 0.7
        return {
            "asin": asin,
            "name": f"{self.brand} {self.title}",
            "category": self.category,
            "query": self.query,
            "product_category": self.chain,
            "full_description": f"{self.noun} by {self.brand} for {self.use}, {rng.choice(told)}." if described else "",
            "small_description": [text[0].upper() + text[1:] for text in bullets],
            "pricing": f"${self.price}",
            "images": [f"https://example.org/{asin}.jpg"],
            "customization_options": {
                name.title(): [{"value": value, "image": None} for value in values]
                for name, values in self.options.items()
            },
        }


class _Family:
    """What an original is, and products that are like it."""

    def __init__(self, category: str, kind: Kind, rng: random.Random):
        self._rng = rng
        self.category, self.kind = category, kind
        self.brand = _brand(rng)
        self.make = rng.choice(_MAKES[category])
        self.said = [self.make, *rng.sample(kind.attributes, 4)]
        self.shown = rng.sample(self.said, 2)
        self.kind_options = {
            name: tuple(_SOLD_AS.get(value, value) for value in values) for name, values in kind.options.items()
        }
        self.options = {
            name: sorted(rng.sample(values, rng.randint(2, min(5, len(values)))), key=values.index)
            for name, values in self.kind_options.items()
        }
        self.price = round(rng.uniform(*kind.price), 2)
        self.use = rng.choice(kind.uses)
        first, second = (one.title() for one in self.shown)
        self.title = f"{first} {kind.noun} for {self.use.title()}, {second}"

    def original(self) -> _Product:
        """What goals are about."""
        return self.like()

    def like(self, **changes: Any) -> _Product:
        """The original with changes."""
        fields = {
            "brand": self.brand, "title": self.title, "category": self.category, "query": self.kind.query,
            "chain": self.kind.chain, "said": self.said, "options": self.options, "price": self.price,
            "use": self.use, "noun": self.kind.noun,
        }  # fmt: skip
        return _Product(**fields | changes)

    def extra(self, wish: Wish) -> _Product:
        """What is sold for the original and is named after it. It has no value that the wish asks for."""
        rng = self._rng
        noun, query, chain = _EXTRAS[self.category]
        name = rng.choice(list(wish.options))
        options = {name: _without(wish.options[name], self.kind_options[name], len(self.options[name]), rng)}
        first, second = (one.title() for one in self.shown)
        return _Product(
            brand=_brand(rng), title=f"{noun} for {first} {self.kind.noun}, fits {second} {self.kind.noun}",
            category=self.category, query=query, chain=chain, said=rng.sample(_EXTRA_SAYS, 3), options=options,
            price=round(rng.uniform(4, 15), 2), use=self.use, noun=noun,
        )  # fmt: skip


@dataclass
class _Files:
    """The raw files as they grow."""

    rng: random.Random
    items: list[dict] = field(default_factory=list)
    attributes: dict[str, dict] = field(default_factory=dict)
    asked: dict[str, list[dict]] = field(default_factory=dict)

    def add(self, product: _Product, side: str, goals: Sequence[Mapping[str, Any]] = ()) -> None:
        """A product that the protocol puts on a split's side, and the goals about it."""
        asin = self._asin(side)
        self.items.append(product.record(asin, self.rng))
        self.attributes[asin] = {"attributes": list(product.said)}
        if goals:
            self.asked[asin] = list(goals)

    def _asin(self, side: str) -> str:
        """The protocol goes by a digest of asins, so one is drawn until it is of the side."""
        while True:
            asin = "B0" + "".join(self.rng.choices(string.ascii_uppercase + string.digits, k=8))
            if asin not in self.attributes and side_of(asin) == side:
                return asin

    def write(self, folder: Path) -> tuple[Path, Path, Path]:
        self.rng.shuffle(self.items)
        files = {"items_shuffle": self.items, "items_ins_v2": self.attributes, "items_human_ins": self.asked}
        paths = tuple(folder / f"{name}.json" for name in files)
        for path, value in zip(paths, files.values(), strict=True):
            path.write_text(json.dumps(value))
        return paths


@contextmanager
def market_source(market: Market) -> Iterator[Source]:
    """A market's files as a source; they are gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        yield Source(*market.write(Path(folder)), goals="human", price_clauses="as-written")


def market_rules(rules: ShopRules) -> ShopRules:
    """Rules with the market's protocol. Raises ``UserError`` where another one than the default was chosen."""
    if rules.protocol not in (ShopRules().protocol, PROTOCOL):
        raise UserError(f"protocol {rules.protocol}: the market's is {PROTOCOL}; leave --protocol out")
    return replace(rules, protocol=PROTOCOL)


def _shared_out(count: int, families: Sequence[object], rng: random.Random) -> list[int]:
    """How many of ``count`` products each family gets, by chance."""
    found = [0] * len(families)
    for _ in range(count):
        found[rng.randrange(len(families))] += 1
    return found


def _brand(rng: random.Random) -> str:
    return f"{rng.choice(BRANDS)} {rng.choice('ACEKLMRTX')}{rng.randint(1, 99)}"


def _without(asked: str, values: Iterable[str], count: int, rng: random.Random) -> list[str]:
    """At most ``count`` of the values, none of which a reward rule takes for the asked one."""
    values = list(values)
    others = [
        value for value in values if not any(rule.options((value,), (asked,)) for rule in RULES.values())
    ]  # fmt: skip
    return sorted(rng.sample(others, min(count, len(others))), key=values.index)
