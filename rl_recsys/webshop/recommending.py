"""Requests in words, and what is recommended for them: what sessions bought, and what the search finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from rl_recsys.core.encoding import DecisionEncoder
from rl_recsys.errors import UserError
from rl_recsys.storage.files import read_lines
from rl_recsys.webshop.data.catalog import Product
from rl_recsys.webshop.goals.goal import Goal, typed
from rl_recsys.webshop.goals.wish import Wish, choices, lacking, narrowed, reaches_floor, understand, within_limit
from rl_recsys.webshop.observe.decisions import ChoiceKind, ChoiceSession
from rl_recsys.webshop.observe.instruction_features import stem, words
from rl_recsys.webshop.play.page import BUY_NOW, NEXT
from rl_recsys.webshop.play.session import PRODUCTS_PER_PAGE, StepResult
from rl_recsys.webshop.shop import Shop

Status = Literal["ok", "empty", "too long", "nothing found"]
ABOVE_LIMIT, BELOW_FLOOR = "cost more than the limit", "cost less than the floor"
NO_WORD = "share no word with the request"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A product with the options to choose.

    ``price`` is what its page shows, ``within_limit`` and ``reaches_floor`` whether that is no more than the request's
    limit and no less than its floor, None where it cannot be said. ``share`` of the sessions, in [0, 1], ``source``
    "bought" it so; one that only the search found has 0.
    ``meets`` and ``lacks`` are the options and the words of the request that the product has, and has not.
    """

    asin: str
    title: str
    price: str
    options: dict[str, str]
    share: float
    within_limit: bool | None
    reaches_floor: bool | None
    source: Literal["bought", "search"]
    meets: tuple[str, ...]
    lacks: tuple[str, ...]

    @property
    def misses(self) -> str | None:
        """Why its price keeps it out of a list; None where it does not."""
        return _missed(self.within_limit, self.reaches_floor)

    @classmethod
    def of(cls, product: Product, wish: Wish, options: dict[str, str], share: float) -> Recommendation:
        """A product for a wish; ``share`` of the sessions bought it."""
        missing = lacking(wish, product)
        known = {stem(word) for text in _texts(product) for word in words(text)}
        said = list(dict.fromkeys(words(wish.words)))
        named = [f"{name}: {value}" for name, value in wish.options]
        return cls(
            asin=product.asin,
            title=product.title,
            price=product.price_text,
            options=options,
            share=share,
            within_limit=within_limit(wish, product),
            reaches_floor=reaches_floor(wish, product),
            source="bought" if share else "search",
            meets=(*(one for one in named if one not in missing), *(word for word in said if stem(word) in known)),
            lacks=(*missing, *(word for word in said if stem(word) not in known)),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request came to. ``wish`` is how it was understood, None where it was not read.

    Status "empty": it names nothing to search for. "too long": its ``tokens``, two markers among them, are more than
    the ``most`` that the policy reads. "nothing found": no product is left. ``left_out``: why how many were not taken.
    """

    request: str
    status: Status
    wish: Wish | None = None
    products: tuple[Recommendation, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)
    tokens: int | None = None
    most: int | None = None

    @property
    def choices(self) -> tuple[tuple[str, dict[str, str]], ...]:
        """Product and options of what is recommended, best first."""
        return tuple((one.asin, one.options) for one in self.products)

    @property
    def goal(self) -> Goal | None:
        """What to shop for, None where that cannot be."""
        return Goal.from_words(self.wish.instruction) if self.status == "ok" else None

    def to_mapping(self) -> dict:
        """Plain values for JSON."""
        understood = None if self.wish is None else self.wish.to_mapping()
        products = [asdict(one) for one in self.products]
        found = {"request": self.request, "status": self.status, "understood": understood, "products": products}
        length = {} if self.tokens is None else {"tokens": self.tokens, "most_tokens": self.most}
        return found | {"left_out": self.left_out} | length


def search_only(shop: Shop, wish: Wish) -> list[Recommendation]:
    """What the search finds, in its order, each with the options that the wish names: what to compare with."""
    return [Recommendation.of(product, wish, choices(wish, product), 0.0) for product in _searched(shop, wish)]


def read_requests(requests: Sequence[str], file: Path | None = None) -> list[str]:
    """``requests`` and, after them, those of a text file, one a line, also an empty one.

    Raises ``UserError`` where the file cannot be read, and where nothing is asked for.
    """
    lines = [] if file is None else read_lines(file, "name a text file with a request a line")
    asked = [*requests, *lines]
    if not any(map(str.strip, asked)):
        raise UserError("nothing is asked for: give --requests, --requests-file or --goals")
    return asked


class RequestDesk:
    """Requests in free words about a shop's products; see ``rl_recsys.core.task.RequestDesk``."""

    def __init__(self, shop: Shop):
        self._shop = shop

    def read(
        self,
        request: str,
        encoder: DecisionEncoder,
        *,
        options: Mapping[str, str] | None = None,
        floor: float | None = None,
        limit: float | None = None,
    ) -> Answer:
        """A request as it is understood, with the status "ok" where it can be shopped for.

        ``options``, ``floor`` and ``limit``, in dollars, are meant as well, beside what its words say.
        """
        if not encoder.fits(request):
            return Answer(request, "too long", tokens=encoder.tokens(request), most=encoder.room)
        wish = understand(request, lambda said: map(self._shop.product, self._shop.search(typed(said))))
        if options or floor is not None or limit is not None:
            wish = narrowed(wish, options or {}, floor=floor, limit=limit)
        if not wish.words:
            return Answer(request, "empty", wish)
        if not encoder.fits(wish.instruction):  # in WebShop's words it may be longer
            return Answer(request, "too long", wish, tokens=encoder.tokens(wish.instruction), most=encoder.room)
        return Answer(request, "ok", wish)

    def choice(self, session: ChoiceSession, result: StepResult) -> tuple[str, dict[str, str]] | None:
        """Product and options, or nothing."""
        played = session.session
        return (played.product.asin, dict(played.options)) if result.done else None

    def item(self, choice: tuple[str, dict[str, str]]) -> str:
        """The asin."""
        return choice[0]

    def take(self, session: ChoiceSession, choice: tuple[str, dict[str, str]]) -> list[int] | None:
        """Searches, opens the product, chooses the options, buys; only what the decisions on the way offer is taken."""
        asin, options = choice
        searches = (one for one in session.decision.choices if one.kind is ChoiceKind.SEARCH)
        query = next((one for one in searches if asin in self._shop.search(one.text)), None)
        if query is None:
            return None
        pages = self._shop.search(query.text).index(asin) // PRODUCTS_PER_PAGE
        clicks = [*[NEXT] * pages, asin, *options.values(), BUY_NOW]
        taken = []
        for action in (query.action, *(f"click[{label.lower()}]" for label in clicks)):
            actions = [one.action for one in session.decision.choices]
            if action not in actions or session.truncated:
                return None
            taken.append(actions.index(action))
            session.choose(taken[-1])
        return taken if session.done else None

    def answer(self, understood: Answer, choices: Sequence[tuple[str, dict[str, str]] | None], top: int) -> Answer:
        """At most ``top`` different products, whose prices are not known to be above the limit or below the floor."""
        return _filled(self._shop, understood, choices, top)


def _filled(shop: Shop, answer: Answer, purchases: Sequence[tuple[str, dict[str, str]] | None], top: int) -> Answer:
    wish = answer.wish
    counts: Counter[tuple[str, tuple]] = Counter()
    for asin, options in filter(None, purchases):
        # Options that the request names are chosen, whatever the policy left open or took instead.
        counts[asin, tuple(sorted((options | choices(wish, shop.product(asin))).items()))] += 1
    found: dict[str, Recommendation] = {}
    for (asin, options), count in counts.most_common():  # equal ones in the order in which they were met
        # Of a product that was bought with several choices of options the most frequent.
        one = Recommendation.of(shop.product(asin), wish, dict(options), count / len(purchases))
        found.setdefault(asin, one)
    bought = {asin for asin, _ in counts}
    left_out: Counter[str] = Counter()
    for asin in [asin for asin, one in found.items() if one.misses]:
        left_out[found.pop(asin).misses] += 1
    rest: list[Product] = []
    for product in _searched(shop, wish):
        missed = _missed(within_limit(wish, product), reaches_floor(wish, product))
        if missed:
            left_out[missed] += product.asin not in bought
        elif product.asin not in found and not _shares_a_word(product, wish):
            left_out[NO_WORD] += 1
        elif product.asin not in found:
            rest.append(product)
    listed = rest[: max(0, top - len(found))]  # what each meets and lacks is told of no more than are wanted
    searched = (Recommendation.of(product, wish, choices(wish, product), 0.0) for product in listed)
    products = (*found.values(), *searched)[:top]
    return Answer(answer.request, "ok" if products else "nothing found", wish, products, dict(left_out))


def _searched(shop: Shop, wish: Wish) -> list[Product]:
    """What the search finds, in its order."""
    found = dict.fromkeys(asin for query in shop.search_candidates(wish.instruction)[:1] for asin in shop.search(query))
    return list(map(shop.product, found))


def _missed(within: bool | None, reached: bool | None) -> str | None:
    """Why a price keeps a product out of a list; None where it does not."""
    return ABOVE_LIMIT if within is False else BELOW_FLOOR if reached is False else None


def _shares_a_word(product: Product, wish: Wish) -> bool:
    """Whether a product's name or kind has one of the wish's words that carry meaning."""
    said = {stem(word) for word in words(wish.words)}
    named = (product.title, product.query, product.product_category)
    return not said or not said.isdisjoint(stem(word) for text in named for word in words(text))


def _texts(product: Product) -> Iterator[str]:
    """All that a product's pages say of it."""
    yield from (product.title, product.query, product.product_category, product.description, *product.bullets)
    for group, values in product.options.items():
        yield from (group, *values)
