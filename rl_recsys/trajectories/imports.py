"""Sessions recorded elsewhere as trajectories: WebShop's imitation file, its site's logs, and recorded sessions.

Their steps are what ``ChoiceSession`` makes of them, so a policy reads the same words as when it plays.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit

from rl_recsys.decision import MAX_CHOICES, ChoiceSession
from rl_recsys.errors import UserError
from rl_recsys.replay import replay
from rl_recsys.shop import Goal, Product, Session, Shop, StepResult
from rl_recsys.shop.page import (
    BACK_TO_SEARCH,
    BUY_NOW,
    DESCRIPTION,
    FEATURES,
    NEXT,
    PREV,
    SUB_PAGES,
    ElementKind,
    PageKind,
)
from rl_recsys.shop.session import BASE_URL, last_page, parse_action
from rl_recsys.trajectories.known_goals import known_goals
from rl_recsys.trajectories.record import Step, Trajectory
from rl_recsys.trajectories.text_pages import ObservationError, TextPage, read_text_page

UNLIMITED = 10**6
_BY_TITLE = "click[item - "  # how WebShop's baseline names a product by its title


class ImportedSessionError(UserError):
    """A recorded session cannot be made a trajectory; the message says at which step, and why."""


class _SeenProducts(dict[str, Product]):
    """The products that a recording showed, in the place of a shop."""

    def product(self, asin: str) -> Product:
        """What was shown of a product."""
        return self[asin]


class TextSession:
    """A recorded session that stands in for ``rl_recsys.shop.Session``: a step shows the next observation.

    Only what ``ChoiceSession`` asks of a session is here; of a product is known what its pages said.
    """

    def __init__(self, observations: Sequence[str]):
        self.pages = [read_text_page(observation) for observation in observations]
        self._place = 0
        self._asin = self._keywords = self._detail = ""
        self.shop = _SeenProducts()
        self.goal = SimpleNamespace(instruction_text=self.pages[0].instruction)
        self.options: dict[str, str] = {}
        self.visited: set[str] = set()
        self.page_number = self.last_page = 1
        self.done = False
        self._show()

    @property
    def observation(self) -> TextPage:
        """What is shown now."""
        return self.pages[self._place]

    def step(self, action: str) -> StepResult:
        """Show what was recorded after the action."""
        name, argument = parse_action(action)
        if name == "search" and argument:
            self._keywords = "+".join(argument.split(" "))
        elif name == "click" and argument in self.page.clickables:
            element = self.page.clickables[argument]
            if element.kind is ElementKind.PRODUCT:
                self._asin = element.text
                self.visited.add(element.text)
            elif element.kind is ElementKind.OPTION:
                self.options = self.options | {element.group: argument}
            elif argument in SUB_PAGES:
                self._detail = SUB_PAGES[argument]
            self.done = argument == BUY_NOW.lower()
        if self._place + 1 < len(self.pages):
            self._place += 1
        self._show()
        return StepResult(self.page, 0.0, self.done)

    def _show(self) -> None:
        page = self.observation
        self.kind = page.kind
        for asin, (title, price_text) in page.titles.items():
            self.shop.setdefault(asin, _product(asin, title, price_text))
        if page.kind in (PageKind.SEARCH, PageKind.RESULTS):
            self.page_number, self.last_page, self.options = page.page_number, last_page(page.total_results), {}
        if page.kind is PageKind.SEARCH:
            self.visited.clear()
        known = self.shop.get(self._asin)
        if page.kind is PageKind.ITEM:
            options = {group: tuple(values) for group, values in page.options.items()}
            known = replace(
                known or _product(self._asin), title=page.title, price_text=page.price_text, options=options
            )
        elif page.kind is PageKind.DETAIL and known is not None:
            if self._detail == DESCRIPTION:
                known = replace(known, description=" ".join(page.texts))
            elif self._detail == FEATURES:
                known = replace(known, bullets=tuple(text.removeprefix(" ") for text in page.texts))
        if known is not None:
            self.shop[self._asin] = known
        self.product = known
        self.page = page.page(self._url())

    def _url(self) -> str:
        """As the text environment's, so that a place in the session has a name."""
        item = f"{self._asin}/{self._keywords}/{self.page_number}"
        if self.kind is PageKind.RESULTS:
            return f"{BASE_URL}/search_results/recorded/{self._keywords}/{self.page_number}"
        if self.kind is PageKind.ITEM:
            return f"{BASE_URL}/item_page/recorded/{item}/{json.dumps(self.options)}"
        if self.kind is PageKind.DETAIL:
            return f"{BASE_URL}/item_sub_page/recorded/{item}/{self._detail}/{self.options}"
        return f"{BASE_URL}/recorded"


def _product(asin: str, title: str = "", price_text: str = "") -> Product:
    return Product(
        asin=asin, title=title, price_text=price_text, category="", query="", product_category="", description="",
        bullets=(), price=0.0, options={}, attributes=(), image="",
    )  # fmt: skip


@dataclass(frozen=True)
class Followed:
    """What following recorded actions gave: the steps that were choices, and the last result."""

    steps: tuple[Step, ...]
    result: StepResult | None
    unlisted: tuple[str, ...]  # actions that could not be taken there, and searches off the search page
    beyond: tuple[str, ...]  # actions that were taken but are no choices: they change nothing, or the page is too long


def follow(session: Session | TextSession, actions: Sequence[str], *, max_choices: int = MAX_CHOICES) -> Followed:
    """Take recorded actions in a session; on the search page the choice is the search that was made."""
    taken = 0

    def queries(instruction: str) -> list[str]:
        searches = (argument for name, argument in map(parse_action, actions[taken:]) if name == "search" and argument)
        return [next(searches, instruction)]

    choices = ChoiceSession(session, queries=queries, max_steps=UNLIMITED, max_choices=max_choices)
    steps, unlisted, beyond, result = [], [], [], None
    for action in actions:
        taken += 1
        name, argument = parse_action(action)
        listed = [choice.action for choice in choices.decision.choices]
        wanted = f"{name}[{argument}]"
        if wanted in listed:
            steps.append(Step.of(choices, listed.index(wanted)))
            result = choices.choose(listed.index(wanted))
        else:
            there = name == "click" and argument in session.page.clickables
            (beyond if there else unlisted).append(action)
            result = choices.act(action)
        if session.done:
            break
    return Followed(tuple(steps), result, tuple(unlisted), tuple(beyond))


def imitation_trajectory(
    record: Mapping[str, Any], *, source: str, author: str, reward: float, shop: Shop | None = None
) -> Trajectory:
    """A line of WebShop's imitation file: {"states", "available_actions", "action_idxs", "actions"}; text alone.

    ``reward`` is what the file does not say; without a purchase it is 0. ``shop`` only tells the goal's index. Choices
    beyond those of a long page are taken and not kept as steps. Raises ``ImportedSessionError``.
    """
    try:
        states, listed, indices = (record[key] for key in ("states", "available_actions", "action_idxs"))
        session = TextSession(states)
        written = record.get("actions") or [""] * len(states)
        actions = [
            text if index < 0 else _by_asin(available[index], page)
            for text, index, available, page in zip(written, indices, listed, session.pages, strict=True)
        ]
    except (KeyError, TypeError, IndexError, ValueError, ObservationError) as error:
        raise ImportedSessionError(f"not a line of the imitation file: {error!r}") from None
    followed = follow(session, actions)
    lost = [action for action in followed.unlisted if parse_action(action)[0] != "search"]
    if lost:
        raise ImportedSessionError(f"{lost[0]!r} is on no button of the page it was taken on")
    return Trajectory(
        goal={"instruction_text": session.goal.instruction_text},
        goal_index=known_goals(shop).index({"instruction_text": session.goal.instruction_text}) if shop else -1,
        source=source,
        author=author,
        seed=0,
        steps=followed.steps,
        reward=reward if session.done else 0.0,
        done=session.done,
        reward_parts={"stated": True},
    )


def _by_asin(action: str, page: TextPage) -> str:
    """WebShop's baseline names a product by its title: "click[item - title]"."""
    said = action.lower()
    if not said.startswith(_BY_TITLE) or not said.endswith("]"):
        return action
    wanted = said.removeprefix(_BY_TITLE).removesuffix("]").strip()  # a title may have brackets
    # Equal titles go to the last product that has one, as in the baseline.
    found = [asin for asin, (title, _) in page.titles.items() if title.strip().lower() == wanted]
    return f"click[{found[-1].lower()}]" if found else action


def recorded_trajectory(shop: Shop, record: Mapping[str, Any], *, source: str, author: str) -> Trajectory:
    """A recorded session (see ``rl_recsys.replay``) taken again in a shop that must show what was recorded.

    Actions that were no choice (they changed nothing, searched off the search page, or are beyond the choices of a long
    page) are taken and not kept as steps.
    """
    try:
        difference = replay(shop, record).difference
        actions = [step["action"] for step in record["steps"] if step.get("action") is not None]
    except (KeyError, ValueError, TypeError) as error:
        raise ImportedSessionError(f"not a recorded session: {error!r}") from None
    if difference is not None:
        raise ImportedSessionError(f"{shop.folder} shows something else, {difference}")
    return _taken_again(shop, record["goal"], actions, source=source, author=author)[0]


def logged_trajectory(shop: Shop, pages: Sequence[Mapping[str, Any]], *, source: str, author: str) -> Trajectory:
    """A site log's inferred actions taken again in a shop that has its products. Raises ``ImportedSessionError``."""
    if not pages or not isinstance(pages[0].get("goal"), Mapping):
        raise ImportedSessionError("no page with a goal")
    try:
        actions = logged_actions(pages)
    except (KeyError, ValueError, SyntaxError, TypeError, AttributeError, IndexError) as error:
        raise ImportedSessionError(f"not a site's log: {error!r}") from None
    trajectory, unlisted = _taken_again(shop, pages[0]["goal"], actions, source=source, author=author)
    if unlisted:
        raise ImportedSessionError(f"{unlisted[0]!r} cannot be taken in {shop.folder}: it has other products")
    return trajectory


def _taken_again(
    shop: Shop, goal: Mapping[str, Any], actions: Sequence[str], *, source: str, author: str
) -> tuple[Trajectory, tuple[str, ...]]:
    try:
        wanted = Goal.from_mapping(goal)
        session = shop.session(wanted)
    except (ValueError, TypeError, KeyError) as error:
        raise ImportedSessionError(f"not a goal of WebShop: {error}") from None
    followed = follow(session, actions)
    result = followed.result
    trajectory = Trajectory(
        goal=asdict(wanted),
        goal_index=known_goals(shop).index(asdict(wanted)),
        source=source,
        author=author,
        seed=0,
        steps=followed.steps,
        reward=result.reward if result and result.done else 0.0,
        done=bool(result and result.done),
        reward_parts=result.reward_parts if result else {},
    )
    return trajectory, followed.unlisted


def logged_actions(pages: Sequence[Mapping[str, Any]]) -> list[str]:
    """The actions between the pages of a site log, which holds pages only.

    A page that was loaded again is no action. Raises ``ImportedSessionError`` naming the pages between which no single
    action leads.
    """
    actions = []
    for number, (before, after) in enumerate(zip(pages, pages[1:], strict=False), 1):
        action = _action_between(before, after)
        if action is None:
            kinds = f"{before.get('page')} and {after.get('page')}"
            raise ImportedSessionError(f"pages {number} and {number + 1}: no single action leads from {kinds}")
        if action:
            actions.append(action)
    return actions


def _action_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """The action, "" for a page that was loaded again, None where there is none."""
    here, there = (page.get("content") or {} for page in (before, after))
    if before.get("url") == after.get("url"):
        return ""
    move = before.get("page"), after.get("page")
    same_product = here.get("asin") == there.get("asin")
    if after.get("page") == "index":
        return f"click[{BACK_TO_SEARCH.lower()}]"
    if move == ("index", "search_results"):
        return f"search[{' '.join(_keywords(there))}]"
    if move == ("search_results", "search_results") and _keywords(here) == _keywords(there):
        turned = int(there["page"]) - int(here["page"])
        return {1: f"click[{NEXT.lower()}]", -1: f"click[{PREV.lower()}]"}.get(turned)
    if move == ("search_results", "item_page") and there["asin"] in here["search_result_asins"]:
        return f"click[{there['asin'].lower()}]"
    if move == ("item_page", "item_page") and same_product:
        chosen = [value for name, value in there["options"].items() if here["options"].get(name) != value]
        kept = all(name in there["options"] for name in here["options"])
        return f"click[{chosen[0]}]" if len(chosen) == 1 and kept else None
    if move == ("item_page", "item_sub_page") and same_product:
        return f"click[{unquote(urlsplit(after['url']).path).rstrip('/').split('/')[-2].lower()}]"
    back = {("item_sub_page", "item_page"): same_product, ("item_page", "search_results"): True}
    if back.get(move):
        return f"click[{PREV.lower()}]"
    if move == ("item_page", "done") and same_product:
        return f"click[{BUY_NOW.lower()}]"
    return None


def _keywords(content: Mapping[str, Any]) -> list[str]:
    """Written as a list on result pages, as a list's text elsewhere."""
    words = content["keywords"]
    return list(words) if isinstance(words, list) else ast.literal_eval(words)
