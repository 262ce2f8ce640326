"""What a request in free words asks for: lowest and highest price, options, and the words that are searched for.

The recommender reads people's requests with it. Environments, shoppers and policies read WebShop's own words, with
``price_limit`` and ``named_options`` of rl_recsys/webshop/goals/goal.py, and no others: what a policy was trained on
must not change. ``Wish.instruction`` says what was understood in those words, but for the lowest price: they have none.
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
    """``words`` are searched for; ``options`` are to be chosen.

    ``floor`` and ``limit`` are the lowest and the highest price, in dollars, both included. ``instruction`` says all
    but the floor as WebShop's synthetic goals do.
    """

    words: str
    limit: float | None
    options: tuple[Option, ...]
    instruction: str
    floor: float | None = None
    unused: tuple[str, ...] = ()  # amounts in other currencies than dollars or in no known spelling: no prices

    def to_mapping(self) -> dict:
        """Plain values for JSON: how a request was understood."""
        prices = {"floor": self.floor, "limit": self.limit}
        return {"words": self.words, **prices, "options": dict(self.options), "unused": list(self.unused)}

    def __str__(self) -> str:
        options = [f"{name}: {value}" for name, value in self.options]
        floor = [] if self.floor is None else [f"at least ${self.floor:,.2f}"]
        limit = [] if self.limit is None else [f"at most ${self.limit:,.2f}"]
        unused = [f"{amount} is {_why_unused(amount)} and not used" for amount in self.unused]
        return "; ".join([self.words or "anything", *options, *floor, *limit, *unused])


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
    said, wish = request, _read(request)
    for _ in range(_READINGS):  # what stood apart may be a price or an option where something between was taken
        if wish.instruction == said:
            break
        said, before = wish.instruction, wish
        wish = _read(said)
        unused = tuple(dict.fromkeys((*before.unused, *wish.unused)))
        wish = replace(wish, floor=_most([before.floor, wish.floor]), unused=unused)
    if search is not None and wish.words and not _in_webshops_words(request):
        wish = _with_catalogue(wish, search(wish.words))
    return wish


def narrowed(wish: Wish, options: Mapping[str, str], *, floor: float | None, limit: float | None) -> Wish:
    """A wish that asks for more than its words do: for options, a lowest and a highest price.

    Where both speak of the same option, ``options`` count; of two prices the narrower.

    >>> narrowed(understand("mugs under $20"), {"Color": "white"}, floor=5, limit=None).instruction
    'mugs with color: white, and price lower than 20.00 dollars'
    """
    also = {name.strip().lower(): value.strip().lower() for name, value in options.items()}
    every = [*((name, value) for name, value in wish.options if name not in also), *also.items()]
    lowest = _least([wish.limit, limit])
    narrower = _wish(wish.words, lowest, every)
    return replace(narrower, floor=_most([wish.floor, floor]), unused=wish.unused)


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
    prices = _prices(product)
    if wish.limit is None or not prices:
        return None
    return True if max(prices) <= wish.limit else False if min(prices) > wish.limit else None


def reaches_floor(wish: Wish, product: Product) -> bool | None:
    """Whether the price that a product's page shows is no lower than a wish's floor; None as in ``within_limit``."""
    prices = _prices(product)
    if wish.floor is None or not prices:
        return None
    return True if min(prices) >= wish.floor else False if max(prices) < wish.floor else None


def _prices(product: Product) -> list[float]:
    return [float(number.replace(",", "")) for number in _PRICE.findall(product.price_text)]


def _read(request: str) -> Wish:
    """What a request says by itself, whatever the shop has."""
    if _in_webshops_words(request):
        unused = tuple(amount[0] for amount in _AMOUNT.finditer(request) if _is_unused(amount))
        return Wish(
            without_options(request), price_limit(request), tuple(named_options(request)), request, unused=unused
        )
    text, prices = _without_prices(_POLITE.sub("", " ".join(request.split())).rstrip(" .!?"))
    words, options = _without_named(text)
    wish = _wish(words, prices.limit, options)
    said = wish.instruction if prices.named or options else request
    return replace(wish, instruction=said, floor=prices.floor, unused=prices.unused)


# WebShop's words


def _in_webshops_words(request: str) -> bool:
    """Whether the rules for synthetic goals read all of a request that can be read."""
    limit, named = price_limit(request), named_options(request)
    if limit is None and not named:
        return False
    values = dict(named).values()
    if _without_prices(without_options(request))[1].named or _without_named(without_options(request))[1]:
        return False
    if _CLAUSE.search(request) and named:
        # The clause that goals end with is said by no person; before it stands what the catalogue has, whatever that
        # is, but no option costs anything.
        return not any(_has_price(value) for value in values)
    return not any(_without_prices(value)[1].named or _without_named(value)[1] for value in values)


def _has_price(value: str) -> bool:
    """Whether an option's value has a price with a currency in it."""
    return _without_prices(value)[1].named and any(map(_has_currency, _AMOUNT.finditer(value)))


def _wish(words: str, limit: float | None, options: Sequence[Option]) -> Wish:
    """A wish with its instruction in WebShop's words."""
    words = _tidy(_COLON.sub(" ", typed(words)))  # a colon would name an option
    words = words if any(unicodedata.category(char)[0] in "LNS" for char in words) else ""
    named = ", and ".join(f"{name}: {value}" for name, value in options)
    clause = "" if limit is None else f", and price lower than {limit:.2f} dollars"
    return Wish(words, limit, tuple(options), f"{words}{' with ' if named else ''}{named}{clause}")


def _tidy(words: str) -> str:
    """Words without what joined, or stood around, something that is gone."""
    kept, opened = list(words), []
    for place, sign in enumerate(words):
        if sign == "(":
            opened.append(place)
        elif sign == ")" and opened:
            opened.pop()
        elif sign == ")":
            kept[place] = " "
    for place in opened:
        kept[place] = " "
    words = _EMPTY.sub(" ", "".join(kept))
    words = _REPEATED.sub(r"\1", _APART.sub(r"\1", " ".join(words.split())))
    return _GLUE.sub("", words)


# Prices

_READINGS = 8  # of a request, at most
_NEAR = 100  # characters before an amount, among which is what makes a price of it
_PRICE = re.compile(r"\d[\d,]*(?:\.\d+)?")
_NUMBER = r"(?:(?:\d{1,3}(?:,\d{3}){1,2}|\d{1,9})(?:\.\d+)?|\.\d+)"
_SCALES = {"k": 1_000, "thousand": 1_000, "million": 1_000_000}
_OTHERS = tuple("euros euro eur gbp quid yen jpy cny rmb rupees rupee inr chf francs franc cad aud nzd".split())
_CURRENCIES = ("dollars", "bucks", "usd", *_OTHERS)
_OTHER = rf"(?:[€£¥₹₩₽]|(?<![^\W\d])(?:{'|'.join(_OTHERS)})\b)"
_OTHER_DOLLARS = r"(?<![^\W_])(?:ca?|au?|nz|hk|s)\$"
_DOLLARS = r"(?:\bus\s?)?\$|\busd\b"
_AFTER = r"\$|us\s?dollars?\b|dollars?\b|bucks?\b|usd\b"
# A hyphen after a letter is part of a name, "wd-40", but for "20 dollars-40 dollars" and "$20k-30k".
_NOT_IN_A_NAME = rf"(?<![\w.,$/])(?:(?<![^\W\d]-)|(?<=\dk-)|{'|'.join(f'(?<={one}-)' for one in _CURRENCIES)})"
_MINUS = r"(?<![^\s(])(?<!\d\s)[-−]"
_ENDS_A_NUMBER = r"(?![\w%'\"°/]|[.,]\d)"
# With a currency, but no number that is read: "$-5", "$1e2", "$20/pack", "1e2 dollars".
_UNREAD = (
    rf"(?:{_MINUS})?(?:{_OTHER}|{_OTHER_DOLLARS}|{_DOLLARS})\s*[-−+]?\.?\d\S*?(?=[.,;:!?)\]]*(?:\s|$))"
    rf"|(?:{_MINUS}|(?<![\w.,$/-]))\d[\w.,]*\s*(?:{_AFTER}|{_OTHER}){_ENDS_A_NUMBER}(?!\s*\d)"
)
_AMOUNT = re.compile(
    rf"(?:(?P<foreign>(?:{_OTHER}|{_OTHER_DOLLARS})\s*)|(?P<before>(?:\bus\s?)?\$\s*|\busd\s+)"
    rf"|{_NOT_IN_A_NAME})(?P<number>{_NUMBER})(?:(?P<scale>k|\s+(?:thousand|million))(?!\w))?"
    rf"(?:\s*(?:(?P<after>{_AFTER})|(?P<foreign_after>{_OTHER})))?"
    rf"{_ENDS_A_NUMBER}|(?P<unread>{_UNREAD})",
    re.IGNORECASE,
)
_LESS = r"(?:under|below|beneath|less than|lower than)"
_MORE = r"(?:over|above|more than|higher than|greater than|exceed(?:ing)?|upwards? of)"
_NOT = (
    r"(?:\b(?:not|no|never|nothing|none|without|cannot|dont|cant|wont|shouldnt)|\b\w*n['’]t)"
    r"(?: (?:be|is|are|to|any|anything|it|costs?|costing|priced?|go(?:es|ing)?|pay(?:ing)?|spend(?:ing)?|want|wish|like"
    r"|much))*"
)
_NOT_CHEAPER = re.compile(rf"{_NOT} (?:{_LESS}|cheaper than|less expensive than)\s*:?\s*$", re.I)
_NOT_DEARER = re.compile(rf"{_NOT} (?:{_MORE}|pricier than|more expensive than)\s*:?\s*$", re.I)
_CHEAPER = re.compile(
    r"(?:\bcheaper than|\bless expensive than|\b(?:budget|maximum price|max price|price limit)(?: is| of)?:?)\s*$", re.I
)
_DEARER = re.compile(
    r"(?:\bpricier than|\bmore expensive than|\b(?:minimum price|min price|lowest price)(?: is| of)?:?)\s*$", re.I
)
_PRICED = re.compile(r"\b(?:price[ds]?|pricing|costs?|costing|pay|spend|budget)\b[\w\s]{0,20}$", re.I)
_BELOW = re.compile(
    rf"(?:\b{_LESS}|\bwithin|\bat (?:the )?(?:very )?most|\bat max(?:imum)?|\bup to|\bmax(?:imum)?(?: of)?|[<≤]=?)"
    r"\s*:?\s*$",
    re.I,
)
_ABOVE = re.compile(
    rf"(?:\b{_MORE}|\bat (?:the )?(?:very )?least|\bat min(?:imum)?|\bmin(?:imum)?(?: of)?"
    r"|\bstarting (?:at|from)|[>≥]=?)\s*:?\s*$",
    re.I,
)
_OR_LESS = re.compile(
    r"\s*(?:\(?(?:or|and) (?:less|lower|under|below|cheaper)\)?|max(?:imum)?|at (?:the )?(?:very )?most|tops)(?!\w)",
    re.I,
)
_OR_MORE = re.compile(
    r"\s*(?:\(?(?:or|and) (?:more|higher|over|above|up|upwards?|pricier)\)?|min(?:imum)?"
    r"|at (?:the )?(?:very )?least|\+)(?!\w)",
    re.I,
)
_RANGE = re.compile(r"\s*(?:-|–|—|\bto\b|\band\b)\s*$", re.I)
_BETWEEN = re.compile(r"\b(?P<sure>between)\s*$|\b(?:from|price range(?: is| of)?:?)\s*$", re.I)
_FROM = re.compile(r"\bfrom\s*$", re.I)
_BUT = re.compile(r"\s*,?\s*(?:and|but)?\s*", re.I)
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
# What leads to a price and means nothing without it, as "with a price that is".
_LEAD = re.compile(
    r"(?:[,;:(]|[-–—](?<=\s.)|\b(?:and|but|with|that|which|price[ds]?|pricing|costs?|costing|is|are|be|should|must|the|its|my|at|"
    r"for|of|has|have|having|pay|spend|only|budget|it|want to|would|like to|i"
    r"|(?:that|which|it|i|we|you|price|cost) (?:can|will)|(?:at|for|with|of|on|has|have|having) an?"
    r"|(?:in )?(?:an? |the |my )?(?:price|budget) range|in (?:an? |the |my )?(?:range|budget)))\s*$",
    re.I,
)


@dataclass(frozen=True)
class _Prices:
    """What a text says of prices. ``named``: whether a price is named, in whatever currency."""

    floor: float | None
    limit: float | None
    named: bool
    unused: tuple[str, ...]


@dataclass(frozen=True)
class _Named:
    """A price, or two, that a text names from ``start`` to ``end``; ``amounts`` are those of the text that it takes."""

    start: int
    end: int
    floor: re.Match | None = None
    limit: re.Match | None = None

    @property
    def amounts(self) -> list[re.Match]:
        return [amount for amount in (self.floor, self.limit) if amount is not None]


def _without_prices(text: str) -> tuple[str, _Prices]:
    """A text without the prices that it names, and these: of several floors the highest, of limits the lowest."""
    amounts = list(_AMOUNT.finditer(text))
    named: list[_Named] = []
    unused: list[str] = []
    floors, limits = [], []
    place = 0
    while place < len(amounts):
        found = _range(text, amounts, place) or _bound(text, amounts, place)
        if found is None:
            if _is_unused(amounts[place]):
                unused.append(amounts[place][0])
            place += 1
            continue
        taken = found.amounts
        place += len(taken)
        named.append(found)
        if any(map(_is_unused, taken)):
            unused.append(text[taken[0].start() : taken[-1].end()])
            continue
        floor, limit = found.floor and _dollars(found.floor), found.limit and _dollars(found.limit)
        if floor is not None and limit is not None:
            if floor < limit and _shares_its_scale(found.floor, found.limit):
                floor *= _scale(found.limit)
            floor, limit = sorted((floor, limit))
        floors.append(floor)
        limits.append(limit)
    *before, rest = _around(text, [(one.start, one.end) for one in named])
    words = " ".join([*map(_without_lead, before), rest])
    return words, _Prices(_most(floors), _least(limits), bool(named), tuple(unused))


def _most(prices: Iterable[float | None]) -> float | None:
    return max((price for price in prices if price is not None), default=None)


def _least(prices: Iterable[float | None]) -> float | None:
    return min((price for price in prices if price is not None), default=None)


def _dollars(amount: re.Match) -> float:
    return round(float(amount["number"].replace(",", "")) * _scale(amount), 2)


def _scale(amount: re.Match) -> int:
    return _SCALES[amount["scale"].strip().lower()] if amount["scale"] else 1


def _shares_its_scale(least: re.Match, most: re.Match) -> bool:
    """Whether "$20-30k" and "20 to 30k dollars" mean thousands twice; "$20-$30k" does not."""
    if least["scale"] or not most["scale"] or (_has_currency(least) and _has_currency(most)):
        return False
    return _dollars(least) < _dollars(most) / _scale(most)


def _is_unused(amount: re.Match) -> bool:
    """Whether it is an amount of money of which no price is made."""
    return bool(amount["foreign"] or amount["foreign_after"] or amount["unread"])


def _why_unused(amount: str) -> str:
    unread = any(one["unread"] for one in _AMOUNT.finditer(amount))
    return "not an amount that is understood" if unread else "not in dollars"


def _has_currency(amount: re.Match) -> bool:
    return bool(amount["before"] or amount["after"]) or _is_unused(amount)


def _range(text: str, amounts: Sequence[re.Match], place: int) -> _Named | None:
    """The lowest and the highest price that two amounts name, "between $20 and $40"; None where they do not."""
    if place + 1 == len(amounts):
        return None
    least, most = amounts[place : place + 2]
    if not _RANGE.fullmatch(text, least.end(), most.start()):
        return None
    near = max(0, least.start() - _NEAR), least.start()
    between = _BETWEEN.search(text, *near)
    sure = _has_currency(least) or _has_currency(most)
    if not sure and between and between["sure"] and not (least["scale"] or most["scale"]):
        sure = _ENDS.match(text, most.end()) and not _COUNTED.search(text, near[0], between.start())
    if not sure:
        return None
    lead = between or _CHEAPER.search(text, *near)
    return _Named(lead.start() if lead else least.start(), most.end(), least, most)


def _bound(text: str, amounts: Sequence[re.Match], place: int) -> _Named | None:
    """The lowest or the highest price that an amount is; None where it is neither."""
    amount = amounts[place]
    near = max(0, amount.start() - _NEAR), amount.start()
    less, more = _OR_LESS.match(text, amount.end()), _OR_MORE.match(text, amount.end())
    end = (less or more or amount).end()

    def priced(words: re.Match) -> bool:
        return _has_currency(amount) or bool(_PRICED.search(text, near[0], words.start()))

    def uncounted(words: re.Match) -> bool:  # "4k" is of a screen
        return (
            not amount["scale"]
            and bool(_ENDS.match(text, amount.end()))
            and not _COUNTED.search(text, near[0], words.start())
        )

    if (words := _NOT_CHEAPER.search(text, *near)) and priced(words):
        return _Named(words.start(), end, floor=amount)
    if (words := _NOT_DEARER.search(text, *near)) and (priced(words) or uncounted(words)):
        return _Named(words.start(), end, limit=amount)
    if words:
        return None
    if words := _CHEAPER.search(text, *near):
        return _Named(words.start(), end, limit=amount)
    if words := _DEARER.search(text, *near):
        return _Named(words.start(), end, floor=amount)
    if words := _BELOW.search(text, *near):
        return _Named(words.start(), end, limit=amount) if priced(words) or uncounted(words) else None
    if words := _ABOVE.search(text, *near):  # "for women over 50" is no price
        sure = priced(words) or _has_limit_behind(text, amounts, place)
        return _Named(words.start(), end, floor=amount) if sure else None
    if _has_currency(amount) and less:
        return _Named(amount.start(), end, limit=amount)
    if _has_currency(amount) and more:
        words = _FROM.search(text, *near)
        return _Named(words.start() if words else amount.start(), end, floor=amount)
    return None


def _has_limit_behind(text: str, amounts: Sequence[re.Match], place: int) -> bool:
    """Whether a limit with a currency follows at once, as in "over 20 but under 40 dollars"."""
    if place + 1 == len(amounts) or not _has_currency(amounts[place + 1]):
        return False
    start, end = amounts[place].end(), amounts[place + 1].start()
    below = _BELOW.search(text, start, end)
    return bool(below and _BUT.fullmatch(text, start, below.start()))


def _around(text: str, spans: Iterable[tuple[int, int]]) -> list[str]:
    """What stands before, between and after spans of a text, which are in order and may overlap."""
    pieces, end = [], 0
    for start, stop in spans:
        pieces.append(text[end : max(start, end)])
        end = stop
    return [*pieces, text[end:]]


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
    found = _wish(words, wish.limit, list(options.items()))
    return replace(found, floor=wish.floor, unused=wish.unused)


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
_GLUE = re.compile(  # at the ends
    r"^(?:[\s,;.:!?|]|[-–—](?=\s|$)|(?:and|but|or|with)\s)+|(?:\s*(?:[,;:|!?]|\.(?!\w)|(?<=\s)[-–—&/]|\b(?:and|but|or|with)\b))+\s*$",
    re.I,
)
_EMPTY = re.compile(r"\([\s,;:.]*\)")
_APART = re.compile(r"\s+([,;)])|(?<=\()\s+()")
_REPEATED = re.compile(r"([,;])(?:\s*[,;])+")
_COLON = re.compile(r"\s*:+(?=\s|$)")
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
