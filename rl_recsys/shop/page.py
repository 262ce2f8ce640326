"""What the shop shows: a page is a list of typed elements; observations and actions are views of it."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

SEARCH, BACK_TO_SEARCH, NEXT, PREV, BUY_NOW = "Search", "Back to Search", "Next >", "< Prev", "Buy Now"
DESCRIPTION, FEATURES, REVIEWS = "Description", "Features", "Reviews"
SUB_PAGES = (DESCRIPTION, FEATURES, REVIEWS)


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


@dataclass(frozen=True, slots=True)
class Element:
    """One visible string. ``group`` is an option's name; ``clicked``: option chosen, or product already visited."""

    kind: ElementKind
    text: str
    group: str = ""
    clicked: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a session. ``url`` is the one the original's text environment would show."""

    kind: PageKind
    url: str
    elements: tuple[Element, ...]

    def of_kind(self, kind: ElementKind) -> Iterator[Element]:
        """The elements of one kind, in page order."""
        return (element for element in self.elements if element.kind is kind)

    @property
    def clickables(self) -> dict[str, Element]:
        """Lower-cased label -> element: buttons, products, options; a later equal label replaces (WebShop)."""
        found = {element.text.lower(): element for element in self.of_kind(ElementKind.BUTTON)}
        found |= {element.text.lower(): element for element in self.of_kind(ElementKind.PRODUCT)}
        found |= {element.text: element for element in self.of_kind(ElementKind.OPTION)}
        return found

    @property
    def available_actions(self) -> dict:
        """{"has_search_bar": bool, "clickables": [str, ...]} as the original lists them."""
        return {"has_search_bar": self.kind is PageKind.SEARCH, "clickables": list(self.clickables)}

    @property
    def text(self) -> str:
        """The original's ``text`` observation: visible strings, stripped, joined by " [SEP] "."""
        return " [SEP] ".join(element.text.strip() for element in self.elements)

    @property
    def text_rich(self) -> str:
        """The original's ``text_rich`` observation: one string a line, buttons marked."""
        lines: list[str] = []
        clicked: list[str] = []
        for element in self.elements:
            marker = "clicked button" if element.clicked else "button"
            marked = f"[{marker}] {element.text} [{marker}_]"
            if element.kind is ElementKind.TEXT:
                lines.append(element.text)
            elif element.kind is ElementKind.BUTTON:
                lines.append(marked)
            elif element.kind is ElementKind.PRODUCT:
                lines.append("\n" + marked)
            else:
                lines.append("  " + marked)
                if element.clicked:
                    clicked.insert(0, f"You have clicked {element.text}.")  # later options come first
        return "".join(line + "\n" for line in (*clicked, *lines))

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


OBSERVATION_MODES: dict[str, Callable[[Page], str]] = {
    "text": lambda page: page.text,
    "text_rich": lambda page: page.text_rich,
    "html": lambda page: page.html,
    "url": lambda page: page.url,
}
