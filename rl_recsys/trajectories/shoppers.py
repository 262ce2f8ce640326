"""Shoppers without a model: the rule baseline, and the scripted one whose trajectories are the demonstrations."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass

from rl_recsys.decision import ChoiceSession
from rl_recsys.shop.goals import Goal, typed
from rl_recsys.shop.page import BACK_TO_SEARCH, BUY_NOW, DESCRIPTION, FEATURES, NEXT, PREV, ElementKind, PageKind
from rl_recsys.shop.shop import Shop
from rl_recsys.trajectories.record import Step, Trajectory

Shopper = Callable[[ChoiceSession], int]  # the index of the choice to take


def rule_shopper(choice_session: ChoiceSession) -> int:
    """WebShop's rule baseline: search the instruction, open the first product, buy."""
    kind = choice_session.session.kind
    if kind is PageKind.SEARCH:
        return 0
    if kind is PageKind.RESULTS:
        first = next(choice_session.session.page.of_kind(ElementKind.PRODUCT), None)
        return _index(choice_session, first.text if first else BACK_TO_SEARCH)
    return _index(choice_session, BUY_NOW)


@dataclass(frozen=True)
class Habits:
    """How the scripted shopper behaves: chances in [0, 1], ``detours`` a count an episode."""

    detour: float = 0.35  # opens another product that could be meant
    detours: int = 3
    first: int = 3  # results that could be meant whatever they are
    read: float = 0.3  # reads the features or the description before going on
    last_page: int = 5


class ScriptedShopper:
    """Knows the goal and shops plausibly: may open other products first, read, go back, choose options, buy.

    It knows the goal's product and what a purchase brings, which no policy does, and buys what earns the whole reward;
    what it records says ``scripted``. One object plays one episode.
    """

    def __init__(self, rng: random.Random, habits: Habits = Habits()):
        self._rng, self._habits = rng, habits
        self._detours = 0
        self._considered: set[str] = set()

    def __call__(self, choice_session: ChoiceSession) -> int:
        """The index of the choice to take."""
        session = choice_session.session
        if session.kind is PageKind.SEARCH:
            return 0
        if session.kind is PageKind.RESULTS:
            return self._on_results(choice_session)
        if session.kind is PageKind.DETAIL:
            return _index(choice_session, PREV)
        return self._on_item(choice_session)

    def _on_results(self, choice_session: ChoiceSession) -> int:
        session = choice_session.session
        shown = [element.text for element in session.page.of_kind(ElementKind.PRODUCT)]
        target = session.goal.asin
        likely = [
            asin
            for place, asin in enumerate(shown)
            if asin != target
            and asin not in session.visited
            and (place < self._habits.first or session.shop.product(asin).query == session.goal.query)
        ]
        if likely and self._detours < self._habits.detours and self._rng.random() < self._habits.detour:
            self._detours += 1
            return _index(choice_session, self._rng.choice(likely))
        if target in shown:
            return _index(choice_session, target)
        if session.page_number < min(self._habits.last_page, session.last_page):
            return _index(choice_session, NEXT)
        return _index(choice_session, BACK_TO_SEARCH)

    def _on_item(self, choice_session: ChoiceSession) -> int:
        session = choice_session.session
        if session.product.asin not in self._considered:
            self._considered.add(session.product.asin)
            if self._rng.random() < self._habits.read:
                return _index(choice_session, self._rng.choice((FEATURES, DESCRIPTION)))
        wanted = _wanted_options(session.product.options, session.goal.goal_options)
        fits = session.score(session.product, wanted.values()).total == 1.0
        if not fits and session.product.asin != session.goal.asin:
            return _index(choice_session, PREV)
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
    return 0  # not on offer (a label the action grammar cannot name): the first button leads back


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
