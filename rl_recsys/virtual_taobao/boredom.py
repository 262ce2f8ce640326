"""Leave-when-bored, which is ours and not the original's: customers tire of the same, and each had enough of something.

In the original nothing that is shown changes anything later, and there are many pages that all customers click on. A
rule about the distance of two pages alone would make a few of these in turn the best, whoever comes. So here a customer
has a past, which hangs on the attributes, and is bored by a page that points the same way as it or as the page before.
"""

from __future__ import annotations

import numpy as np

from rl_recsys.virtual_taobao.networks import CUSTOMER, FEATURES, ITEM_ATTRIBUTES, NOISE, Networks

_SEED = 0  # of the directions: part of the rule, not of a run


class Boredom:
    """What bores the customers of some networks.

    Each of the 88 features has a direction in the 27 item attributes, drawn once from the normal distribution; those of
    an attribute's categories have the mean 0 over the customers that come. A customer's past is the sum of the 11
    directions, so that no direction is new to most customers.
    """

    def __init__(self, networks: Networks):
        directions = np.random.RandomState(_SEED).standard_normal((FEATURES, ITEM_ATTRIBUTES))
        common = networks.categories(np.full((1, NOISE), 0.5, np.float32))[:, :, 0]
        for start, shares in zip(CUSTOMER.starts, common, strict=True):
            group = directions[start : start + np.count_nonzero(shares)]
            group -= shares[: len(group)] @ group / shares.sum()
        self._directions = directions

    def pasts(self, categories: np.ndarray) -> np.ndarray:
        """Of customers [n, 27] by their categories [n, 11]: what they had enough of before they came."""
        return self._directions[categories + CUSTOMER.starts].sum(axis=1)


def bored(actions: np.ndarray, pasts: np.ndarray, recent: np.ndarray, pages: np.ndarray) -> np.ndarray:
    """Who is bored [n] by the pages of actions [n, 27].

    It is who has seen something with which these make no obtuse angle: the past [n, 27], or one of the recent pages
    [n, memory, 27], the last first, of which the first ``pages`` [n] were shown and the others are nothing.
    """
    alike = (recent * actions[:, None]).sum(axis=2) >= 0
    alike &= np.arange(recent.shape[1]) < pages[:, None]
    return ((actions * pasts).sum(axis=1) >= 0) | alike.any(axis=1)
