"""What the shop shows: a page is typed elements in blocks; observations and actions are views of them."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

SEARCH, BACK_TO_SEARCH, NEXT, PREV, BUY_NOW = "Search", "Back to Search", "Next >", "< Prev", "Buy Now"
DESCRIPTION, FEATURES, REVIEWS, ATTRIBUTES = "Description", "Features", "Reviews", "Attributes"
BUTTONS = frozenset(
    label.lower() for label in (SEARCH, BACK_TO_SEARCH, NEXT, PREV, BUY_NOW, DESCRIPTION, FEATURES, REVIEWS, ATTRIBUTES)
)
SUB_PAGES = {name.lower(): name for name in (DESCRIPTION, FEATURES, REVIEWS, ATTRIBUTES)}


class PageKind(StrEnum):
    """The five pages of the shop."""

    SEARCH = "search"
    RESULTS = "results"
    ITEM = "item"
    DETAIL = "detail"
    DONE = "done"


class ElementKind(StrEnum):
    """What an element is, and so how it can be acted on."""

    TEXT = "text"
    BUTTON = "button"
    PRODUCT = "product"
    OPTION = "option"


class Element(NamedTuple):
    """One visible string. ``group`` is an option's name; ``clicked``: option chosen, or product already visited."""

    kind: ElementKind
    text: str
    group: str = ""
    clicked: bool = False


class Block:
    """Elements that stand together, with their part of the views. What recurs on pages is a block that is kept."""

    __slots__ = ("_text", "buttons", "chosen", "elements", "options", "products", "text_rich")

    def __init__(self, *elements: Element):
        self.elements = elements
        self.buttons: dict[str, Element] = {}
        self.products: dict[str, Element] = {}
        self.options: dict[str, Element] = {}
        lines, chosen = [], ""
        for element in elements:
            kind, text = element.kind, element.text
            if kind is ElementKind.TEXT:
                lines.append(f"{text}\n")
                continue
            marker = "clicked button" if element.clicked else "button"
            marked = f"[{marker}] {text} [{marker}_]\n"
            if kind is ElementKind.BUTTON:
                lines.append(marked)
                self.buttons[text.lower()] = element
            elif kind is ElementKind.PRODUCT:
                lines.append(f"\n{marked}")
                self.products[text.lower()] = element
            else:
                lines.append(f"  {marked}")
                self.options[text] = element
                if element.clicked:
                    chosen = f"You have clicked {text}.\n{chosen}"  # later options come first
        self.text_rich, self.chosen = "".join(lines), chosen
        self._text: str | None = None

    @property
    def text(self) -> str:
        """Its part of ``Page.text``; made when it is first asked for."""
        if self._text is None:
            self._text = " [SEP] ".join(element.text.strip() for element in self.elements)
        return self._text


class Page:
    """A page of a session. ``url`` is the one the original's text environment would show."""

    __slots__ = ("_clickables", "blocks", "kind", "url")

    def __init__(self, kind: PageKind, url: str, blocks: Sequence[Block]):
        self.kind, self.url, self.blocks = kind, url, blocks
        self._clickables: dict[str, Element] | None = None

    @property
    def elements(self) -> tuple[Element, ...]:
        """Everything visible, in page order."""
        return tuple(element for block in self.blocks for element in block.elements)

    def of_kind(self, kind: ElementKind) -> Iterator[Element]:
        """The elements of one kind, in page order."""
        return (element for element in self.elements if element.kind is kind)

    @property
    def clickables(self) -> dict[str, Element]:
        """Lower-cased label -> the element that a click on it means: buttons, products, options.

        Of equal labels the last is meant, but a button before all: WebShop's server looks at the label first.
        """
        if self._clickables is None:
            found: dict[str, Element] = {}
            for kind in ("buttons", "products", "options", "buttons"):
                for block in self.blocks:
                    found.update(getattr(block, kind))
            self._clickables = found
        return self._clickables

    @property
    def available_actions(self) -> dict:
        """{"has_search_bar": bool, "clickables": [str, ...]} as the original lists them."""
        return {"has_search_bar": self.kind is PageKind.SEARCH, "clickables": list(self.clickables)}

    @property
    def text(self) -> str:
        """The original's ``text`` observation: visible strings, stripped, joined by " [SEP] "."""
        return " [SEP] ".join(block.text for block in self.blocks if block.elements)

    @property
    def text_rich(self) -> str:
        """The original's ``text_rich`` observation: one string a line, buttons marked, chosen options first."""
        chosen = [block.chosen for block in reversed(self.blocks)]
        return "".join([*chosen, *[block.text_rich for block in self.blocks]])

    @property
    def html(self) -> str:
        """A plain HTML page with the same visible strings and the original's classes and ids."""
        parts = ["<!DOCTYPE html>\n<html><body>"]
        for number, element in enumerate(self.elements):
            label = html.escape(element.text)
            if element.kind is ElementKind.TEXT:
                parts.append(f"<p>{label}</p>")
            elif element.kind is ElementKind.BUTTON:
                if element.text == SEARCH:
                    parts.append('<input id="search_input" name="search_query">')
                parts.append(f'<button class="btn" type="submit">{label}</button>')
            elif element.kind is ElementKind.PRODUCT:
                parts.append(f'<a class="product-link" href="#{label}">{label}</a>')
            else:
                name, checked = html.escape(element.group), " checked" if element.clicked else ""
                parts.append(f'<input type="radio" id="o{number}" name="{name}" value="{label}"{checked}>')
                parts.append(f'<label for="o{number}">{label}</label>')
        return "\n".join((*parts, "</body></html>"))

    def observe(self, mode: str) -> str:
        """The observation in one of the original's modes: "text", "text_rich", "html" or "url"."""
        try:
            view = OBSERVATION_MODES[mode]
        except KeyError:
            raise ValueError(f"observation mode {mode!r}: choose one of {', '.join(OBSERVATION_MODES)}") from None
        return view(self)


def text_elements(*strings: str) -> list[Element]:
    """Text elements as an HTML parser leaves them: white space alone becomes one space, or goes if it has a newline."""
    elements = []
    for string in strings:
        if not string.strip(" \t\n\r\f\v"):
            if not string or "\n" in string:
                continue
            string = " "
        elements.append(Element(ElementKind.TEXT, string))
    return elements


def button(label: str) -> Element:
    """A button."""
    return Element(ElementKind.BUTTON, label)


OBSERVATION_MODES: dict[str, Callable[[Page], str]] = {
    "text": lambda page: page.text,
    "text_rich": lambda page: page.text_rich,
    "html": lambda page: page.html,
    "url": lambda page: page.url,
}
