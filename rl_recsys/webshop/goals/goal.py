"""Goals: what a person wants, made from products and instructions as WebShop makes them, in its order."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from rl_recsys.webshop.data.catalog import Product

ORDER_SEED = 233  # WebShop shuffles the goals with this seed; splits are positions in that order
NO_PRICE_LIMIT = 1_000_000.0
PRICE_STEP, STEPS_ABOVE = 10.0, 4  # dollars; a limit is one of so many next steps above the price
PRICE_STEPS = [PRICE_STEP * step for step in range(1, 100)]
LIMIT_ABOVE_PRICE = STEPS_ABOVE * PRICE_STEP  # at most
PRICE_CLAUSE = re.compile(r",? and price lower than (\d+(?:\.\d+)?) dollars$")
OPTION = re.compile(r"(?: with |, and )((?:(?! with )[^:,])+): (.+?)(?=, and [^:,]+: |$)")
VALUES_AGAIN = 3

StatedLimit = Callable[[Mapping], float | None]  # of an instruction's entry in the raw files, in dollars

GOAL_SCHEMA = pa.schema(
    [
        ("asin", pa.string()),
        ("category", pa.string()),
        ("query", pa.string()),
        ("name", pa.string()),
        ("product_category", pa.string()),
        ("instruction_text", pa.string()),
        ("attributes", pa.list_(pa.string())),
        ("price_upper", pa.float64()),
        # A synthetic goal's options have names, a human goal's are plain values (name is null).
        ("goal_options", pa.list_(pa.struct([("name", pa.string()), ("value", pa.string())]))),
        ("named_options", pa.bool_()),
        ("weight", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Goal:
    """A shopping goal, with the original's keys.

    ``goal_options`` is a mapping name -> value (synthetic) or a tuple of values (human), as in the original.
    ``price_upper`` is in dollars.
    """

    asin: str
    category: str
    query: str
    name: str
    product_category: str
    instruction_text: str
    attributes: tuple[str, ...]
    price_upper: float
    goal_options: dict[str, str] | tuple[str, ...]
    weight: float = 1.0

    @property
    def wish(self) -> tuple[str, frozenset[str], tuple[str, ...]]:
        """What is asked for, whatever the words, their order and the price limit: product, attributes, options."""
        options = self.goal_options
        values = options.values() if isinstance(options, dict) else options
        return self.asin, frozenset(self.attributes), tuple(sorted(values))

    @classmethod
    def from_words(cls, instruction: str) -> Goal:
        """A goal of which only the words are known: one can shop for it, but what a purchase earns says nothing."""
        return cls("", "", "", "", "", instruction, (), NO_PRICE_LIMIT, {})

    @classmethod
    def from_mapping(cls, mapping: Mapping) -> Goal:
        """A goal of a mapping with the original's keys, such as a record of a recorded session."""
        missing = [field for field in cls.__slots__ if field != "weight" and field not in mapping]
        if missing:
            raise ValueError(f"the goal lacks the keys {', '.join(missing)}")
        options = mapping["goal_options"]
        return cls(
            **{field: mapping[field] for field in cls.__slots__ if field in mapping}
            | {
                "attributes": tuple(mapping["attributes"]),
                "goal_options": dict(options) if isinstance(options, Mapping) else tuple(options),
            }
        )

    @classmethod
    def from_row(cls, row: dict) -> Goal:
        """The goal of one row of a table with ``GOAL_SCHEMA``."""
        row = dict(row)
        options = row["goal_options"]
        if row.pop("named_options"):
            row["goal_options"] = {option["name"]: option["value"] for option in options}
        else:
            row["goal_options"] = tuple(option["value"] for option in options)
        return cls(**dict(row, attributes=tuple(row["attributes"])))

    def to_row(self) -> dict:
        """The inverse of ``from_row``."""
        row = {field: getattr(self, field) for field in self.__slots__}
        named = isinstance(self.goal_options, dict)
        pairs = self.goal_options.items() if named else ((None, value) for value in self.goal_options)
        options = [{"name": name, "value": value} for name, value in pairs]
        return row | {"attributes": list(self.attributes), "goal_options": options, "named_options": named}


def without_price_clause(instruction: str) -> str:
    """An instruction as it is searched for: in lower case, without what it may cost."""
    return typed(PRICE_CLAUSE.sub("", instruction))


def search_words(instruction: str) -> str:
    """What is searched for unless a query model says otherwise: the instruction without what it may cost, and the
    option values that it names in WebShop's words ("with color: navy") ``VALUES_AGAIN`` times more.

    Most of an instruction is true of many products, and BM25 weighs a word by how often it is typed. Which number was
    chosen on training goals: docs/log/2026-11-25-named-options.md.
    """
    values = [value for _, value in named_options(instruction)]
    return " ".join([without_price_clause(instruction), *values * VALUES_AGAIN])


def named_options(instruction: str) -> list[tuple[str, str]]:
    """(name, value) of the options that an instruction wants in WebShop's words, "with color: navy, and size: 9"."""
    return [(name.strip(), value.strip()) for name, value in OPTION.findall(without_price_clause(instruction))]


def without_options(instruction: str) -> str:
    """An instruction as it is searched for, without its ``named_options``."""
    return OPTION.sub("", without_price_clause(instruction))


def price_limit(instruction: str) -> float | None:
    """The price limit in dollars that an instruction names; None where it names none."""
    clause = PRICE_CLAUSE.search(instruction)
    return float(clause.group(1)) if clause else None


def typed(query: str) -> str:
    """A query as it can be typed: "[" or "]" would end the action's argument (WebShop's grammar)."""
    return query.replace("[", " ").replace("]", " ").strip().lower()


def price_clause(price: float, rng: random.Random) -> tuple[float, str]:
    """(price limit in dollars, clause for the instruction): two of the next four tens above the price, the larger.

    The original draws unseeded, so its clauses differ in each process; the rule is the same.
    """
    candidates = [step for step in PRICE_STEPS if step > price][:STEPS_ABOVE]
    if len(candidates) < 2:
        return NO_PRICE_LIMIT, ""
    limit = max(rng.sample(candidates, 2))
    return limit, f", and price lower than {limit:.2f} dollars"


def _limit_and_clause(
    entry: Mapping, product: Product, rng: random.Random, stated_limit: StatedLimit | None
) -> tuple[float, str]:
    if stated_limit is None:
        return price_clause(product.price, rng)
    limit = stated_limit(entry)
    return (NO_PRICE_LIMIT if limit is None else limit), ""


def synthetic_goals(
    product: Product, entry: Mapping, *, seed: int, stated_limit: StatedLimit | None = None
) -> Iterator[Goal]:
    """WebShop's synthetic goals of one product: one for every combination of its option values.

    ``entry`` is the product's in the items_ins_v2 file. ``stated_limit``: see
    ``human_goals``. The weights are those of ``goal_weight``, to be set when all goals are known.
    """
    instruction, wanted = entry.get("instruction"), entry.get("instruction_attributes")
    if not instruction or not wanted:
        return
    rng = random.Random(f"clause:{seed}:{product.asin}")
    limit, clause = _limit_and_clause(entry, product, rng, stated_limit)
    names = sorted(product.options)
    for values in itertools.product(*(product.options[name] for name in names)):
        yield synthetic_goal(product, instruction, wanted, dict(zip(names, values, strict=True)), limit, clause)


def synthetic_goal(
    product: Product, instruction: str, wanted: Iterable[str], options: Mapping[str, str], limit: float, clause: str
) -> Goal:
    """A goal that asks for a product with some of its options in WebShop's words; see ``price_clause`` for the last."""
    chosen = ", and ".join(f"{name}: {value}" for name, value in options.items())
    text = f"{instruction}{' with ' + chosen if chosen else ''}{clause}"
    return _goal(product, text, wanted, limit, dict(options))


def human_goals(
    product: Product, entries: Iterable[Mapping], *, seed: int, stated_limit: StatedLimit | None = None
) -> Iterator[Goal | None]:
    """WebShop's human goals of one product, with None for each instruction that it skips for having no attributes.

    WebShop adds a price limit to the words. With ``stated_limit``, which finds the one that they name, they stay as
    they are.
    """
    rng = random.Random(f"clause:{seed}:{product.asin}")
    for entry in entries:
        wanted = entry["instruction_attributes"]
        if not wanted:
            yield None
            continue
        text = entry["instruction"].strip(".")
        limit, clause = _limit_and_clause(entry, product, rng, stated_limit)
        text += clause
        yield _goal(product, text, wanted, limit, tuple(entry["instruction_options"]))


def _goal(product: Product, text: str, wanted: Iterable[str], limit: float, options) -> Goal:
    return Goal(
        asin=product.asin,
        category=product.category,
        query=product.query,
        name=product.title,
        product_category=product.product_category,
        instruction_text=text,
        attributes=tuple(wanted),
        price_upper=limit,
        goal_options=options,
    )


def goal_weight(attributes: Sequence[str], counts: Mapping[str, int]) -> float:
    """A synthetic goal's weight in WebShop's draw: the mean over its attributes of 1 / (number of goals that have it).

    ``counts``: an attribute's number of goals.
    """
    return sum(1 / counts[attribute] for attribute in attributes) / len(attributes)


def webshop_order(count: int) -> array:
    """The order that the original shuffles ``count`` goals into, so that a position means the same goal."""
    order = array("q", range(count))
    random.Random(ORDER_SEED).shuffle(order)
    return order


def digest(what: object) -> int:
    """Eight bytes that tell what a goal asks for from what others do, whatever process reckons them."""
    text = json.dumps(what, default=sorted)  # of sets
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
