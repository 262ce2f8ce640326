"""Shoppers without a model: three baselines, and the scripted ones whose trajectories are the demonstrations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rl_recsys.webshop.data.catalog import Product
from rl_recsys.webshop.goals.goal import price_limit, typed
from rl_recsys.webshop.observe.decisions import ChoiceSession
from rl_recsys.webshop.observe.instruction_features import (
    AFFORDABLE,
    FEW,
    named_choices,
    options_lacking,
    price_relation,
    share_missing,
)
from rl_recsys.webshop.play.page import BACK_TO_SEARCH, BUY_NOW, FEATURES, NEXT, PREV, ElementKind, PageKind
from rl_recsys.webshop.play.session import Session

SCRIPTED = 4  # raised when the scripted shopper changes: its demonstrations are not gone on with by another
PLAIN_SCRIPTED = 1  # likewise the plain shopper's


def rule_shopper(choice_session: ChoiceSession) -> int:
    """WebShop's rule baseline: search the instruction, open the first product, buy."""
    kind = choice_session.session.kind
    if kind is PageKind.SEARCH:
        return 0
    if kind is PageKind.RESULTS:
        first = next(choice_session.session.page.of_kind(ElementKind.PRODUCT), None)
        return _index(choice_session, first.text if first else BACK_TO_SEARCH)
    return _index(choice_session, BUY_NOW)


def heuristic_shopper(choice_session: ChoiceSession) -> int:
    """What a few rules reach that know only what is shown: a baseline without a model.

    It opens the results whose price fits in their order, leaves a product that does not have the options which the
    instruction names, chooses these and buys at the first that has them. Where none of the results does it gives up:
    it goes back and searches for the same until the steps run out.
    """
    session = choice_session.session
    if session.kind is not PageKind.ITEM:
        return _to_an_item(choice_session)
    if options_lacking(choice_session.named, session.product):
        return _index(choice_session, PREV)
    return _choose_and_buy(choice_session, named_choices(choice_session.named, session.product))


def comparing_shopper(choice_session: ChoiceSession) -> int:
    """``heuristic_shopper``, but it reads the features of what has the named options and lacks some of the other words,
    looks at one product more before it buys such a one, and of two that have the options it buys what lacks less."""
    return _compare(
        choice_session, choice_session.best_seen, lambda product: named_choices(choice_session.named, product)
    )


def scripted_shopper(choice_session: ChoiceSession) -> int:
    """Shops as one does who knows what a purchase would bring, but not which product is meant before it looks.

    It opens, reads and compares as ``comparing_shopper`` does, but goes on where nothing that it saw would earn the
    whole reward. What it opens and reads, and what of two it takes, follows from what is shown; whether it goes on
    follows from that as far as it can. Where what lacks least is not what earns the reward, it fails.
    """
    session = choice_session.session
    found = any(_earns_all(session, product) for product in choice_session.candidates)
    target = choice_session.best_seen if found else None
    return _compare(choice_session, target, lambda product: _wanted(session, product))


def plain_shopper(choice_session: ChoiceSession) -> int:
    """Shops as one does who knows what a purchase would bring and remembers no page.

    It opens the results whose price fits in their order, goes back from what would not earn the whole reward, and buys
    the first that would. It reads no features, as the page that it returns to would not show that it had.
    """
    session = choice_session.session
    if session.kind is not PageKind.ITEM:
        return _to_an_item(choice_session)
    if not _earns_all(session, session.product):
        return _index(choice_session, PREV)
    return _choose_and_buy(choice_session, _wanted(session, session.product))


def _wanted(session: Session, product: Product) -> dict[str, str]:
    return _wanted_options(product.options, session.goal.goal_options)


def _earns_all(session: Session, product: Product) -> bool:
    """Whether a product is the wanted one, or would earn the whole reward as well."""
    return product.asin == session.goal.asin or session.score(product, _wanted(session, product).values()).total == 1.0


def _compare(
    choice_session: ChoiceSession, target: Product | None, wanted: Callable[[Product], Mapping[str, str]]
) -> int:
    """``target``: what is bought of the candidates, once one more was looked at; ``wanted``: a product's options."""
    session = choice_session.session
    compared = target is not None and (
        len(choice_session.candidates) > 1
        or choice_session.opened_since(target) > 0
        or choice_session.has_returned(target)
    )
    if session.kind is PageKind.RESULTS and target is not None and (compared or _next_fit(choice_session) is None):
        here = any(element.text == target.asin for element in session.page.of_kind(ElementKind.PRODUCT))
        return _index(choice_session, target.asin if here else PREV)
    if session.kind is not PageKind.ITEM:
        return _to_an_item(choice_session)
    product = session.product
    if options_lacking(choice_session.named, product):
        return _index(choice_session, PREV)
    missing = choice_session.missing(product)
    share = share_missing(session.goal.instruction_text, missing)
    if share != FEW and not choice_session.has_read(product):
        return _index(choice_session, FEATURES)
    if target is None or target.asin != product.asin:
        return _index(choice_session, PREV)
    if missing and choice_session.time_for_another and not compared:
        return _index(choice_session, PREV)
    return _choose_and_buy(choice_session, wanted(product))


def _to_an_item(choice_session: ChoiceSession) -> int:
    kind = choice_session.session.kind
    if kind is PageKind.SEARCH:
        return 0
    return _on_results(choice_session) if kind is PageKind.RESULTS else _index(choice_session, PREV)


def _on_results(choice_session: ChoiceSession) -> int:
    session, found = choice_session.session, _next_fit(choice_session)
    if found is not None:
        return _index(choice_session, found)
    return _index(choice_session, NEXT if session.page_number < session.last_page else BACK_TO_SEARCH)


def _next_fit(choice_session: ChoiceSession) -> str | None:
    """The first product of a results page that was not opened and whose price fits."""
    session = choice_session.session
    limit = price_limit(session.goal.instruction_text)
    for element in session.page.of_kind(ElementKind.PRODUCT):
        fits = price_relation(session.shop.product(element.text).price_text, limit) in ("", AFFORDABLE)
        if fits and not element.clicked:
            return element.text
    return None


def _choose_and_buy(choice_session: ChoiceSession, wanted: Mapping[str, str]) -> int:
    session = choice_session.session
    for group, value in wanted.items():
        if session.options.get(group) != value:
            return _index(choice_session, value)
    return _index(choice_session, BUY_NOW)


def _wanted_options(offered: dict[str, tuple[str, ...]], wanted: dict[str, str] | tuple[str, ...]) -> dict[str, str]:
    """Option name -> value to choose, in page order; a human goal gives values without names."""
    if isinstance(wanted, dict):
        return {group: wanted[group] for group, values in offered.items() if wanted.get(group) in values}
    values = {value.lower() for value in wanted}
    return {group: value for group, offer in offered.items() for value in offer if value in values}


def _index(choice_session: ChoiceSession, label: str) -> int:
    action = f"click[{label.lower()}]"
    for index, choice in enumerate(choice_session.decision.choices):
        if choice.action == action:
            return index
    return 0  # not on offer (a label that the grammar cannot name, or beyond the cap): the first button leads back


def full_instruction(instruction: str) -> list[str]:
    """What the rule baseline searches: the whole instruction, price clause and all (WebShop's rule)."""
    return [typed(instruction)]
