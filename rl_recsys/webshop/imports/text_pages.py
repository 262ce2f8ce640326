"""WebShop's ``text_rich`` observations read back into pages: for recordings that hold nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from rl_recsys.errors import UserError
from rl_recsys.webshop.play.page import (
    BACK_TO_SEARCH,
    BUY_NOW,
    NEXT,
    PREV,
    SEARCH,
    Block,
    Element,
    ElementKind,
    Page,
    PageKind,
    text_elements,
)

_MARKED = re.compile(r"(  )?\[(clicked )?button\] (.*) \[(?:clicked )?button_\]")
_CHOSEN = re.compile(r"You have clicked .*\.")
_RESULTS = re.compile(r"Page (-?\d+) \(Total results: (\d+)\)")
_THANKS = "Thank you for shopping with us!"
_NAVIGATION = (NEXT, PREV, BACK_TO_SEARCH)


class ObservationError(UserError):
    """A text is no ``text_rich`` observation of WebShop; the message says what is missing."""


@dataclass
class TextPage:
    """What an observation says: the page, and of its product or products what is written there."""

    kind: PageKind
    instruction: str
    elements: list[Element]
    page_number: int = 1
    total_results: int = 0
    titles: dict[str, tuple[str, str]] = field(default_factory=dict)  # asin -> (title, price text) of results
    options: dict[str, list[str]] = field(default_factory=dict)  # of an item page
    title: str = ""
    price_text: str = ""
    texts: list[str] = field(default_factory=list)  # of a sub page

    def page(self, url: str) -> Page:
        """The same as a ``Page``."""
        return Page(self.kind, url, [Block(*self.elements)])


def read_text_page(observation: str) -> TextPage:
    """Read a ``text_rich`` observation of any page. Raises ``ObservationError`` where it is none."""
    lines = observation.split("\n")
    while lines and _CHOSEN.fullmatch(lines[0]):  # chosen options are named before the page
        del lines[0]
    if lines and lines[0] == _THANKS:
        return TextPage(PageKind.DONE, "", text_elements(*lines))
    start = next((number for number, line in enumerate(lines[:3]) if line.strip() == "Instruction:"), None)
    if start is None:
        raise ObservationError(f"no WebShop observation: {observation[:60]!r} does not begin with an instruction")
    end = next((number for number, line in enumerate(lines) if _label(line) in (SEARCH, BACK_TO_SEARCH)), None)
    if end is None:
        raise ObservationError(f"no WebShop observation: neither {SEARCH!r} nor {BACK_TO_SEARCH!r} is a button of it")
    instruction = "\n".join(lines[start + 1 : end])
    elements = [*text_elements("Instruction:", instruction), Element(ElementKind.BUTTON, _label(lines[end]))]
    rest = lines[end + 1 :]
    if _label(lines[end]) == SEARCH:
        return TextPage(PageKind.SEARCH, instruction, elements)
    results = _RESULTS.fullmatch(rest[0]) if rest else None
    if results:
        page = TextPage(PageKind.RESULTS, instruction, elements, int(results[1]), int(results[2]))
        _read_results(rest[1:], page)
    elif any(_label(line) == BUY_NOW for line in rest):
        page = TextPage(PageKind.ITEM, instruction, elements)
        _read_item(rest, page)
    else:
        page = TextPage(PageKind.DETAIL, instruction, elements)
        page.elements.append(Element(ElementKind.BUTTON, PREV))
        for line in rest:
            if _label(line) is not None or not line:
                continue
            if page.texts and page.texts[0].startswith(" ") and not line.startswith(" "):
                page.texts[-1] += f"\n{line}"  # a feature begins with a space, so this line goes on with the last one
            else:
                page.texts.append(line)
        page.elements += text_elements(*page.texts)
    return page


def _label(line: str) -> str | None:
    marked = _MARKED.fullmatch(line)
    return marked[3] if marked else None


def _read_results(lines: list[str], page: TextPage) -> None:
    asin, texts = None, []

    def end_of_product() -> None:
        if asin is not None:
            page.titles[asin] = ("\n".join(texts[:-1]), texts[-1] if texts else "")

    for line in lines:
        marked = _MARKED.fullmatch(line)
        if not marked:
            if line:
                texts.append(line)
                page.elements += text_elements(line)
        elif marked[3] in _NAVIGATION:
            page.elements.append(Element(ElementKind.BUTTON, marked[3]))
        else:
            end_of_product()
            asin, texts = marked[3], []
            page.elements.append(Element(ElementKind.PRODUCT, asin, clicked=bool(marked[2])))
    end_of_product()


def _read_item(lines: list[str], page: TextPage) -> None:
    texts: list[str] = []  # since the last option
    group = ""
    for line in lines:
        marked = _MARKED.fullmatch(line)
        if not marked:
            texts.append(line)
            page.elements += text_elements(line)
        elif marked[1]:
            group, texts = (texts[-1] if texts else group), []
            page.options.setdefault(group, []).append(marked[3])
            page.elements.append(Element(ElementKind.OPTION, marked[3], group, bool(marked[2])))
        else:
            page.elements.append(Element(ElementKind.BUTTON, marked[3]))
    price = next((place for place, text in enumerate(texts) if text.startswith("Price: ")), len(texts))
    page.title = "\n".join(texts[:price])
    page.price_text = texts[price].removeprefix("Price: ") if price < len(texts) else ""
