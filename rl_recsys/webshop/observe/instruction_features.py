"""What a product has of what an instruction wants, as far as it was shown, in words and numbers a shopper goes by."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from rl_recsys.webshop.data.catalog import Product
from rl_recsys.webshop.goals.goal import LIMIT_ABOVE_PRICE, typed, without_options

EXCERPT_CHUNKS, CHUNK_WORDS = 3, 16
FEW, SOME, MANY, MOST = (f"{share} words missing" for share in ("few", "some", "many", "most"))
_SHARES = {FEW: 0.15, SOME: 0.3, MANY: 0.5, MOST: 1.0}  # of the instruction's words, at most
TOO_EXPENSIVE, AFFORDABLE, MUCH_CHEAPER = "too expensive", "affordable", "much cheaper"  # of prices and a limit
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_WORD = re.compile(r"[^\W_]+")
_COMMON_WORDS = frozenset(
    (
        "a an and are as at be by can for from has have i in is it its me my need of on or our that the their "
        "this to want with you your find looking am would like some please show could "
    ).split()
)


def price_relation(price_text: str, limit: float | None) -> str:
    """How a shown price, or range of prices, relates to a limit in dollars, in words; "" where there is none.

    Two numbers in two texts that are read apart are hard to compare for an encoder, and WebShop's limit says much: it
    is at most ``LIMIT_ABOVE_PRICE`` dollars above what the wanted product costs.
    """
    prices = [float(number.replace(",", "")) for number in _NUMBER.findall(price_text)]
    if limit is None or not prices:
        return ""
    if min(prices) > limit:
        return TOO_EXPENSIVE
    return AFFORDABLE if max(prices) >= limit - LIMIT_ABOVE_PRICE else MUCH_CHEAPER


def options_offered(wanted: Sequence[tuple[str, str]], product: Product) -> str:
    """Whether a product has the wanted (name, value) options, in words; "" where none is wanted.

    Its page lists the values. Which of thirty is exactly the wanted one is hard to see for an encoder, and a product
    that lacks it is the wrong one, whatever its title says.
    """
    lacking = [f"{name}: {value}" for name, value in options_lacking(wanted, product)]
    return f"lacks {', '.join(lacking)}" if lacking else "offers all options" if wanted else ""


def options_lacking(wanted: Sequence[tuple[str, str]], product: Product) -> list[tuple[str, str]]:
    """Those of the wanted (name, value) options that a product does not have."""
    offered = {typed(value) for values in product.options.values() for value in values}
    return [(name, value) for name, value in wanted if value not in offered]


def named_choices(wanted: Sequence[tuple[str, str]], product: Product) -> dict[str, str]:
    """Group -> value of a product's options that are wanted by (name, value): of the named group, or of the first
    that has the value."""
    found = {}
    for name, value in wanted:
        places = [(group, one) for group, values in product.options.items() for one in values if typed(one) == value]
        if places:
            group, chosen = min(places, key=lambda place: place[0].lower() != name)
            found[group] = chosen
    return found


def missing_words(instruction: str, product: Product, read: Collection[str] = ()) -> list[str]:
    """The words of an instruction, in order, that nothing known of a product has: its title, options, what was read.

    Options that the instruction names as such are left to ``options_offered``. Of a product's options only values count
    that the instruction has as a whole: of "multi 6" neither word is offered by "multi 3" and "6 pack". ``read``: the
    ``stem``s of the words of the pages that were read.
    """
    said = without_options(instruction)
    wanted, said = dict.fromkeys(words(said)), _spaced(said)
    offered = [value for values in product.options.values() for value in values if _spaced(value) in said]
    shown = {stem(word) for text in (product.title, *product.options, *offered) for word in words(text)}
    return [word for word in wanted if stem(word) not in shown and stem(word) not in read]


def share_missing(instruction: str, missing: Collection[str]) -> str:
    """How many of an instruction's words, its options left out, are among the missing ones: ``FEW`` to ``MOST``.

    Once its features were read, more than half of them are missing of every second wrong product that offers all
    options, and of hardly any right one (docs/log/2026-11-26-comparing-products.md). A model should not have to count.
    """
    wanted = len(dict.fromkeys(words(without_options(instruction))))
    return next(share for share, most in _SHARES.items() if len(missing) <= most * wanted)


def excerpt(text: str, wanted: frozenset[str]) -> str:
    """The passages of a text that share the most words with what is wanted, in their order."""
    tokens = text.split()
    chunks = [tokens[start : start + CHUNK_WORDS] for start in range(0, len(tokens), CHUNK_WORDS)]
    overlap = [len(wanted.intersection(words(" ".join(chunk)))) for chunk in chunks]
    best = sorted(range(len(chunks)), key=lambda position: (-overlap[position], position))[:EXCERPT_CHUNKS]
    return " ... ".join(" ".join(chunks[position]) for position in sorted(best) if overlap[position]) or "nothing"


def words(text: str) -> list[str]:
    """The lower-cased words of a text that carry meaning."""
    return [word for word in _WORD.findall(text.lower()) if word not in _COMMON_WORDS]


def stem(word: str) -> str:
    """A word without its plural's ending, so that "shirts" and "shirt" are one."""
    return word[:-1] if word.endswith("s") else word


def _spaced(text: str) -> str:
    """A text's words with a space on either side of each, so that a text is part of another by whole words only."""
    return f" {' '.join(_WORD.findall(text.lower()))} "
