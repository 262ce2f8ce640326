"""A session as a policy meets it: at each page a state in words and the actions it may choose among."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from rl_recsys.matching import (
    excerpt,
    missing_words,
    named_choices,
    options_offered,
    price_relation,
    share_missing,
    stem,
    words,
)
from rl_recsys.shop.catalog import Product
from rl_recsys.shop.goals import named_options, price_limit, without_price_clause
from rl_recsys.shop.page import DESCRIPTION, FEATURES, NEXT, SEARCH, ElementKind, PageKind
from rl_recsys.shop.session import Session, StepResult, parse_action

#: Raised with every change of a decision's words or kinds: what was recorded or trained before does not fit.
DECISION_FORMAT = 3
MAX_STEPS = 15  # actions an episode, the protocol of the 1,000-product studies
MAX_CHOICES = 64  # choices a decision; the largest page of the 1k has 56
MAX_MISSING = 12  # words


class ChoiceKind(IntEnum):
    """What an action is, told apart from its words: no text of a product can pass for another kind."""

    NONE = 0  # padding
    SEARCH = 1
    BUTTON = 2
    PRODUCT = 3
    SEEN_PRODUCT = 4  # visited since the last time the session was on the search page
    OPTION = 5  # of a group in which nothing is chosen yet
    OTHER_OPTION = 6  # of a group in which another is chosen
    NAMED_OPTION = 7  # that the instruction names


@dataclass(frozen=True, slots=True)
class Choice:
    """One available action: the string the shop understands, the words the policy reads, and its kind."""

    action: str
    text: str
    kind: ChoiceKind


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy is shown. ``state`` are text segments, the whole instruction first; ``dropped`` counts the
    actions beyond the cap that are not among ``choices``."""

    state: tuple[str, ...]
    choices: tuple[Choice, ...]
    dropped: int = 0


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
    _read: dict[str, dict[str, str]] = field(default_factory=dict)  # asin -> page -> excerpt
    _read_words: dict[str, set[str]] = field(default_factory=dict)  # asin -> stems of all that was read

    def __post_init__(self) -> None:
        self._wanted = frozenset(words(without_price_clause(self.session.goal.instruction_text)))
        self._limit = price_limit(self.session.goal.instruction_text)
        #: The (name, value) options that the instruction names.
        self.named = named_options(self.session.goal.instruction_text)
        self.decision = self._decide()

    @property
    def truncated(self) -> bool:
        """Whether the episode ran out of steps without a purchase."""
        return self.steps >= self.max_steps and not self.session.done

    def choose(self, index: int) -> StepResult:
        """Take the choice at ``index``; an index past the end changes nothing but counts as a step."""
        return self.act(self.decision.choices[index].action if index < len(self.decision.choices) else "none")

    def act(self, action: str) -> StepResult:
        """Take an action of the shop, whether it is among the choices or not."""
        self.steps += 1
        result = self.session.step(action)
        self._remember()
        self.decision = self._decide()
        return result

    def missing(self, product: Product) -> list[str]:
        """The words of the instruction that nothing has that was shown of a product so far."""
        return missing_words(self.session.goal.instruction_text, product, self._read_words.get(product.asin, ()))

    def has_read(self, product: Product) -> bool:
        """Whether a page of a product's features or description was read."""
        return product.asin in self._read

    def _remember(self) -> None:
        session = self.session
        if session.kind is not PageKind.DETAIL:
            return
        product = session.product
        for page, text in ((DESCRIPTION, product.description), (FEATURES, " . ".join(product.bullets))):
            if f"/{page}/" in session.page.url:
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
            return instruction, f"results page {session.page_number}, {len(session.visited)} seen"
        if session.kind in (PageKind.ITEM, PageKind.DETAIL):
            product = session.product
            chosen = ", ".join(f"{name}: {value}" for name, value in session.options.items()) or "nothing"
            still_open = ", ".join(name for name in product.options if name not in session.options) or "nothing"
            missing = self.missing(product)
            lacking = "nothing missing"
            if missing:
                lacking = f"{share_missing(instruction, missing)}: {' '.join(missing[:MAX_MISSING])}"
            read = [f"{page.lower()}: {found}" for page, found in self._read.get(product.asin, {}).items()]
            return (
                instruction,
                self._offer(product),  # in the words of the results page, so that an encoder needs to read them once
                f"{session.kind.value}, {len(session.visited)} seen, chosen {chosen}, open {still_open}",
                *filter(None, [options_offered(self.named, product)]),
                lacking,
                *read,
            )
        return instruction, session.kind.value

    def _offer(self, product: Product) -> str:
        relation = price_relation(product.price_text, self._limit)
        return f"{relation}{' ' if relation else ''}{product.price_text} {product.title}"

    def _choices(self) -> list[Choice]:
        session = self.session
        if session.kind is PageKind.SEARCH:
            instruction = session.goal.instruction_text
            queries = self.queries or session.shop.search_candidates
            return [Choice(f"search[{query}]", query, ChoiceKind.SEARCH) for query in queries(instruction)]
        choices = []
        named = named_choices(self.named, session.product) if session.kind is PageKind.ITEM else {}
        for label, element in session.page.clickables.items():
            if label == SEARCH.lower() or parse_action(f"click[{label}]") != ("click", label):
                continue  # by WebShop's grammar neither this word nor a label with brackets can be clicked
            if label == NEXT.lower() and session.kind is PageKind.RESULTS and session.page_number >= session.last_page:
                continue
            if element.kind is ElementKind.PRODUCT:
                product = session.shop.product(element.text)
                text = self._offer(product)
                kind = ChoiceKind.SEEN_PRODUCT if element.clicked else ChoiceKind.PRODUCT
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
