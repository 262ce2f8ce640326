"""How good recommended lists are: whether something near the top is worth a goal's whole reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rl_recsys.console.table import Table
from rl_recsys.core.outcome import is_success
from rl_recsys.evaluation.comparison import percent
from rl_recsys.evaluation.intervals import mean_interval
from rl_recsys.webshop.goals.wish import understand
from rl_recsys.webshop.recommending import Answer, Recommendation, search_only
from rl_recsys.webshop.shop import Shop

PLACES = (1, 3, 5)  # of a list, within which something must be worth the whole reward
Quality = Mapping[str, Mapping[str, float | tuple[float, float]]]  # column -> success, a share in [0, 1], and interval


def quality_beside_search(shop: Shop, goals: Sequence[int], answers: Sequence[Answer], top: int) -> dict[str, Quality]:
    """Of answers to the goals' words, and beside them of what the search alone finds for these: lists of ``top``."""
    recommended = [answer.products for answer in answers]
    searched = [search_only(shop, understand(answer.request))[:top] for answer in answers]
    return {
        "policy": list_quality(shop, goals, recommended, top),
        "search alone": list_quality(shop, goals, searched, top),
    }


def list_quality(shop: Shop, goals: Sequence[int], lists: Sequence[Sequence[Recommendation]], top: int) -> Quality:
    """For each of ``PLACES`` in lists of ``top``: for which share of goals one of the first so many earns all."""
    rewards_of_lists = [
        [
            shop.session(goal).score(shop.product(product.asin), product.options.values()).total
            for product in recommended
        ]
        for goal, recommended in zip(goals, lists, strict=True)
    ]
    asins = [shop.goal(goal).asin for goal in goals]
    quality = {}
    for places in (places for places in PLACES if places <= top):
        successes = [float(any(map(is_success, rewards[:places]))) for rewards in rewards_of_lists]
        quality[f"in the first {places}"] = {
            "success": sum(successes) / len(successes),
            "interval": mean_interval([successes], asins),
        }
    return quality


def quality_table(qualities: Mapping[str, Quality], title: str) -> Table:
    """The qualities of several arms' lists as a table, one arm a row."""
    columns = ("arm", *next(iter(qualities.values())))
    rows = [
        (arm, *(percent(column["success"], column["interval"]) for column in quality.values()))
        for arm, quality in qualities.items()
    ]
    return Table(f"{title}: something worth the whole reward, % (95 % interval)", columns, rows)
