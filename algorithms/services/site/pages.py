"""What a page of the shop shows to a person: the same elements that an agent can act on, with a product's picture."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

from algorithms.services.site.visits import can_click
from rl_recsys.webshop import Goal, Product, Session
from rl_recsys.webshop.goals.goal import NO_PRICE_LIMIT
from rl_recsys.webshop.play.page import (
    BACK_TO_SEARCH,
    BUY_NOW,
    NEXT,
    PREV,
    SUB_PAGES,
    Element,
    ElementKind,
    PageKind,
)

TONES = 6  # of the pictures of products that have none
#: Names that lead nowhere (RFC 2606): a made-up catalogue has its pictures there.
_NOWHERE = re.compile(r"(^|\.)(example|invalid|test|localhost|example\.(com|net|org))$")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")
_CENTS = re.compile(r"(\$\d+\.\d)(?!\d)")
#: How near a product's kind is to the wanted one, by WebShop's value for it.
_KINDS = {1.0: "the right kind", 0.5: "a related kind", 0.1: "a distant kind", 0.0: "another kind"}


@dataclass(frozen=True)
class Picture:
    """A product's picture: its address, or None where there is none, and what stands in its place."""

    address: str | None
    letters: str
    tone: int

    @property
    def origin(self) -> str | None:
        """What the page's policy has to allow for the picture."""
        if self.address is None:
            return None
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc.lower()}"


@dataclass(frozen=True)
class Item:
    """A product in a list, or on a page of its own; ``place``: of the element to click, None where it cannot be."""

    product: Product
    picture: Picture
    price: str
    place: int | None = None
    seen: bool = False


@dataclass(frozen=True)
class Button:
    """Something to click at a place of the page; None where the shop cannot tell it from another."""

    label: str
    place: int | None
    pressed: bool = False


def picture_of(product: Product) -> Picture:
    """The picture of a product, if its address is one that a browser may be sent to."""
    words = re.findall(r"[^\W\d_]+", product.title) or ["?"]
    letters = "".join(word[0] for word in words[:2]).upper()
    return Picture(_address(product.image), letters, crc32(letters.encode()) % TONES)


def _address(image: str) -> str | None:
    try:
        parts = urlsplit(image.strip())
        usable = parts.scheme in ("https", "http") and _HOST.fullmatch(parts.netloc.lower())
        return None if not usable or _NOWHERE.search(parts.hostname or "") else image.strip()
    except ValueError:
        return None


def price_of(product: Product) -> str:
    """A price as people write it: "$12.50", not "$12.5"."""
    return _CENTS.sub(r"\g<1>0", product.price_text)


def shown(session: Session) -> dict[str, Any]:
    """The variables of the template of a session's page."""
    return {
        PageKind.SEARCH: lambda: {},
        PageKind.RESULTS: lambda: _results(session),
        PageKind.ITEM: lambda: _item(session),
        PageKind.DETAIL: lambda: _detail(session),
        PageKind.DONE: lambda: _done(session),
    }[session.kind]() | {"kind": session.kind.value, "back": _button(session, BACK_TO_SEARCH)}


def item_of(product: Product, place: int | None = None, *, seen: bool = False) -> Item:
    """A product as pages show it."""
    return Item(product, picture_of(product), price_of(product), place, seen)


def _clickable(session: Session, place: int, element: Element) -> int | None:
    return place if can_click(session, element) else None


def _elements(session: Session, kind: ElementKind) -> Iterator[tuple[int, Element]]:
    return ((n, one) for n, one in enumerate(session.page.elements) if one.kind is kind)


def _button(session: Session, label: str) -> Button | None:
    """A button of the page, None where it has none of this label."""
    found = [(n, one) for n, one in _elements(session, ElementKind.BUTTON) if one.text == label]
    return Button(label, _clickable(session, *found[0])) if found else None


def _results(session: Session) -> dict[str, Any]:
    items = [
        item_of(session.shop.product(one.text), _clickable(session, n, one), seen=one.clicked)
        for n, one in _elements(session, ElementKind.PRODUCT)
    ]
    return {
        "items": items,
        "query": " ".join(session.keywords),
        "number": session.page_number,
        "last": session.last_page,
        "earlier": _button(session, PREV),
        "later": _button(session, NEXT) if session.page_number < session.last_page else None,
    }


def _item(session: Session) -> dict[str, Any]:
    groups: dict[str, list[Button]] = {name: [] for name in session.product.options}
    for n, one in _elements(session, ElementKind.OPTION):
        pressed = session.options.get(one.group) == one.text
        groups[one.group].append(Button(one.text, _clickable(session, n, one), pressed))
    return {
        "item": item_of(session.product),
        "groups": {name: buttons for name, buttons in groups.items() if buttons},
        "open": [name for name in groups if name not in session.options and groups[name]],
        "details": [found for name in SUB_PAGES.values() if (found := _button(session, name))],
        "buy": _button(session, BUY_NOW),
        "earlier": _button(session, PREV),
    }


def _detail(session: Session) -> dict[str, Any]:
    name = session.page.url.removesuffix(f"/{session.options}").rpartition("/")[2]
    texts = [one.text.strip() for one in session.page.blocks[-1].elements]
    return {
        "item": item_of(session.product),
        "name": name,
        "texts": [text for text in texts if text],
        "earlier": _button(session, PREV),
    }


def _done(session: Session) -> dict[str, Any]:
    return {"item": item_of(session.product), "options": dict(session.options)}


def what_counted(goal: Goal, parts: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What a purchase earned, as rows: what counts, what was wanted of it, what was found (WebShop's reward)."""
    rows = [("kind of product", goal.query, _KINDS.get(parts["r_type"], f"{parts['r_type']:.1f}"))]
    options = goal.goal_options
    named = [f"{k}: {v}" for k, v in options.items()] if isinstance(options, Mapping) else list(options)
    for name, wanted, key in (("features", list(goal.attributes), "r_att"), ("options", named, "r_option")):
        if wanted:
            rows.append((name, ", ".join(wanted), f"{round(parts.get(key, 0) * len(wanted))} of {len(wanted)}"))
    limit = "any price" if goal.price_upper >= NO_PRICE_LIMIT else f"at most ${goal.price_upper:.2f}"
    return [*rows, ("price", limit, "within it" if parts["r_price"] else "above it")]


def how_reckoned(goal: Goal, parts: Mapping[str, Any], reward: float) -> str:
    """The reward's sum in one line."""
    features, options = len(goal.attributes), len(goal.goal_options)
    found = round(parts["r_att"] * features) + round(parts.get("r_option", 0) * options) + int(parts["r_price"])
    counted = [name for name, wanted in (("features", features), ("options", options)) if wanted]
    said = f"{found} of {features + options + 1} ({' and '.join(filter(None, [', '.join(counted), 'price']))})"
    return f"Reward = {parts['r_type']:.1f} (kind of product) x {said} = {reward:.2f}"


def origins(context: Mapping[str, Any]) -> list[str]:
    """Where the pictures of a page come from."""
    items: Sequence[Item] = [*context.get("items", ()), *filter(None, [context.get("item")])]
    return sorted({one.picture.origin for one in items if one.picture.origin})
