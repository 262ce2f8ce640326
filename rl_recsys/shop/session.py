"""A shopping session: a small state machine over the shop, with WebShop's transitions."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rl_recsys.shop.catalog import Product
from rl_recsys.shop.goals import Goal
from rl_recsys.shop.page import (
    BACK_TO_SEARCH,
    BUY_NOW,
    DESCRIPTION,
    FEATURES,
    NEXT,
    PREV,
    SEARCH,
    SUB_PAGES,
    Element,
    ElementKind,
    Page,
    PageKind,
)
from rl_recsys.shop.reward import Reward, score_purchase

if TYPE_CHECKING:
    from rl_recsys.shop.shop import Shop

BASE_URL = "http://127.0.0.1:3000"  # what the original's text environment shows
PRODUCTS_PER_PAGE = 10
ACTION = re.compile(r"(.+)\[(.+)\]")  # WebShop's grammar: greedy, matched from the start
NO_REWARD = Reward(0.0, {})


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one action led to. ``reward`` is in [0, 1] and 0 but for a purchase; ``reward_parts`` is filled then."""

    page: Page
    reward: float
    done: bool
    reward_parts: dict[str, float | bool] = field(default_factory=dict)


def parse_action(action: str) -> tuple[str, str | None]:
    """("search" | "click" | anything, argument in lower case or None) of an action string.

    >>> parse_action("click[Buy Now]")
    ('click', 'buy now')
    """
    match = ACTION.match(action)
    if match is None:
        return action, None
    return match.group(1), match.group(2).lower()


class Session:
    """One person's visit with one goal. Made by ``Shop.session``; holds nothing but its own position."""

    def __init__(self, shop: Shop, goal: Goal, goal_nouns: tuple[str, ...], session_id: str):
        self.shop = shop
        self.goal = goal
        self.session_id = session_id
        self._goal_nouns = goal_nouns
        self.done = False
        self.visited: set[str] = set()
        self._reset()

    def _reset(self) -> None:
        self.kind = PageKind.SEARCH
        self.keywords: list[str] = []
        self.page_number = 1
        self.product: Product | None = None
        self.options: dict[str, str] = {}
        self.visited.clear()
        self.page = self._search_page()

    @property
    def available_actions(self) -> dict:
        """What can be done now; see ``Page.available_actions``."""
        return self.page.available_actions

    def step(self, action: str) -> StepResult:
        """Act with "search[words]" or "click[label]"; anything else, or a label that is not there, changes nothing."""
        name, argument = parse_action(action)
        reward = NO_REWARD
        bought = False
        if name == "search" and argument:
            self.keywords = argument.split(" ")
            self._show_results(1)
        elif name == "click" and argument is not None and argument != SEARCH.lower():
            element = self.page.clickables.get(argument)
            if element is not None:
                bought = argument == BUY_NOW.lower()
                reward = self._click(argument, element)
        return StepResult(self.page, reward.total, bought, reward.parts)

    def _click(self, label: str, element: Element) -> Reward:
        """WebShop's server decides by the label first, so an option named as a button acts as the button."""
        if label == BUY_NOW.lower():
            return self._buy()
        if label == BACK_TO_SEARCH.lower():
            self._reset()
        elif label == NEXT.lower() and self.kind is PageKind.RESULTS:
            self._show_results(self.page_number + 1)
        elif label == PREV.lower() and self.kind is PageKind.RESULTS:
            self._show_results(self.page_number - 1)
        elif label == PREV.lower() and self.kind is PageKind.ITEM:
            self._show_results(self.page_number)
        elif detail := next((name for name in SUB_PAGES if name.lower() == label), None):
            self.kind = PageKind.DETAIL
            self.page = self._detail_page(detail)
        else:
            if element.kind is ElementKind.PRODUCT:
                self.product = self.shop.product(label.upper())
                self.visited.add(self.product.asin)
            elif element.kind is ElementKind.OPTION:
                self.options[element.group] = label
            self.kind = PageKind.ITEM
            self.page = self._item_page()
        return NO_REWARD

    def _show_results(self, page_number: int) -> None:
        self.kind = PageKind.RESULTS
        self.page_number = page_number
        self.product = None
        self.options = {}
        self.page = self._results_page()

    def _buy(self) -> Reward:
        reward = score_purchase(self.product, self.options.values(), self.goal, self._goal_nouns)
        self.kind = PageKind.DONE
        self.done = True
        self.page = self._done_page(reward.total)
        return reward

    # Pages: the visible strings in WebShop's order.

    def _search_page(self) -> Page:
        elements = [*_texts("WebShop", "Instruction: ", self.goal.instruction_text), _button(SEARCH)]
        return Page(self.kind, f"{BASE_URL}/{self.session_id}", tuple(elements))

    def _header(self) -> list[Element]:
        return [*_texts("Instruction:", self.goal.instruction_text), _button(BACK_TO_SEARCH)]

    def _results_page(self) -> Page:
        found = self.shop.search(" ".join(self.keywords))
        first = PRODUCTS_PER_PAGE * (self.page_number - 1)
        elements = self._header()
        elements += _texts(f"Page {self.page_number} (Total results: {len(found)})")
        if self.page_number > 1:
            elements.append(_button(PREV))
        elements.append(_button(NEXT))
        for asin in found[first : first + PRODUCTS_PER_PAGE]:
            product = self.shop.product(asin)
            elements.append(Element(ElementKind.PRODUCT, asin, clicked=asin in self.visited))
            elements += _texts(product.title, product.price_text)
        url = f"{BASE_URL}/search_results/{self.session_id}/{'+'.join(self.keywords)}/{self.page_number}"
        return Page(self.kind, url, tuple(elements))

    def _item_page(self) -> Page:
        product = self.product
        url = (
            f"{BASE_URL}/item_page/{self.session_id}/{product.asin}/{'+'.join(self.keywords)}/"
            f"{self.page_number}/{json.dumps(self.options)}"
        )
        elements = [*self._header(), _button(PREV)]
        for group, values in product.options.items():
            elements += _texts(group)
            # WebShop marks an option as clicked where its quoted label occurs in the URL.
            elements += [Element(ElementKind.OPTION, value, group, f'"{value}"' in url) for value in values]
        elements += _texts(product.title, f"Price: {product.price_text}", "Rating: N.A.")
        elements += [_button(label) for label in (*SUB_PAGES, BUY_NOW)]
        return Page(self.kind, url, tuple(elements))

    def _detail_page(self, detail: str) -> Page:
        url = (
            f"{BASE_URL}/item_sub_page/{self.session_id}/{self.product.asin}/{'+'.join(self.keywords)}/"
            f"{self.page_number}/{detail}/{self.options}"
        )
        content: list[str] = []
        if detail == DESCRIPTION:
            content = [self.product.description]
        elif detail == FEATURES:
            content = [f" {bullet}" for bullet in self.product.bullets]
        return Page(self.kind, url, (*self._header(), _button(PREV), *_texts(*content)))

    def _done_page(self, reward: float) -> Page:
        url = f"{BASE_URL}/done/{self.session_id}/{self.product.asin}/{self.options}"
        return Page(
            self.kind,
            url,
            tuple(
                _texts(
                    "Thank you for shopping with us!", "Your code: ", "None", " (Paste it in your MTurk interface.)",
                    "Purchased", "asin", self.product.asin, "options", _json_as_flask(self.options),
                    "attrs", "None", "category", "None", "query", "None", "product category", "None",
                    "Target", "asin", "options", "attrs", "price upper", "instuction text", "category",
                    "product category", "query", "Goal ", "None", "Reward",
                    "Your score (min 0.0, max 1.0)", str(reward), "Reward Details ", "None",
                )
            ),
        )  # fmt: skip


def _texts(*strings: str) -> list[Element]:
    """Text elements as an HTML parser leaves them: white space alone becomes one space, or goes if it has a newline."""
    elements = []
    for string in strings:
        if not string.strip(" \t\n\r\f\v"):
            if not string or "\n" in string:
                continue
            string = " "
        elements.append(Element(ElementKind.TEXT, string))
    return elements


def _button(label: str) -> Element:
    return Element(ElementKind.BUTTON, label)


def _json_as_flask(value: object) -> str:
    """JSON with sorted keys and HTML's special characters escaped, as the original's template filter prints it."""
    text = json.dumps(value, sort_keys=True)
    for character in "<>&'":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
