"""What was done between the pages that WebShop's site logs, which hold no actions."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from rl_recsys.shop.page import BACK_TO_SEARCH, BUY_NOW, NEXT, PREV
from rl_recsys.trajectories.record import ImportedSessionError


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
        kept = all(name in there["options"] for name in here["options"])
        return f"click[{chosen[0]}]" if len(chosen) == 1 and kept else None
    if move == ("item_page", "item_sub_page") and same_product:
        return f"click[{unquote(urlsplit(after['url']).path).rstrip('/').split('/')[-2].lower()}]"
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
