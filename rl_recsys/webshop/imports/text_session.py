"""A session that was recorded as ``text_rich`` observations, followed where there is no shop with its products."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

from rl_recsys.webshop import Product, StepResult
from rl_recsys.webshop.imports.text_pages import TextPage, read_text_page
from rl_recsys.webshop.play.page import BUY_NOW, DESCRIPTION, FEATURES, SUB_PAGES, ElementKind, PageKind
from rl_recsys.webshop.play.session import BASE_URL, last_page, parse_action


class _SeenProducts(dict[str, Product]):
    """The products that a recording showed, in the place of a shop."""

    def product(self, asin: str) -> Product:
        """What was shown of a product."""
        return self[asin]


class TextSession:
    """A recorded session that stands in for ``rl_recsys.webshop.Session``: a step shows the next observation.

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
