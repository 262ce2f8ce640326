"""Shoppers without a model: two baselines, and the scripted one whose trajectories are the demonstrations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict

from rl_recsys.decision import ChoiceSession
from rl_recsys.matching import AFFORDABLE, MANY, MOST, named_choices, options_lacking, price_relation, share_missing
from rl_recsys.shop.goals import Goal, price_limit, typed
from rl_recsys.shop.page import BACK_TO_SEARCH, BUY_NOW, FEATURES, NEXT, PREV, ElementKind, PageKind
from rl_recsys.shop.shop import Shop
from rl_recsys.trajectories.record import Step, Trajectory

Shopper = Callable[[ChoiceSession], int]  # the index of the choice to take
SCRIPTED = 3  # raised when the scripted shopper changes: its demonstrations are not gone on with by another


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


def scripted_shopper(choice_session: ChoiceSession) -> int:
    """Shops as one does who knows what a purchase would bring, but not which product is meant before it looks.

    It opens products as ``heuristic_shopper`` does, leaves those that would not earn the whole reward, and buys at the
    first that does, or at the goal's own product in any case. Where much of the instruction is not on an item's page it
    reads the features before. Which product it opens, and what it reads, follows from what is shown; whether it stays
    there follows from that as far as it can.
    """
    session = choice_session.session
    if session.kind is not PageKind.ITEM:
        return _to_an_item(choice_session)
    if _worth_reading(choice_session):
        return _index(choice_session, FEATURES)
    wanted = _wanted_options(session.product.options, session.goal.goal_options)
    fits = session.score(session.product, wanted.values()).total == 1.0
    if not fits and session.product.asin != session.goal.asin:
        return _index(choice_session, PREV)
    return _choose_and_buy(choice_session, wanted)


def _worth_reading(choice_session: ChoiceSession) -> bool:
    """Whether a product has the options that the instruction names, but much of the rest was not seen of it yet."""
    session = choice_session.session
    product = session.product
    if choice_session.has_read(product) or options_lacking(choice_session.named, product):
        return False
    return share_missing(session.goal.instruction_text, choice_session.missing(product)) in (MANY, MOST)


def _to_an_item(choice_session: ChoiceSession) -> int:
    kind = choice_session.session.kind
    if kind is PageKind.SEARCH:
        return 0
    return _on_results(choice_session) if kind is PageKind.RESULTS else _index(choice_session, PREV)


def _on_results(choice_session: ChoiceSession) -> int:
    session = choice_session.session
    limit = price_limit(session.goal.instruction_text)
    for element in session.page.of_kind(ElementKind.PRODUCT):
        fits = price_relation(session.shop.product(element.text).price_text, limit) in ("", AFFORDABLE)
        if fits and not element.clicked:
            return _index(choice_session, element.text)
    return _index(choice_session, NEXT if session.page_number < session.last_page else BACK_TO_SEARCH)


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


def play(
    shop: Shop, goal: int | Goal, shopper: Shopper, *, source: str, author: str, seed: int, **options
) -> Trajectory:
    """One whole episode of a shopper with one of the shop's goals, or another; ``options`` go to ``ChoiceSession``."""
    choice_session = ChoiceSession(shop.session(goal), **options)
    steps: list[Step] = []
    result = None
    while not (choice_session.session.done or choice_session.truncated):
        chosen = shopper(choice_session)
        steps.append(Step.of(choice_session, chosen))
        result = choice_session.choose(chosen)
    return Trajectory(
        goal=asdict(choice_session.session.goal),
        goal_index=-1 if isinstance(goal, Goal) else goal,
        source=source,
        author=author,
        seed=seed,
        steps=tuple(steps),
        reward=result.reward if result.done else 0.0,
        done=result.done,
        reward_parts=result.reward_parts,
    )
