"""Which goals are for training and which for the test, by protocol. A goal is its position in WebShop's order."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Sequence

TEST_GOALS = 500  # every protocol tests on as many goals, where the shop has them

#: Half-open ranges of positions, as the studies of 1,000 products and the original cut the order.
RANGES = {
    "1k": {"test": (0, TEST_GOALS), "train": (TEST_GOALS, None)},
    "original": {"test": (0, TEST_GOALS), "dev": (TEST_GOALS, 1500), "train": (1500, None)},
}
#: Protocols by which no product of test and dev is trained on, and how many of their goals each of the two has at most.
PRODUCT_DISJOINT = {"product-disjoint": TEST_GOALS, "product-disjoint-all": None}
# Of ten shares of all products, two are met in the test only and one in development only.
_SHARES = 10
_HELD_OUT = {"test": (0, 1), "dev": (2,)}


def split_names(protocol: str) -> tuple[str, ...]:
    """The names of a protocol's splits."""
    return tuple(RANGES[protocol]) if protocol in RANGES else (*_HELD_OUT, "train")


def split_goals(protocol: str, name: str, asins: Iterable[str], count: int) -> Sequence[int]:
    """The goals of a split, ascending; none where the shop is too small.

    ``asins`` are the products of all ``count`` goals. Under ``PRODUCT_DISJOINT`` a digest of its asin decides whose
    product is held out, so a product stays on its side when the catalogue grows.
    """
    if protocol in RANGES:
        first, end = RANGES[protocol][name]
        return range(first, count if end is None else min(end, count))
    most = PRODUCT_DISJOINT[protocol]
    sides: dict[str, str] = {}
    found = array("q")
    for goal, asin in enumerate(asins):
        side = sides.get(asin)
        if side is None:
            side = sides[asin] = side_of(asin)
        if side == name:
            found.append(goal)
            if name != "train" and len(found) == most:
                break
    return found


def side_of(asin: str) -> str:
    """The split that a product's goals are in under ``PRODUCT_DISJOINT``."""
    share = int.from_bytes(hashlib.sha256(asin.encode()).digest()[:4]) % _SHARES
    return next((name for name, shares in _HELD_OUT.items() if share in shares), "train")
