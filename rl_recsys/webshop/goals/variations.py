"""Goals that a shop does not have, made of its products: more to train on.

All of WebShop's synthetic goals of one product say the same but for options and price, so a policy can learn which
title belongs to which instruction instead of what is wanted. A variation wants some of the attributes, in a new order.
"""

from __future__ import annotations

import random
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping

import numpy as np

from rl_recsys.errors import UserError
from rl_recsys.webshop.data.catalog import Product
from rl_recsys.webshop.goals.goal import Goal, digest, price_clause, synthetic_goal, without_price_clause
from rl_recsys.webshop.shop import Shop

BEFORE, WITH, FOR = "", " with ", " for "  # where WebShop's instructions have an attribute: around the product's kind
_OPENING = "Find me "
MOST_DRAWS = 1000  # for one goal


class GoalVariations:
    """Synthetic goals in WebShop's words about products of training goals, and about those that no goal is about.

    They want one or more of the attributes that training goals want. ``goal(number)`` is decided by the seed and the
    number. None is about a product that only held-out goals are about, none has the product, attributes and options of
    a held-out goal, and none its words. Raises ``UserError`` where no product has such an attribute.

    It holds a number a product and two a held-out goal, as every worker has its own.
    """

    def __init__(self, shop: Shop, *, seed: int = 0):
        self._shop, self._seed = shop, seed
        trains = np.zeros(shop.goal_count, bool)
        trains[np.asarray(shop.split("train"), int)] = True
        places: dict[str, Counter] = defaultdict(Counter)  # attribute -> how often it stands where
        held_out = array("Q")
        for index in range(shop.goal_count):
            goal = shop.goal(index)
            if not trains[index]:
                held_out.extend((digest(goal.wish), digest(without_price_clause(goal.instruction_text))))
                continue
            said = attribute_places(goal)
            for attribute in goal.attributes:
                places[attribute][said.get(attribute, BEFORE)] += 1
        self._held_out = np.unique(np.asarray(held_out, np.uint64))
        self._places = {attribute: found.most_common(1)[0][0] for attribute, found in places.items()}
        only_held_out = shop.products_of_goals(~trains) & ~shop.products_of_goals(trains)
        self._rows = array("q")
        for row in np.flatnonzero(~only_held_out).tolist():
            if not self._places.keys().isdisjoint(shop.attributes(row)):
                self._rows.append(row)
        if not self._rows:
            raise UserError(f"{shop.folder}: no product has an attribute that a training goal wants: nothing to vary")

    def goal(self, number: int) -> Goal:
        """The goal of this number. Raises ``UserError`` where ``MOST_DRAWS`` are all held-out goals."""
        rng = random.Random(f"variation:{self._seed}:{number}")
        for _ in range(MOST_DRAWS):
            goal = self._draw(rng)
            if not (self._is_held_out(goal.wish) or self._is_held_out(without_price_clause(goal.instruction_text))):
                return goal
        raise UserError(
            f"{self._shop.folder}: {MOST_DRAWS} goals that were made up are all goals of the test: its products leave "
            "nothing else to ask for"
        )

    def _is_held_out(self, what: object) -> bool:
        wanted = np.uint64(digest(what))
        place = int(np.searchsorted(self._held_out, wanted))
        return place < len(self._held_out) and bool(self._held_out[place] == wanted)

    def _draw(self, rng: random.Random) -> Goal:
        product = self._shop.listing(rng.choice(self._rows)).product
        known = sorted(set(product.attributes).intersection(self._places))
        wanted = rng.sample(known, rng.randint(1, len(known)))
        options = {name: rng.choice(values) for name, values in sorted(product.options.items()) if values}
        limit, clause = price_clause(product.price, rng)
        return synthetic_goal(product, self._words(product, wanted), wanted, options, limit, clause)

    def _words(self, product: Product, wanted: list[str]) -> str:
        """ "Find me ATTRIBUTES KIND with ATTRIBUTES for ATTRIBUTES", as WebShop words it."""
        said = {place: [one for one in wanted if self._places[one] == place] for place in (BEFORE, WITH, FOR)}
        before = ", ".join(said[BEFORE])
        parts = [f"{_OPENING}{before}{' ' if before else ''}{product.query}"]
        parts += [place + ", ".join(said[place]) for place in (WITH, FOR) if said[place]]
        return "".join(parts)


def attribute_places(goal: Goal) -> Mapping[str, str]:
    """Attribute -> ``BEFORE``, ``WITH`` or ``FOR``, of a goal worded as WebShop's synthetic ones; {} of another."""
    text = goal.instruction_text
    start = text.lower().find(goal.query.lower())
    if not text.startswith(_OPENING) or start < 0 or not isinstance(goal.goal_options, dict):
        return {}
    before, after = text[:start], text[start + len(goal.query) :]
    found = {}
    for attribute in goal.attributes:
        at = after.find(attribute)
        if attribute in before:
            found[attribute] = BEFORE
        elif at >= 0:
            found[attribute] = FOR if after.rfind(FOR, 0, at) > after.rfind(WITH, 0, at) else WITH
    return found
