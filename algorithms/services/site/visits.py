"""One person's shopping: a session of the shop whose pages have numbers, so that a browser may go back to one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rl_recsys.core.trajectory import ImportedSessionError, Trajectory
from rl_recsys.webshop import Session, Shop, StepResult
from rl_recsys.webshop.goals.goal import typed
from rl_recsys.webshop.imports.episodes import acted_trajectory
from rl_recsys.webshop.play.page import BACK_TO_SEARCH, NEXT, PREV, Element, ElementKind, PageKind
from rl_recsys.webshop.play.session import parse_action

MOST_ACTIONS = 200  # of a visit: whoever has taken so many is no shopper
MOST_TYPED = 200  # characters of a search
_PREV, _BACK = (f"click[{label.lower()}]" for label in (PREV, BACK_TO_SEARCH))


class ActionError(ValueError):
    """What was sent is no action of the page; the message is for the person."""


@dataclass
class Visit:
    """A person's session for a goal of the shop's, and the actions that were taken.

    Page number n is what was shown after n actions. Whoever goes back in the browser and acts there has the shop's own
    way back taken first, so that what is recorded is what the shop was asked for.
    """

    shop: Shop
    goal: int
    name: str = ""
    actions: list[str] = field(default_factory=list)
    query: str = ""  # that was typed last
    result: StepResult | None = None
    #: What was recorded, once it was.
    trajectory: Trajectory | None = None

    def __post_init__(self) -> None:
        self.session = self._begun()
        self._urls = [self.session.page.url]
        self._led_to: dict[tuple[int, str], int] = {}  # from page and action to the page that came of it

    @property
    def bought(self) -> bool:
        """Whether it ended with a purchase."""
        return self.session.done

    @property
    def number(self) -> int:
        """The page that is shown now."""
        return len(self.actions)

    @property
    def reward(self) -> Mapping[str, Any] | None:
        """What a site logs of a purchase; None before it."""
        return {"reward": self.result.reward, "reward_info": self.result.reward_parts} if self.bought else None

    def at(self, number: int) -> Session:
        """The session as it was when page ``number`` was shown."""
        return self.session if number == self.number else self._begun(number)

    def _begun(self, number: int = 0) -> Session:
        # By the goal itself, as an importer has it: chance, where a shop knows it, goes by the session's name.
        session = self.shop.session(self.shop.goal(self.goal))
        for action in self.actions[:number]:
            session.step(action)
        return session

    def search(self, number: int, text: str) -> int:
        """Search on page ``number``; the number of the page to show. Raises ``ActionError``."""
        query = typed(" ".join(text[:MOST_TYPED].split()))
        if not query:
            raise ActionError("Type what to search for.")
        if self.at(number).kind is not PageKind.SEARCH:
            raise ActionError("Go back to the search page to search again.")
        return self._act(number, f"search[{query}]")

    def click(self, number: int, place: int) -> int:
        """Click the element at a place of page ``number``; the number of the page to show. Raises ``ActionError``."""
        session = self.at(number)
        elements = session.page.elements
        if not 0 <= place < len(elements) or not can_click(session, elements[place]):
            raise ActionError("There is nothing to click there.")
        return self._act(number, f"click[{label_of(elements[place])}]")

    def _act(self, number: int, action: str) -> int:
        if (number, action) in self._led_to:  # sent twice, or again from a page that the browser had kept
            return self._led_to[number, action]
        if self.bought:
            return self.number
        taken = [*self._way_back(number), action]
        if self.number + len(taken) > MOST_ACTIONS:
            raise ActionError(f"This session has {MOST_ACTIONS} actions, which is all that it may have: buy, or leave.")
        for one in taken:
            before = self.session.page.url
            result = self.session.step(one)
            if self.session.page.url == before:
                continue  # what is chosen already: nothing changes, and nothing is recorded
            self.actions.append(one)
            self._urls.append(self.session.page.url)
            self.result = result
            if one.startswith("search["):
                self.query = parse_action(one)[1]
        self._led_to[number, action] = self.number
        return self.number

    def _way_back(self, number: int) -> list[str]:
        """The shop's actions from the page that is shown to page ``number``: up to a page before it, and down again.

        The shorter of two ways: up page by page, or by the search page.
        """
        if number == self.number:
            return []
        ways = []
        for first in (_PREV, _BACK):
            session, up = self._begun(self.number), []
            while session.page.url not in self._urls[: number + 1]:
                up.append(first if parse_action(first)[1] in session.page.clickables else _BACK)
                session.step(up[-1])
            reached = max(place for place, url in enumerate(self._urls[: number + 1]) if url == session.page.url)
            ways.append(up + self.actions[reached:number])
        return min(ways, key=len)

    def to_trajectory(self) -> Trajectory:
        """The episode that this was, with the choices that a policy would have been shown."""
        goal = asdict(self.session.goal)
        trajectory, lost = acted_trajectory(
            self.shop, goal, self.actions, source="human", author=self.name, goal_index=self.goal
        )
        if lost:  # every action was taken before
            raise ImportedSessionError(f"{lost[0]!r} was taken once and cannot be taken again")
        return trajectory


def label_of(element: Element) -> str:
    """What the shop knows an element by."""
    return element.text if element.kind is ElementKind.OPTION else element.text.lower()


def can_click(session: Session, element: Element) -> bool:
    """Whether a click on its label means this element, and leads somewhere.

    The shop decides by the label, and some labels cannot be said. After the last page of results it has empty ones.
    """
    label = label_of(element)
    if label == NEXT.lower() and session.kind is PageKind.RESULTS and session.page_number >= session.last_page:
        return False
    meant = session.page.clickables.get(label)
    return (
        meant is not None
        and meant[:3] == element[:3]
        and label != "search"  # WebShop takes this word for its button, which does nothing
        and parse_action(f"click[{label}]") == ("click", label)
    )
