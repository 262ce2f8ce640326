"""What the best purchase of a product pays for a goal: with options that its page offers and that can be clicked."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import lru_cache

from rl_recsys.webshop.data.catalog import Product
from rl_recsys.webshop.goals.goal import Goal
from rl_recsys.webshop.play.page import BACK_TO_SEARCH, BUTTONS, BUY_NOW, PREV, SEARCH, SUB_PAGES
from rl_recsys.webshop.play.reward import RULES, score_purchase
from rl_recsys.webshop.play.session import parse_action

# On an item's page the server takes these for what they are elsewhere, whatever is called so.
_TAKEN = {label.lower() for label in (SEARCH, BACK_TO_SEARCH, PREV, BUY_NOW)} | SUB_PAGES.keys()


def can_be_opened(product: Product) -> bool:
    """Whether a click on a product among search results leads to its page."""
    label = product.asin.lower()
    return label not in BUTTONS and _fits_grammar(label)


def clickable_options(product: Product) -> dict[str, tuple[str, ...]]:
    """The option values that a click on the product's page chooses, by option.

    Of a value that two options have the last one's is meant.
    """
    owner = {value: name for name, values in product.options.items() for value in values}
    return {
        name: tuple(v for v in dict.fromkeys(values) if owner[v] == name and v not in _TAKEN and _fits_grammar(v))
        for name, values in product.options.items()
    }


def _fits_grammar(label: str) -> bool:
    return parse_action(f"click[{label}]") == ("click", label)


class BestPurchase:
    """The highest rewards that a purchase of one product can bring, for any number of goals."""

    def __init__(self, product: Product):
        self._product = product
        self._groups = [values for values in clickable_options(product).values() if values]
        self._opens = can_be_opened(product)
        self._rest: dict[tuple, tuple[int, float]] = {}
        self._matches = lru_cache(maxsize=None)(self._value_matches)

    def reward(self, goal: Goal, goal_nouns: tuple[str, ...], rule: str) -> float:
        """The most that buying the product can pay for a goal by a rule of ``RULES``; 0 where it cannot be opened."""
        if not self._opens:
            return 0.0
        # Goals of one product differ in their options only, so the rest is scored once.
        key = rule, goal.name, goal.attributes, goal.price_upper, goal.query, goal.product_category, goal_nouns
        if key not in self._rest:
            self._rest[key] = self._score_without_options(goal, goal_nouns, rule)
        attributes_and_price, r_type = self._rest[key]
        options = goal.goal_options
        wanted = tuple(options.items()) if isinstance(options, Mapping) else tuple((None, value) for value in options)
        terms = len(goal.attributes) + len(wanted) + 1
        return (attributes_and_price + self._most_matches(wanted, rule)) / terms * r_type

    def _score_without_options(self, goal: Goal, goal_nouns: tuple[str, ...], rule: str) -> tuple[int, float]:
        parts = score_purchase(self._product, (), goal, goal_nouns, rule).parts
        return round(parts["r_att"] * len(goal.attributes)) + parts["r_price"], parts["r_type"]

    def _most_matches(self, wanted: tuple[tuple[str | None, str], ...], rule: str) -> int:
        """How many of the wanted options one choice of at most a value of each option matches."""
        reached = {0}  # sets of matched wanted options, as bits
        for values in self._groups:
            masks = {sum(self._matches(value, one, rule) << bit for bit, one in enumerate(wanted)) for value in values}
            reached = _largest({before | mask for before, mask in itertools.product(reached, masks)} | reached)
        return max(mask.bit_count() for mask in reached)

    def _value_matches(self, value: str, wanted: tuple[str | None, str], rule: str) -> bool:
        name, target = wanted
        return bool(RULES[rule].options((value,), (target,) if name is None else {name: target}))


def _largest(masks: set[int]) -> set[int]:
    """Those that are not part of another."""
    return {one for one in masks if not any(one != other and one & other == one for other in masks)}
