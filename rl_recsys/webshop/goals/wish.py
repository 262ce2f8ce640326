"""What a request in free words asks for: a price limit, options, and the words that are searched for.

The recommender reads people's requests with it. Environments, shoppers and policies read WebShop's own words, with
``price_limit`` and ``named_options`` of rl_recsys/webshop/goals/goal.py, and no others: what a policy was trained on
must not change. ``Wish.instruction`` says what was understood in those words.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rl_recsys.webshop.data.catalog import Product
from rl_recsys.webshop.goals.goal import named_options, price_limit, typed, without_options

Option = tuple[str, str]  # (name, value) in lower case


@dataclass(frozen=True)
class Wish:
    """``words`` are searched for; ``limit`` is the highest price in dollars; ``options`` are to be chosen.

    ``instruction`` says all of it as WebShop's synthetic goals do.
    """

    words: str
    limit: float | None
    options: tuple[Option, ...]
    instruction: str
    unused: tuple[str, ...] = ()  # amounts in other currencies than dollars, which no limit is made of

    def to_mapping(self) -> dict:
        """Plain values for JSON: how a request was understood."""
        return {"words": self.words, "limit": self.limit, "options": dict(self.options), "unused": list(self.unused)}

    def __str__(self) -> str:
        limit = [] if self.limit is None else [f"at most ${self.limit:,.2f}"]
        unused = [f"{amount} is not in dollars and not used" for amount in self.unused]
        return "; ".join(
            [self.words or "anything", *(f"{name}: {value}" for name, value in self.options), *limit, *unused]
        )


def understand(request: str, search: Callable[[str], Iterable[Product]] | None = None) -> Wish:
    """A request of a person. One in WebShop's words, as synthetic goals are, is read as environments read it.

    ``search`` finds products for words. The values that they really offer tell what of "size: 9 for my father" is the
    value, and that "in black" names one.

    >>> wish = understand("Running shoes for women in white, size 9, under $50.")
    >>> wish.words, wish.limit, wish.options
    ('running shoes for women in white', 50.0, (('size', '9'),))
    >>> understand("mugs with size: 12 oz and color: white, not over 20 bucks").instruction
    'mugs with size: 12 oz, and color: white, and price lower than 20.00 dollars'
    """
    request = request.strip()
    if _in_webshops_words(request):
        return Wish(without_options(request), price_limit(request), tuple(named_options(request)), request)
    words, limit = _without_limits(_POLITE.sub("", " ".join(request.split())).rstrip(" .!?"))
    words, options = _without_named(words)
    wish = _wish(words, limit, options)
    unused = tuple(found[0] for found in _FOREIGN.finditer(" ".join(request.split())))
    if search is not None and wish.words:
        wish = _with_catalogue(wish, search(wish.words))
    said = wish.instruction if wish.limit is not None or wish.options else request
    return replace(wish, instruction=said, unused=unused)


def choices(wish: Wish, product: Product) -> dict[str, str]:
    """Group -> value of a product's options that a wish names, "size: 9", or has among its words, "black earbuds"."""
    found: dict[str, str] = {}
    for name, value in wish.options:
        groups = sorted(product.options.items(), key=lambda item: (name not in item[0].lower(), item[0]))
        for group, values in groups:
            if group not in found and (same := _same(value, values)) is not None:
                found[group] = same
                break
    said = f" {_parts(wish.words)} "
    for group, values in product.options.items():
        named = [one for one in values if _LETTERS.search(one) and f" {_parts(one)} " in said]
        if group not in found and named:
            found[group] = max(named, key=len)
    return found


def lacking(wish: Wish, product: Product) -> list[str]:
    """The options that a wish names and a product does not offer, as "name: value"."""
    chosen = choices(replace(wish, words=""), product).values()
    return [f"{name}: {value}" for name, value in wish.options if _same(value, chosen) is None]


def within_limit(wish: Wish, product: Product) -> bool | None:
    """Whether the price that a product's page shows is within a wish's limit.

    None where no limit or no price is said, and where a range of prices has the limit in it: which of them the options
    of a wish cost is not known.
    """
    prices = [float(number.replace(",", "")) for number in _PRICE.findall(product.price_text)]
    if wish.limit is None or not prices:
        return None
    return True if max(prices) <= wish.limit else False if min(prices) > wish.limit else None


# WebShop's words


def _in_webshops_words(request: str) -> bool:
    """Whether the rules for synthetic goals read all of a request that can be read."""
    limit, named = price_limit(request), named_options(request)
    if limit is None and not named:
        return False
    # The clause that goals end with is said by no person; before it stands what the catalogue has, whatever that is.
    texts = (
        [without_options(request)]
        if _CLAUSE.search(request) and named
        else [without_options(request), *dict(named).values()]
    )
    return all(_without_limits(text)[1] is None and not _without_named(text)[1] for text in texts)


def _wish(words: str, limit: float | None, options: Sequence[Option]) -> Wish:
    """A wish with its instruction in WebShop's words."""
    words = _GLUE.sub("", " ".join(typed(words).split()))
    words = words if any(unicodedata.category(char)[0] in "LNS" for char in words) else ""
    named = ", and ".join(f"{name}: {value}" for name, value in options)
    clause = "" if limit is None else f", and price lower than {limit:.2f} dollars"
    said = _COLON.sub(" ", words)  # it would name an option
    return Wish(words, limit, tuple(options), f"{said}{' with ' if named else ''}{named}{clause}")


# Price limits

_PRICE = re.compile(r"\d[\d,]*(?:\.\d+)?")
_NUMBER = r"(?:\d{1,3}(?:,\d{3}){1,2}|\d{1,9})(?:\.\d+)?"
_OTHER = r"(?:[€£¥₹]|(?:euros?|eur|gbp|quid|yen|jpy|cny|rupees?|inr|chf|francs?)\b)"
_FOREIGN = re.compile(rf"(?<!\w){_OTHER}\s*{_NUMBER}(?![\w%]|[.,]\d)|(?<![\w.,$/]){_NUMBER}\s*{_OTHER}", re.IGNORECASE)
_AMOUNT = re.compile(
    rf"(?:(?P<before>(?:\bus\s?)?\$\s*|\busd\s+)|(?<![\w.,$/])(?<![^\W\d]-))(?P<number>{_NUMBER})"
    rf"(?P<after>\s*(?:\$|us\s?dollars?\b|dollars?\b|bucks?\b|usd\b))?(?!\s*{_OTHER})(?![\w%'\"°/]|[.,]\d)",
    re.IGNORECASE,
)
_CHEAPER = re.compile(
    r"(?:\bcheaper than|\bless expensive than|\b(?:budget|maximum price|max price|price limit)(?: is| of)?:?)\s*$", re.I
)
_PRICED = re.compile(r"\b(?:price[ds]?|pricing|costs?|costing|pay|spend|budget)\b[\w\s]{0,20}$", re.I)
_BELOW = re.compile(
    r"(?:(?<!\bnot )(?<!\bno )\b(?:under|below|beneath|less than|lower than|within)"
    r"|(?:\bnot|\bno|\bnever|n't)(?: \w+)? (?:over|above|more than|higher than|exceed|exceeding)"
    r"|\bat (?:the )?(?:very )?most|\bat max(?:imum)?|\bup to|\bmax(?:imum)?(?: of)?|[<≤]=?)\s*:?\s*$",
    re.I,
)
_OR_LESS = re.compile(
    r"\s*(?:\(?(?:or|and) (?:less|lower|under|below|cheaper)\)?|max(?:imum)?|at (?:the )?most|tops)\b", re.I
)
_RANGE = re.compile(r"\s*(?:-|–|—|\bto\b|\band\b)\s*$", re.I)
_BETWEEN = re.compile(r"\b(?P<sure>between)\s*$|\bfrom\s*$", re.I)
# A number without a currency is a price only where no noun follows that it could count.
_ENDS = re.compile(
    r"\s*(?:$|[,;.!?)](?:\s|$)|(?:and|or|but|with|please|that|which|total|each|altogether|for|in(?=\s+[a-z]))\b)", re.I
)
_COUNTED = re.compile(  # what stands before a number that is no price
    r"\b(?:kids?|child(?:ren)?|toddlers?|bab(?:y|ies)|infants?|boys?|girls?|teens?|age[ds]?|years?|weigh(?:s|t|ing)?|"
    r"heights?|widths?|lengths?|depths?|sizes?|heels?|inseam|waist|packs?|counts?|quantity)"
    r"(?: (?:is|are|of|that|who))*\s*$",
    re.I,
)
# What leads to a limit and means nothing without it, as "with a price that is".
_LEAD = re.compile(
    r"(?:[,;(]|\b(?:and|but|with|that|which|price[ds]?|pricing|costs?|costing|is|are|be|should|must|can|will|the|a|its|my|at|"
    r"for|of|has|have|having|pay|spend|only|in|range|budget|it|want to|would|like to|i))\s*$",
    re.I,
)


def _without_limits(text: str) -> tuple[str, float | None]:
    """A text without the limits that it names, and the lowest of them."""
    limits, spans = [], []
    amounts = list(_AMOUNT.finditer(text))
    for place, amount in enumerate(amounts):
        start = _start_of_limit(text, amounts, place)
        if start is None:
            continue
        less = _OR_LESS.match(text, amount.end())
        spans.append((start, less.end() if less else amount.end()))
        limits.append(float(amount["number"].replace(",", "")))
    *before, rest = _around(text, spans)
    return " ".join([*map(_without_lead, before), rest]), min(filter(None, limits), default=None)


def _around(text: str, spans: Iterable[tuple[int, int]]) -> list[str]:
    """What stands before, between and after spans of a text, which are in order and may overlap."""
    pieces, end = [], 0
    for start, stop in spans:
        pieces.append(text[end : max(start, end)])
        end = stop
    return [*pieces, text[end:]]


def _start_of_limit(text: str, amounts: Sequence[re.Match], place: int) -> int | None:
    """Where the words begin that make an amount a limit; None where it is none."""
    amount = amounts[place]
    before, after = text[: amount.start()], text[amount.end() :]
    currency = bool(amount["before"] or amount["after"])
    if cheaper := _CHEAPER.search(before):
        return cheaper.start()
    if below := _BELOW.search(before):
        said = text[: below.start()]
        sure = currency or _PRICED.search(said) or (_ENDS.match(after) and not _COUNTED.search(said))
        return below.start() if sure else None
    if currency and _OR_LESS.match(after):
        return amount.start()
    if place and _RANGE.fullmatch(text, amounts[place - 1].end(), amount.start()):
        least = amounts[place - 1]
        between = _BETWEEN.search(text[: least.start()])
        priced = currency or least["before"] or least["after"]
        if priced or (
            between and between["sure"] and _ENDS.match(after) and not _COUNTED.search(text[: between.start()])
        ):
            return between.start() if between else least.start()
    return None


def _without_lead(text: str) -> str:
    while (shorter := _LEAD.sub("", text).rstrip()) != text.rstrip():
        text = shorter
    return text.rstrip()


# Options


def _with_catalogue(wish: Wish, products: Iterable[Product]) -> Wish:
    offered = Counter(
        (group.lower(), typed(value)) for one in products for group, values in one.options.items() for value in values
    )
    known: dict[str, Option] = {}  # by a value's parts the option that most products offer
    for (group, value), _ in offered.most_common():
        known.setdefault(_parts(value), (group, value))
    words, options = wish.words, {}
    for name, value in wish.options:
        found, rest = _longest_known(value, known)
        options[name] = found[1] if found else value
        words = f"{words} {rest}" if found else words
    for place in reversed(list(_IN.finditer(words))):
        found, rest = _longest_known(place["value"], known)
        if found and found[0] not in options:
            options[found[0]] = found[1]
            words = f"{words[: place.start()]} {rest}{words[place.end() :]}"
    return _wish(words, wish.limit, list(options.items()))


_WORD = r"[^\W\d_][\w'&-]*"
_NAME = rf"(?:(?!(?:with|and|in|of)\b){_WORD} ){{0,3}}{_WORD}"
_SEPARATOR = r"(?:\s*\b(?:with|and|in)\s+|\s*[,;]\s*(?:(?:and|with|in)\s+)?)(?:an? |the )?"
_OPTION = re.compile(
    rf"(?:{_SEPARATOR}(?P<name>{_NAME})|(?<![\w/.:])(?P<last>{_WORD}))\s*(?::(?!//)|=)\s*(?P<value>[^\s,;:](?:(?!:\s)[^,;])*?)"
    rf"(?=\s*(?:[,;]|\.\s|$)|\s+(?:and|with)\s+(?:an? |the )?{_NAME}\s*[:=]|\s+(?:and\s+)?(?:size|colou?r)\b)",
    re.I,
)
_LEAD_OF_OPTION = r"(?:\s*[,;]|\s*\b(?:in|with|and|a|an|of|the))*\s*"
_UNIT = r"(?:fl\.? oz|oz|ounces?|ft|feet|in(?!\s+[a-z])|inch(?:es)?|cm|mm|lbs?|ml|wide|narrow|w|m|d)\b"
_SIZE = re.compile(
    rf"{_LEAD_OF_OPTION}\b(?P<name>size)\s+(?:is |of |no\.? ?|number )?(?P<value>\d[\d./]*(?:\s?{_UNIT})?"
    r"|(?:x+|extra|\dx)?[ -]?(?:small|large)|medium|[xsml]{1,4}|\dxl|one size|queen|king|twin|full)(?![\w-])",
    re.I,
)
_COLOR = re.compile(
    rf"{_LEAD_OF_OPTION}\b(?P<name>colou?r)\s+(?:is )?(?P<value>(?!and\b|or\b|with\b|in\b|of\b){_WORD})", re.I
)
_IN = re.compile(r"\bin\s+(?:an? |the )?(?P<value>[^,;.]+)", re.I)
_POLITE = re.compile(r"[,\s]*\b(?:please|thanks|thank you)\b[\s.!]*$", re.I)
_GLUE = re.compile(r"^[\s,;.]+|(?:\s*(?:[,;]|\b(?:and|with)))+\s*$", re.I)  # what joined something that is gone
_COLON = re.compile(r"\s*:(?=\s|$)")
_CLAUSE = re.compile(r", and price lower than \d+\.\d\d dollars$")
_PART = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+")
_LETTERS = re.compile(r"[^\W\d_]{3}")


def _without_named(text: str) -> tuple[str, list[Option]]:
    """A text without the options that it names, and these: "size: 9", "size 9", "color white"."""
    options: dict[str, str] = {}
    for pattern in (_OPTION, _SIZE, _COLOR):
        spans = []
        for found in pattern.finditer(text):
            groups = found.groupdict()
            name = (groups.get("name") or groups.get("last")).lower()
            name = name.replace("colour", "color").replace("flavour", "flavor")
            value = typed(found["value"]).rstrip(".")
            if value and name not in options:
                options[name] = value
                spans.append(found.span())
        text = " ".join(_around(text, spans))
    return text, list(options.items())


def _parts(text: str) -> str:
    """Words and numbers of a value, so that "12oz" and "12 oz.", "X-Large" and "x large" are one."""
    return " ".join(_PART.findall(text.lower()))


def _same(wanted: str, values: Iterable[str]) -> str | None:
    """The value that is the wanted one, else the only one that begins with it ("9" of "9 wide"); None without any."""
    parts = _parts(wanted)
    if not parts:
        return next((value for value in values if typed(value) == wanted), None)
    begin = []
    for value in values:
        if _parts(value) == parts:
            return value
        if f"{_parts(value)} ".startswith(f"{parts} "):
            begin.append(value)
    return begin[0] if len(begin) == 1 else None


def _longest_known(text: str, known: Mapping[str, Option]) -> tuple[Option | None, str]:
    """The option whose value is the longest beginning of a text, in whole words, and the rest of the text."""
    said = text.split()
    for count in range(len(said), 0, -1):
        if found := known.get(_parts(" ".join(said[:count]))):
            return found, " ".join(said[count:])
    return None, ""
