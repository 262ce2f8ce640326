"""A session as published agents meet it: the page's own words and what can be clicked on it, with nothing reckoned."""

from __future__ import annotations

from enum import IntEnum

from rl_recsys.core.decision import Choice
from rl_recsys.webshop.observe.decisions import ChoiceSession
from rl_recsys.webshop.play.page import Block, Element, ElementKind, PageKind

#: Raised with every change of a decision's words or kinds: what was recorded or trained before does not fit.
PLAIN_FORMAT = 1
INSTRUCTION = "Instruction:"  # the page's, before the instruction


class PlainKind(IntEnum):
    """What an action is, as far as the page itself marks it."""

    NONE = 0  # padding
    SEARCH = 1
    BUTTON = 2
    PRODUCT = 3
    VISITED_PRODUCT = 4  # since the last search, as WebShop marks it
    OPTION = 5
    CHOSEN_OPTION = 6


class PlainSession(ChoiceSession):
    """A ``ChoiceSession`` whose decisions have plain pages.

    The state is the instruction, then what ``text_rich`` shows, a segment for each part of the page, in its order; it
    remembers nothing of earlier pages. Choices are all that can be clicked, in their own words: a product is its title
    and price, as the results page has them. What is typed into the search box is one of the same candidates as on
    guided pages, as a policy of choices writes nothing itself. What a list beyond ``max_choices`` drops is as there.
    """

    def _state(self) -> tuple[str, ...]:
        instruction = self.session.goal.instruction_text
        parts = (self._words(block) for block in self.session.page.blocks)
        return instruction, *filter(None, parts)

    def _words(self, block: Block) -> str:
        """A part of the page without the instruction, which the state begins with, and without a product's number."""
        left_out = {INSTRUCTION, self.session.goal.instruction_text.strip()}
        elements = [
            one for one in block.elements if one.kind is not ElementKind.PRODUCT and one.text.strip() not in left_out
        ]
        visited = any(one.kind is ElementKind.PRODUCT and one.clicked for one in block.elements)
        words = [f"clicked {one.text}" if one.clicked else one.text.strip() for one in elements]
        return " ".join([*(["clicked"] if visited else []), *words])

    def _choices(self) -> list[Choice]:
        if self.session.kind is PageKind.SEARCH:
            return self._searches(PlainKind.SEARCH)
        return [Choice(f"click[{label}]", *self._described(label, one)) for label, one in self._clickable()]

    def _described(self, label: str, element: Element) -> tuple[str, PlainKind]:
        if element.kind is ElementKind.PRODUCT:
            product = self.session.shop.product(element.text)
            kind = PlainKind.VISITED_PRODUCT if element.clicked else PlainKind.PRODUCT
            return f"{product.title} {product.price_text}", kind
        if element.kind is ElementKind.OPTION:
            return f"{element.group} {label}", PlainKind.CHOSEN_OPTION if element.clicked else PlainKind.OPTION
        return label, PlainKind.BUTTON
