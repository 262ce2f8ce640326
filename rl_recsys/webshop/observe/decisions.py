"""A session as a policy meets it: at each page a state in words and the actions it may choose among."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any

from rl_recsys.core.decision import MAX_CHOICES, TIME_LEFT, Choice, Decision
from rl_recsys.webshop.data.catalog import Product
from rl_recsys.webshop.goals.goal import named_options, price_limit, without_price_clause
from rl_recsys.webshop.observe.instruction_features import (
    excerpt,
    missing_words,
    named_choices,
    options_lacking,
    options_offered,
    price_relation,
    share_missing,
    stem,
    words,
)
from rl_recsys.webshop.play.page import BUTTONS, DESCRIPTION, FEATURES, NEXT, SEARCH, Element, ElementKind, PageKind
from rl_recsys.webshop.play.session import Session, StepResult, parse_action

#: Raised with every change of a decision's words or kinds: what was recorded or trained before does not fit.
DECISION_FORMAT = 4
MAX_STEPS = 15  # actions an episode, the protocol of the 1,000-product studies
MAX_MISSING = 12  # words
STEPS_TO_COMPARE = 7  # back, open another, read, back twice, open the first again, buy; options come on top


class ChoiceKind(IntEnum):
    """What an action is, told apart from its words: no text of a product can pass for another kind."""

    NONE = 0  # padding
    SEARCH = 1
    BUTTON = 2
    PRODUCT = 3
    SEEN_PRODUCT = 4  # visited since the last time the session was on the search page, and not the best of these
    OPTION = 5  # of a group in which nothing is chosen yet
    OTHER_OPTION = 6  # of a group in which another is chosen
    NAMED_OPTION = 7  # that the instruction names
    BEST_SEEN = 8  # of the visited products that offer all named options the one that lacks the fewest wanted words


@dataclass
class ChoiceSession:
    """A session played by choosing among its available actions; remembers what was read about each product.

    Actions that change nothing are no choices: an option that is chosen, the page after the last one of results.
    ``queries`` maps an instruction to the search candidates of the search page, by default as the shop does. After
    ``max_steps`` actions the episode is truncated. ``max_choices``: a longer list keeps its buttons and those of the
    rest that share the most words with the instruction (earlier ones first), in page order.
    """

    session: Session
    queries: Callable[[str], Sequence[str]] | None = None
    max_steps: int = MAX_STEPS
    max_choices: int = MAX_CHOICES
    steps: int = 0
    #: The products with all named options that were opened since the last time on the search page, in order.
    candidates: list[Product] = field(default_factory=list)
    _opened: list[str] = field(default_factory=list)  # asins of all that were
    _returned: set[str] = field(default_factory=set)  # those of them that were opened again
    _missing: dict[str, list[str]] = field(default_factory=dict)  # asin -> words, as far as it was read
    _read: dict[str, dict[str, str]] = field(default_factory=dict)  # asin -> page -> excerpt
    _read_words: dict[str, set[str]] = field(default_factory=dict)  # asin -> stems of all that was read

    def __post_init__(self) -> None:
        self._wanted = frozenset(words(without_price_clause(self.session.goal.instruction_text)))
        self._limit = price_limit(self.session.goal.instruction_text)
        #: The (name, value) options that the instruction names.
        self.named = named_options(self.session.goal.instruction_text)
        self.decision = self._decide()

    @property
    def done(self) -> bool:
        """Whether something was bought."""
        return self.session.done

    @property
    def goal(self) -> dict[str, Any]:
        """The goal by the original's keys."""
        return asdict(self.session.goal)

    @property
    def url(self) -> str:
        """The page's: it has the search, the page number, the product and the chosen options."""
        return self.session.page.url

    @property
    def observation(self) -> str:
        """The page as ``text_rich``."""
        return self.session.page.text_rich

    @property
    def truncated(self) -> bool:
        """Whether the episode ran out of steps without a purchase."""
        return self.steps >= self.max_steps and not self.session.done

    def choose(self, index: int) -> StepResult:
        """Take the choice at ``index``; an index where there is none changes nothing but counts as a step."""
        there = 0 <= index < len(self.decision.choices)
        return self.act(self.decision.choices[index].action if there else "none")

    def act(self, action: str) -> StepResult:
        """Take an action of the shop, whether it is among the choices or not."""
        self.steps += 1
        before = self.session.kind
        result = self.session.step(action)
        self._remember(before)
        self.decision = self._decide()
        return result

    def missing(self, product: Product) -> list[str]:
        """The words of the instruction that nothing has that was shown of a product so far."""
        if product.asin not in self._missing:
            read = self._read_words.get(product.asin, ())
            self._missing[product.asin] = missing_words(self.session.goal.instruction_text, product, read)
        return self._missing[product.asin]

    def has_read(self, product: Product) -> bool:
        """Whether a page of a product's features or description was read."""
        return product.asin in self._read

    @property
    def best_seen(self) -> Product | None:
        """The first of the ``candidates`` that lack the fewest words, as far as they were shown; None without any."""
        return min(self.candidates, key=lambda product: len(self.missing(product)), default=None)

    def has_returned(self, product: Product) -> bool:
        """Whether a product that had been opened was opened again from a results page."""
        return product.asin in self._returned

    @property
    def time_for_another(self) -> bool:
        """Whether the steps suffice to leave an item's page, to look at another, and to come back and buy."""
        return self.max_steps - self.steps >= STEPS_TO_COMPARE + len(self.named)

    def opened_since(self, product: Product) -> int:
        """How many others were opened for the first time after this one was; it must have been opened."""
        return len(self._opened) - 1 - self._opened.index(product.asin)

    def _remember(self, before: PageKind) -> None:
        session, product = self.session, self.session.product
        if session.kind is PageKind.SEARCH:
            self._opened.clear()
            self._returned.clear()
            self.candidates.clear()
        elif session.kind is PageKind.ITEM:
            if product.asin not in self._opened:
                self._opened.append(product.asin)
                self.candidates += [] if options_lacking(self.named, product) else [product]
            elif before is PageKind.RESULTS:
                self._returned.add(product.asin)
        elif session.kind is PageKind.DETAIL:
            self._read_page(product)

    def _read_page(self, product: Product) -> None:
        self._missing.pop(product.asin, None)
        for page, text in ((DESCRIPTION, product.description), (FEATURES, " . ".join(product.bullets))):
            if f"/{page}/" in self.session.page.url:
                self._read.setdefault(product.asin, {})[page] = excerpt(text, self._wanted)
                self._read_words.setdefault(product.asin, set()).update(map(stem, words(text)))

    def _decide(self) -> Decision:
        choices = self._choices()
        kept = shorten(choices, self._wanted, self.max_choices)
        return Decision(self._state(), kept, len(choices) - len(kept))

    def _state(self) -> tuple[str, ...]:
        session = self.session
        instruction = session.goal.instruction_text
        if session.kind is PageKind.RESULTS:
            return (
                instruction,
                f"results page {session.page_number}, {len(session.visited)} seen",
                *filter(None, [self._best_so_far()]),
            )
        if session.kind in (PageKind.ITEM, PageKind.DETAIL):
            product = session.product
            chosen = ", ".join(f"{name}: {value}" for name, value in session.options.items()) or "nothing"
            still_open = ", ".join(name for name in product.options if name not in session.options) or "nothing"
            read = [f"{page.lower()}: {found}" for page, found in self._read.get(product.asin, {}).items()]
            return (
                instruction,
                self._offer(product),  # in the words of the results page, so that an encoder needs to read them once
                f"{session.kind.value}, {len(session.visited)} seen, chosen {chosen}, open {still_open}",
                *filter(None, [options_offered(self.named, product), self._comparison(product)]),
                ": ".join(filter(None, [self._share(product), " ".join(self.missing(product)[:MAX_MISSING])])),
                *read,
            )
        return instruction, session.kind.value

    def _share(self, product: Product) -> str:
        missing = self.missing(product)
        return share_missing(self.session.goal.instruction_text, missing) if missing else "nothing missing"

    def _best_so_far(self) -> str:
        best = self.best_seen
        return f"at best {self._share(best)}, {self.opened_since(best)} opened since" if best else ""

    def _comparison(self, product: Product) -> str:
        """What an item's page, read alone, cannot say: how the product compares with those seen, and what time is left
        for; "" for one that is no candidate."""
        if not any(one.asin == product.asin for one in self.candidates):
            return ""
        best = product.asin == self.best_seen.asin
        rank = "alone" if len(self.candidates) == 1 else "lacks least" if best else "another lacks less"
        if self.has_returned(product):
            return f"{rank}, come back to"
        return f"{rank}, {'' if self.time_for_another else 'no '}time{TIME_LEFT}"

    def _offer(self, product: Product) -> str:
        relation = price_relation(product.price_text, self._limit)
        return f"{relation}{' ' if relation else ''}{product.price_text} {product.title}"

    def _searches(self, kind: IntEnum) -> list[Choice]:
        """What may be searched for."""
        queries = self.queries or self.session.shop.search_candidates
        return [Choice(f"search[{query}]", query, kind) for query in queries(self.session.goal.instruction_text)]

    def _clickable(self) -> Iterator[tuple[str, Element]]:
        """What a click on the page does something with."""
        for label, element in self.session.page.clickables.items():
            if label == SEARCH.lower() or parse_action(f"click[{label}]") != ("click", label):
                continue  # by WebShop's grammar neither this word nor a label with brackets can be clicked
            if element.kind is ElementKind.PRODUCT and label in BUTTONS:
                continue  # a click does what the button would, or nothing
            yield label, element

    def _choices(self) -> list[Choice]:
        session = self.session
        if session.kind is PageKind.SEARCH:
            return self._searches(ChoiceKind.SEARCH)
        choices = []
        named = named_choices(self.named, session.product) if session.kind is PageKind.ITEM else {}
        best = self.best_seen
        for label, element in self._clickable():
            if label == NEXT.lower() and session.kind is PageKind.RESULTS and session.page_number >= session.last_page:
                continue
            if element.kind is ElementKind.PRODUCT:
                product = session.shop.product(element.text)
                text = self._offer(product)
                kind = ChoiceKind.SEEN_PRODUCT if element.clicked else ChoiceKind.PRODUCT
                if element.clicked and best is not None and product.asin == best.asin:
                    kind = ChoiceKind.BEST_SEEN
            elif element.kind is ElementKind.OPTION:
                text = f"{element.group}: {label}"
                chosen = session.options.get(element.group)
                if chosen == label:
                    continue
                if named.get(element.group) == label:
                    kind = ChoiceKind.NAMED_OPTION
                else:
                    kind = ChoiceKind.OPTION if chosen is None else ChoiceKind.OTHER_OPTION
            else:
                text, kind = label, ChoiceKind.BUTTON
            choices.append(Choice(f"click[{label}]", text, kind))
        return choices


def shorten(choices: Sequence[Choice], wanted: frozenset[str], cap: int) -> tuple[Choice, ...]:
    """At most ``cap`` choices: buttons first, then those with the most wanted words, ties by order; order is kept."""
    if len(choices) <= cap:
        return tuple(choices)

    def rank(position: int) -> tuple[bool, int, int]:
        choice = choices[position]
        return choice.kind is not ChoiceKind.BUTTON, -len(wanted.intersection(words(choice.text))), position

    return tuple(choices[position] for position in sorted(sorted(range(len(choices)), key=rank)[:cap]))
