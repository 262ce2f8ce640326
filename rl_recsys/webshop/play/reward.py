"""WebShop's reward: how well a purchase fits a goal."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache

from thefuzz import fuzz

from rl_recsys.webshop.data.catalog import CATEGORY_SEPARATOR, Product
from rl_recsys.webshop.goals.goal import Goal

_WORD = re.compile(r"[a-z]+")
#: The parts of the reward, each in [0, 1]: the product's type, its attributes, the options chosen, the price.
REWARD_PARTS = ("r_type", "r_att", "r_option", "r_price")
_LETTERS = re.compile(r"[^\W\d_]{2,}")
#: Words that say nothing of what a product is.
_SMALL_WORDS = frozenset(
    "a all an and any are as at be by for from in is it its no not of on or our that the this to up we with without "
    "you your".split()
)
FUZZY_MATCH = 85  # WebShop: a token-set ratio above this is a match

#: WebShop's colour words, in its order: the first that occurs in an option value stands for the whole value.
COLOR_WORDS = (
    "alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze brown burgundy camel "
    "camo caramel champagne charcoal cheetah chestnut chocolate christmas coffee cognac copper coral cranberry "
    "cream crystal dark denim eggplant elephant espresso fuchsia gold granite grape graphite grass gray green "
    "grey heather indigo ivory ivy khaki lavender lemon leopard light lilac lime magenta maroon mauve merlot "
    "midnight mint mocha multicolor mushroom mustard natural navy nude olive orange peach pewter pink plum purple "
    "rainbow red rose royal rust sand sapphire seashell silver skull slate steel stone stonewash sunflower tan "
    "taupe teal tiger turquoise violet walnut wheat white wine yellow "
).split()


@dataclass(frozen=True, slots=True)
class Reward:
    """``total`` in [0, 1] and ``parts``, WebShop's own breakdown (r_type, r_att, r_option, r_price, w_*, ...)."""

    total: float
    parts: dict[str, float | bool]


def score_purchase(
    product: Product, options: Iterable[str], goal: Goal, goal_nouns: tuple[str, ...], rule: str = "original"
) -> Reward:
    """The reward for buying ``product`` with the chosen option values, by one of ``RULES``.

    total = r_type * (attribute matches + option matches + price within limit) / (attributes + options + 1),
    WebShop's ``get_reward``. ``goal_nouns`` are the nouns of the goal's product name, with repeats.
    """
    type_parts = type_reward(product, goal, goal_nouns, rule)
    attribute_matches = sum(_has_attribute(product, wanted) for wanted in goal.attributes)
    option_matches = RULES[rule].options(tuple(options), goal.goal_options)
    within_price = product.price <= goal.price_upper
    terms = len(goal.attributes) + len(goal.goal_options) + 1
    total = (attribute_matches + option_matches + within_price) / terms * type_parts["r_type"]
    parts: dict[str, float | bool] = {
        **type_parts,
        "r_att": attribute_matches / len(goal.attributes) if goal.attributes else 0.0,
        "w_att": len(goal.attributes) / terms,
        "r_price": within_price,
        "w_price": 1 / terms,
    }
    if goal.goal_options:
        parts["r_option"] = option_matches / len(goal.goal_options)
        parts["w_option"] = len(goal.goal_options) / terms
    return Reward(total, parts)


def type_reward(
    product: Product, goal: Goal, goal_nouns: tuple[str, ...], rule: str = "original"
) -> dict[str, float | bool]:
    """Those parts of ``score_purchase`` that say whether the product is of the wanted kind: r_type and its reasons."""
    query_match = product.query == goal.query
    category_match = len(_categories(product.product_category) & _categories(goal.product_category)) >= 2
    offered, wanted = RULES[rule].titles(product, goal, goal_nouns)
    title_score = len(set(offered) & set(wanted)) / len(wanted) if wanted else 0.2
    r_type = 1.0 if query_match or category_match or title_score > 0.2 else 0.5
    if title_score < 0.1:  # overrides even a query match, as in the original
        r_type = 0.1
    if title_score == 0:
        r_type = 0.0
    return {
        "r_type": r_type,
        "query_match": query_match,
        "category_match": category_match,
        "title_score": title_score,
    }


@lru_cache(maxsize=4096)
def _categories(chain: str) -> frozenset[str]:
    return frozenset(part.strip() for part in chain.split(CATEGORY_SEPARATOR))


def _has_attribute(product: Product, wanted: str) -> bool:
    return (
        any(fuzz.token_set_ratio(attribute, wanted) > FUZZY_MATCH for attribute in product.attributes)
        or wanted in product.title.lower()
        or wanted in " ".join(product.bullets).lower()
        or wanted in product.description.lower()
    )


def _original_options(bought: tuple[str, ...], wanted: dict[str, str] | tuple[str, ...]) -> int:
    # A synthetic goal's options are (name, value) pairs: the original's colour rule passes them by, and the fuzzy
    # match reads the pair as the text "name value". 458 of the 6,910 goals of the 1k cannot be won because of it.
    bought = tuple(map(color_rule, bought))
    if isinstance(wanted, dict):
        targets = [f"{name} {value}" for name, value in wanted.items()]
    else:
        targets = [color_rule(value) for value in wanted]
    return _matches(bought, targets)


def _corrected_options(bought: tuple[str, ...], wanted: dict[str, str] | tuple[str, ...]) -> int:
    """Values are compared with values, named or not, and a colour is a whole word: a value always matches itself."""
    values = wanted.values() if isinstance(wanted, dict) else wanted
    exact = [value for value in values if value in bought]
    rest = [color_word(value) for value in values if value not in bought]
    return len(exact) + _matches(tuple(map(color_word, bought)), rest)


def _matches(bought: tuple[str, ...], targets: list[str]) -> int:
    return sum(any(fuzz.token_set_ratio(value, target) > FUZZY_MATCH for value in bought) for target in targets)


def color_rule(value: str) -> str:
    """The first colour word that is a substring of ``value``, or ``value`` itself (WebShop's normalize_color)."""
    return next((color for color in COLOR_WORDS if color in value), value)


def color_word(value: str) -> str:
    """The first colour word that is a word of ``value``, or ``value`` itself: "tapered" is not red."""
    words = set(_WORD.findall(value))
    return next((color for color in COLOR_WORDS if color in words), value)


def title_words(title: str) -> frozenset[str]:
    """What a title is compared by under the corrected rule: its words of two letters or more, however it is spelled.

    Capitals, "2-Pack" for "2 Pack", "12oz" for "12 oz" and bars between words change nothing. Numbers are left out, and
    so are small words, such as "with".
    """
    return frozenset(_LETTERS.findall(title.casefold())) - _SMALL_WORDS


Words = Collection[str]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a rule compares a purchase with a goal.

    ``titles``: from (product, goal, nouns of the wanted title) to what is compared of the product's title, and of the
    wanted one. ``options``: from the values that were chosen and those wanted to how many of these are met.
    """

    titles: Callable[[Product, Goal, tuple[str, ...]], tuple[Words, Words]]
    options: Callable[[tuple[str, ...], dict[str, str] | tuple[str, ...]], int]


#: As the original does, or so that every goal can be won and no spelling of a title matters.
RULES = {
    "original": Comparison(lambda product, _, goal_nouns: (product.nouns, goal_nouns), _original_options),
    "corrected": Comparison(
        lambda product, goal, _: (title_words(product.title), title_words(goal.name)), _corrected_options
    ),
}
