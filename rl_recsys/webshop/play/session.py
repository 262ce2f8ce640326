"""A shopping session: a small state machine over the shop, with WebShop's transitions."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rl_recsys.webshop.data.catalog import Product
from rl_recsys.webshop.goals.goal import Goal
from rl_recsys.webshop.play.listing import Listing
from rl_recsys.webshop.play.page import (
    BACK_TO_SEARCH,
    BUY_NOW,
    NEXT,
    PREV,
    SEARCH,
    SUB_PAGES,
    Block,
    Element,
    ElementKind,
    Page,
    PageKind,
    button,
    text_elements,
)
from rl_recsys.webshop.play.reward import Reward, score_purchase
from rl_recsys.webshop.search.filters import RANDOM, random_rows

if TYPE_CHECKING:
    from rl_recsys.webshop.shop import Shop

BASE_URL = "http://127.0.0.1:3000"  # what the original's text environment shows
PRODUCTS_PER_PAGE = 10
ACTION = re.compile(r"(.+)\[(.+)\]")  # WebShop's grammar: greedy, matched from the start
NO_REWARD = Reward(0.0, {})

# The server decides by the label before anything else, in lower case.
_BUY, _BACK, _NEXT, _PREV, _SEARCH = (label.lower() for label in (BUY_NOW, BACK_TO_SEARCH, NEXT, PREV, SEARCH))
_PREV_BLOCK, _NEXT_BLOCK = (Block(button(label)) for label in (PREV, NEXT))


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


def last_page(results: int) -> int:
    """The number of the last page that has a product, at least 1; WebShop turns on to empty pages after it.

    >>> last_page(0), last_page(10), last_page(11)
    (1, 1, 2)
    """
    return max(1, -(-results // PRODUCTS_PER_PAGE))


class Session:
    """One person's visit with one goal. Made by ``Shop.session``; holds nothing but its own position.

    Sessions of equal shop, goal and id answer equal actions equally: the id decides what there is of chance.
    """

    __slots__ = (
        "_goal_nouns",
        "_header",
        "_hits",
        "_listing",
        "_random",
        "done",
        "goal",
        "keywords",
        "kind",
        "options",
        "page",
        "page_number",
        "session_id",
        "shop",
        "visited",
    )

    def __init__(self, shop: Shop, goal: Goal, session_id: str):
        self.shop = shop
        self.goal = goal
        self.session_id = session_id
        self._goal_nouns: tuple[str, ...] | None = None
        self._header = Block(*text_elements("Instruction:", goal.instruction_text), button(BACK_TO_SEARCH))
        self._random: random.Random | None = None
        self.done = False
        self.visited: set[str] = set()
        self._reset()

    def __getstate__(self) -> dict[str, object]:
        state = {name: getattr(self, name) for name in self.__slots__}
        return state | {"_listing": self._listing.row if self._listing else None}

    def __setstate__(self, state: Mapping[str, object]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        if self._listing is not None:
            self._listing = self.shop.listing(state["_listing"])

    def _reset(self) -> None:
        self.kind = PageKind.SEARCH
        self.keywords: list[str] = []
        self.page_number = 1
        self.options: dict[str, str] = {}
        self.visited.clear()
        self._listing: Listing | None = None
        self._hits: Sequence[int] = ()
        self.page = self._search_page()

    @property
    def product(self) -> Product | None:
        """The product whose page this is, or the bought one; None on the search and results pages."""
        return self._listing.product if self._listing else None

    @property
    def last_page(self) -> int:
        """See ``last_page``; of the last search."""
        return last_page(len(self._hits))

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
            self._hits = self.shop.hits(" ".join(self.keywords))
            self._show_results(1)
        elif name == "click" and argument is not None and argument != _SEARCH:
            element = self.page.clickables.get(argument)
            if element is not None:
                bought = argument == _BUY and self._listing is not None
                reward = self._click(argument, element)
        return StepResult(self.page, reward.total, bought, reward.parts)

    def _click(self, label: str, element: Element) -> Reward:
        """WebShop's server decides by the label first, so an option named as a button acts as the button."""
        if self._listing is None and (label == _BUY or label in SUB_PAGES):
            return NO_REWARD  # a product that is called so: the original fails
        if label == _BUY:
            return self._buy()
        if label == _BACK:
            self._reset()
        elif label == _NEXT and self.kind is PageKind.RESULTS:
            self._show_results(self.page_number + 1)
        elif label == _PREV and self.kind is PageKind.RESULTS:
            self._show_results(self.page_number - 1)
        elif label == _PREV and self.kind is PageKind.ITEM:
            self._show_results(self.page_number)
        elif label in SUB_PAGES:
            self.kind = PageKind.DETAIL
            self.page = self._detail_page(SUB_PAGES[label])
        else:
            if element.kind is ElementKind.PRODUCT:
                self._listing = self.shop.listing(self.shop.row(element.text))
                self.visited.add(element.text)
            elif element.kind is ElementKind.OPTION:
                self.options[element.group] = label
            self.kind = PageKind.ITEM
            self.page = self._item_page()
        return NO_REWARD

    def _show_results(self, page_number: int) -> None:
        if self.keywords[0] == RANDOM and "catalog_filters" in self.shop.rules.quirks:
            self._random = self._random or random.Random(self.session_id)
            self._hits = random_rows(self.shop.product_count, self._random)
        self.kind = PageKind.RESULTS
        self.page_number = page_number
        self._listing = None
        self.options = {}
        self.page = self._results_page()

    def prepare_score(self) -> None:
        """Do beforehand what the first score needs. Of a goal from elsewhere that is to load a language model."""
        if self._goal_nouns is None:
            self._goal_nouns = self.shop.goal_nouns(self.goal)

    def score(self, product: Product, options: Iterable[str]) -> Reward:
        """What buying a product with these option values would bring for this session's goal."""
        self.prepare_score()
        return score_purchase(product, options, self.goal, self._goal_nouns, self.shop.rules.reward)

    def _buy(self) -> Reward:
        reward = self.score(self.product, self.options.values())
        self.kind = PageKind.DONE
        self.done = True
        self.page = self._done_page(reward.total)
        return reward

    # Pages: the visible strings in WebShop's order.

    def _search_page(self) -> Page:
        texts = text_elements("WebShop", "Instruction: ", self.goal.instruction_text)
        return Page(self.kind, f"{BASE_URL}/{self.session_id}", [Block(*texts, button(SEARCH))])

    def _results_page(self) -> Page:
        shop, visited, number = self.shop, self.visited, self.page_number
        first = PRODUCTS_PER_PAGE * (number - 1)
        blocks = [self._header, Block(*text_elements(f"Page {number} (Total results: {len(self._hits)})"))]
        if number > 1:
            blocks.append(_PREV_BLOCK)
        blocks.append(_NEXT_BLOCK)
        for row in self._hits[first : first + PRODUCTS_PER_PAGE] if first >= 0 else ():
            listing = shop.listing(row)
            blocks.append(listing.visited_result if listing.asin in visited else listing.result)
        url = f"{BASE_URL}/search_results/{self.session_id}/{'+'.join(self.keywords)}/{number}"
        return Page(self.kind, url, blocks)

    def _item_page(self) -> Page:
        listing = self._listing
        url = (
            f"{BASE_URL}/item_page/{self.session_id}/{listing.asin}/{'+'.join(self.keywords)}/"
            f"{self.page_number}/{json.dumps(self.options)}"
        )
        # A quote in a search could name an option as well, and WebShop would mark it.
        options = listing.options_chosen(url) if '"' in url else listing.options
        offer = listing.offer_with_attributes if self.shop.rules.show_attributes else listing.offer
        return Page(self.kind, url, [self._header, _PREV_BLOCK, options, offer])

    def _detail_page(self, name: str) -> Page:
        url = (
            f"{BASE_URL}/item_sub_page/{self.session_id}/{self._listing.asin}/{'+'.join(self.keywords)}/"
            f"{self.page_number}/{name}/{self.options}"
        )
        return Page(self.kind, url, [self._header, _PREV_BLOCK, self._listing.detail(name)])

    def _done_page(self, reward: float) -> Page:
        url = f"{BASE_URL}/done/{self.session_id}/{self._listing.asin}/{self.options}"
        texts = text_elements(
            "Thank you for shopping with us!", "Your code: ", "None", " (Paste it in your MTurk interface.)",
            "Purchased", "asin", self.product.asin, "options", _json_as_flask(self.options),
            "attrs", "None", "category", "None", "query", "None", "product category", "None",
            "Target", "asin", "options", "attrs", "price upper", "instuction text", "category",
            "product category", "query", "Goal ", "None", "Reward",
            "Your score (min 0.0, max 1.0)", str(reward), "Reward Details ", "None",
        )  # fmt: skip
        return Page(self.kind, url, [Block(*texts)])


def _json_as_flask(value: object) -> str:
    """JSON with sorted keys and HTML's special characters escaped, as the original's template filter prints it."""
    text = json.dumps(value, sort_keys=True)
    for character in "<>&'":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
