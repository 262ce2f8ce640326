"""How good recommended lists are: how near the top something is that a goal wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from rl_recsys.console.table import Table
from rl_recsys.core.outcome import is_success
from rl_recsys.evaluation.comparison import percent
from rl_recsys.evaluation.intervals import mean_interval
from rl_recsys.webshop.goals.wish import understand
from rl_recsys.webshop.recommending import Answer, Recommendation, search_only
from rl_recsys.webshop.shop import Shop

PLACES = (1, 3, 5, 10)  # of a list, within which something must be a hit
MRR = "MRR"  # the mean over lists of 1 / the place of the first hit, 0 without one
HITS = ("worth the whole reward", "the goal's own product")
Quality = Mapping[str, Mapping[str, float | tuple[float, float]]]  # column -> mean, in [0, 1], and interval


def quality_beside_search(
    shop: Shop, goals: Sequence[int], answers: Sequence[Answer], top: int
) -> dict[str, dict[str, Quality]]:
    """Of answers to the goals' words, and beside them of what the search alone finds for these: lists of ``top``.

    By what counts as a hit (``HITS``), then by arm.
    """
    lists = {
        "policy": [answer.products for answer in answers],
        "search alone": [search_only(shop, understand(answer.request))[:top] for answer in answers],
    }
    places = {
        arm: [_first_hits(shop, *both) for both in zip(goals, found, strict=True)] for arm, found in lists.items()
    }
    asins = [shop.goal(goal).asin for goal in goals]
    return {
        hit: {arm: _quality([of[number] for of in found], asins, top) for arm, found in places.items()}
        for number, hit in enumerate(HITS)
    }


def _first_hits(shop: Shop, goal: int, recommended: Sequence[Recommendation]) -> tuple[float, float]:
    """The places in a list, from 1, of the first product of each of ``HITS``; infinite without one."""
    session, asin = shop.session(goal), shop.goal(goal).asin
    rewards = (session.score(shop.product(one.asin), one.options.values()).total for one in recommended)
    worth = next((place for place, reward in enumerate(rewards, 1) if is_success(reward)), inf)
    own = next((place for place, one in enumerate(recommended, 1) if one.asin == asin), inf)
    return worth, own


def _quality(first_hits: Sequence[float], asins: Sequence[str], top: int) -> Quality:
    columns = {
        f"in the first {places}": [float(hit <= places) for hit in first_hits] for places in PLACES if places <= top
    }
    columns[MRR] = [1 / hit for hit in first_hits]
    return {
        column: {"mean": sum(values) / len(values), "interval": mean_interval([values], asins)}
        for column, values in columns.items()
    }


def quality_table(qualities: Mapping[str, Quality], title: str) -> Table:
    """The qualities of several arms' lists as a table, one arm a row."""
    columns = ("arm", *next(iter(qualities.values())))
    rows = [
        (arm, *(percent(column["mean"], column["interval"]) for column in quality.values()))
        for arm, quality in qualities.items()
    ]
    return Table(f"{title}, % (95 % interval)", columns, rows)
