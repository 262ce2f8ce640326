"""WebShop's site logs: a record for each page that was shown, and what was done between them, which they do not say."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from rl_recsys.core.trajectory import ImportedSessionError
from rl_recsys.webshop.play.page import BACK_TO_SEARCH, BUY_NOW, NEXT, PREV, ElementKind, PageKind
from rl_recsys.webshop.play.session import Session

_PAGES = ("search_results", "item_page", "item_sub_page", "done")  # their URLs have the session after this


def logged_page(session: Session, *, name: str, site: str, reward: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What WebShop's site logs of the page that a session shows.

    ``site`` is where its URLs begin, and ``name`` the session's in them. ``reward``: the keys "reward" and
    "reward_info" of a purchase.
    """
    keywords, options = str(session.keywords), dict(session.options)
    asin = session.product.asin if session.product else ""
    number = str(session.page_number)
    item = {"keywords": keywords, "page": number, "asin": asin, "options": options}
    content: dict[str, Any] | None = None
    if session.kind is PageKind.SEARCH:
        kind, parts = "index", [name]
    elif session.kind is PageKind.RESULTS:
        kind, parts = "search_results", ["search_results", name, keywords, number]
        shown = [element.text for element in session.page.of_kind(ElementKind.PRODUCT)]
        content = {"keywords": session.keywords, "search_result_asins": shown, "page": session.page_number}
    elif session.kind is PageKind.ITEM:
        kind, parts, content = "item_page", ["item_page", name, asin, keywords, number, str(options)], item
    elif session.kind is PageKind.DETAIL:
        kind, content = "item_sub_page", item
        shown = session.page.url.removesuffix(f"/{session.options}").rpartition("/")[2]
        parts = ["item_sub_page", name, asin, keywords, number, shown, str(options)]
    else:
        kind, parts = "done", ["done", name, asin, str(options)]
        content = {"asin": asin, "options": options, "price": session.product.price}
    url = "/".join([site, *(quote(part, safe="") for part in parts)])
    record = {"page": kind, "url": url, "goal": asdict(session.goal)}
    return record | ({} if content is None else {"content": content}) | dict(reward or {})


def logged_sessions(pages: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The sessions that a site log has, one after the other: each visitor of a site's start page may be session "abc".

    A session ends with a purchase, and where the goal or the session's name changes. A page of a purchase that was
    loaded again belongs to it.
    """
    sessions: list[list[Mapping[str, Any]]] = []
    for page in pages:
        last = sessions[-1][-1] if sessions else None
        again = last is not None and page.get("url") == last.get("url")
        if last is None or _visit(page) != _visit(last) or (last.get("page") == "done" and not again):
            sessions.append([])
        sessions[-1].append(page)
    return sessions


def _visit(page: Mapping[str, Any]) -> tuple[str, str]:
    """What tells a page's session from others: the goal, and the session's name in the URL."""
    parts = urlsplit(str(page.get("url"))).path.strip("/").split("/")
    name = parts[1] if parts[0] in _PAGES and len(parts) > 1 else parts[0]
    return json.dumps(page.get("goal"), sort_keys=True), name


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
        options_stay = all(name in there["options"] for name in here["options"])
        return f"click[{chosen[0]}]" if len(chosen) == 1 and options_stay else None
    if move == ("item_page", "item_sub_page") and same_product:
        return f"click[{unquote(urlsplit(after['url']).path.rstrip('/').split('/')[-2]).lower()}]"
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
