"""How people ask for a thing: WebShop's template, and words of their own for prices, sizes and counts.

The market's goals are said in these. Nothing reads them back: what is meant stands beside the words, in the goal.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()

#: Words of a value on a page -> the same in other spellings.
_ABBREVIATED = {
    "xl": ("extra large",),
    "xxl": ("double extra large", "2xl"),
    "small": ("s",),
    "medium": ("mid-sized", "m"),
    "large": ("l",),
    "gray": ("grey",),
    "ft": ("feet", "foot"),
    "ml": ("milliliters", "millilitres"),
    "gb": ("gigabytes", "gigs"),
    "pack": ("pieces",),
    "unscented": ("without any scent",),
}
_PIECES = re.compile(r"\d+|[a-z]+|[^\da-z]+")

_OPENINGS = (
    "I need", "I am after", "looking for", "hi, do you have", "can you find me", "please get me", "my sister wants",
    "we have run out of", "time for new", "my old ones broke, so", "I would love", "for my mother:", "show me",
    "someone recommended", "it's a gift:",
)  # fmt: skip
_ABOUT = ("{kind} that are {said}", "{said} {kind}", "{kind}, {said}", "{kind} (must be {said})", "{kind} with {said}")
_USES = ("for {use}", "good for {use}", "to use for {use}")
_CLOSINGS = ("", "", "", "thanks", "please", "nothing else will do", "I am in a hurry")
_DIGITS = (
    "under ${0}", "below {0} dollars", "for less than ${0}", "{0} bucks at most", "not over ${0}", "my budget is ${0}",
)  # fmt: skip
_WORDS = ("under {0} dollars", "for less than {0} dollars", "not more than {0} dollars", "{0} bucks tops")
_TEMPLATES = ("I am looking for {said} {kind}", "I need {kind} with {said}", "Find me {said} {kind}")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: a kind of thing with attributes, option values by name, and a price limit in whole dollars."""

    kind: str
    attributes: tuple[str, ...]
    options: Mapping[str, str]
    limit: int | None
    use: str


def in_template(wish: Wish, rng: random.Random) -> str:
    """A wish in WebShop's template: options by their names, the price limit at the end."""
    text = rng.choice(_TEMPLATES).format(said=" and ".join(wish.attributes), kind=wish.kind)
    named = ", and ".join(f"{name}: {value}" for name, value in sorted(wish.options.items()))
    limit = "" if wish.limit is None else f", and price lower than {wish.limit:.2f} dollars"
    return f"{text} with {named}{limit}"


def in_free_words(wish: Wish, rng: random.Random, *, respelled: float, price_in_words: bool) -> str:
    """A wish as a person may say it: no names of options, values at times in another spelling, a price as it comes.

    ``respelled``: the share of the option values that are spelled otherwise than on the page, where there is a way.
    """
    about = rng.choice(_ABOUT).format(kind=wish.kind, said=" and ".join(wish.attributes))
    parts = [value_in_words(name, value, rng, respelled=respelled) for name, value in sorted(wish.options.items())]
    if rng.random() < 0.4:
        parts.append(rng.choice(_USES).format(use=wish.use))
    if wish.limit is not None:
        amount = number_in_words(wish.limit) if price_in_words else str(wish.limit)
        parts.append(rng.choice(_WORDS if price_in_words else _DIGITS).format(amount))
    rng.shuffle(parts)
    closing = rng.choice(_CLOSINGS)
    return ", ".join(filter(None, [f"{rng.choice(_OPENINGS)} {about} {parts[0]}", *parts[1:], closing]))


def value_in_words(name: str, value: str, rng: random.Random, *, respelled: float) -> str:
    """An option's value as people say it, without the option's name but for a bare number: "size 9", "in navy"."""
    said = respelling(value, rng) if rng.random() < respelled else value
    if value.isdigit():
        return f"{name} {said}"
    return f"in {said}" if name == "color" else f"{said} one" if value in ("small", "medium", "large") else said


def respelling(value: str, rng: random.Random) -> str:
    """A value in another spelling: "9" as "nine", "64gb" as "sixty-four gigs", "16x18" as "16 by 18", "xl" in full."""
    said = []
    for piece in _PIECES.findall(value):
        if piece.isdigit():
            said.append(number_in_words(int(piece)) if "x" not in value else piece)
        elif piece == "x" and re.search(r"\dx\d", value):
            said.append("by")
        elif piece.strip():
            said.append(rng.choice(_ABBREVIATED.get(piece, (piece,))))
    return " ".join(said)


def number_in_words(number: int) -> str:
    """A whole number below 10,000 in English words.

    >>> number_in_words(50), number_in_words(128), number_in_words(2040)
    ('fifty', 'one hundred and twenty-eight', 'two thousand and forty')
    """
    if not 0 <= number < 10_000:
        raise ValueError(f"{number} is not from 0 to 9,999")
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = number % size
            joined = " and " if rest < 100 else " "
            more = f"{joined}{number_in_words(rest)}" if rest else ""
            return f"{number_in_words(number // size)} {name}{more}"
    if number < len(_ONES):
        return _ONES[number]
    ones = f"-{_ONES[number % 10]}" if number % 10 else ""
    return f"{_TENS[number // 10 - 2]}{ones}"
