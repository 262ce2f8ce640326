"""What is asked of a p value where several claims are made, or results are looked at several times."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import scipy

_NODES = 64  # of Gauss and Legendre, by which a look's statistic is integrated


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values (1979), in the order given: below a level with this family-wise error, whatever depends.

    The k-th smallest of m is multiplied by m - k + 1, and none is below a smaller one's.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    adjusted, most = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        most = max(most, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = most
    return adjusted


def pocock_level(looks: int, level: float) -> float:
    """The two-sided level of each of ``looks`` equally spaced looks, so that all together have ``level`` (Pocock 1977).

    >>> round(pocock_level(5, 0.05), 4)
    0.0158
    """
    if looks < 1 or not 0 < level < 1:
        raise ValueError(f"{looks} looks at level {level}")
    if looks == 1:
        return level
    z = NormalDist()
    low, high = z.inv_cdf(1 - level / 2), z.inv_cdf(1 - level / (2 * looks))  # no correction, and Bonferroni's
    bound = scipy.optimize.brentq(lambda at: _crossed(looks, at) - level, low, high, xtol=1e-6)
    return 2 * (1 - z.cdf(bound))


def _crossed(looks: int, bound: float) -> float:
    """How probably |Z_k| exceeds the bound at one of the looks without a difference (Armitage, McPherson, Rowe 1969).

    The sums S_k = sqrt(k) Z_k grow by standard normal steps; their density is carried on among those that went on.
    """
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    at, of = bound * nodes, bound * weights
    density = _normal(at)
    for look in range(2, looks + 1):
        edge = bound * look**0.5
        to = edge * nodes
        density, at, of = _normal(to[:, None] - at) @ (of * density), to, edge * weights
    return 1 - float(of @ density)


def _normal(at: np.ndarray) -> np.ndarray:
    return np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi)
