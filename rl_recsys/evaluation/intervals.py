"""Figures with their uncertainty."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import scipy  # scipy.stats, which takes a second, is loaded when it is first used

CONFIDENCE = 0.95
RESAMPLES = 10_000
_AT_ONCE = 1_000  # resamples that are drawn or reckoned together


def wilson_interval(successes: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The interval of a rate in [0, 1] (Wilson 1927); sound near 0 and 1 and for few trials.

    >>> tuple(round(bound, 3) for bound in wilson_interval(2, 42))
    (0.013, 0.158)
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes of {trials} trials")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate = successes / trials
    middle = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def beta_interval(successes: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """(median, low, high) of a rate's posterior, Beta(successes + 1, failures + 1): a flat prior.

    >>> tuple(round(bound, 3) for bound in beta_interval(2, 42))
    (0.061, 0.015, 0.158)
    """
    tail = (1 - confidence) / 2
    median, low, high = scipy.stats.beta.ppf([0.5, tail, 1 - tail], successes + 1, trials - successes + 1)
    return float(median), float(low), float(high)


def ratio_interval(parts: Sequence[float], wholes: Sequence[float]) -> tuple[float, float]:
    """The interval of sum(parts) / sum(wholes) over users [n]: 1.96 standard errors of the ratio's linear form.

    >>> tuple(round(bound, 3) for bound in ratio_interval([1, 0, 1, 0], [2, 2, 2, 2]))
    (0.005, 0.495)
    """
    parts, wholes = np.asarray(parts, float), np.asarray(wholes, float)
    rate = parts.sum() / wholes.sum()
    error = np.sqrt(((parts - rate * wholes) ** 2).sum()) / wholes.sum()
    return float(rate - 1.96 * error), float(rate + 1.96 * error)


def mcnemar(one: Sequence[bool], other: Sequence[bool]) -> float:
    """The exact two-sided p-value that two arms succeed equally often, from pairs of outcomes (McNemar 1947).

    Only the pairs in which just one of them succeeds say anything; without any the p-value is 1.

    >>> round(mcnemar([True] * 8 + [False] * 2, [False] * 10), 4)
    0.0078
    """
    first, second = np.asarray(one, bool).ravel(), np.asarray(other, bool).ravel()
    if first.shape != second.shape:
        raise ValueError(f"{first.size} and {second.size} outcomes are no pairs")
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    return float(scipy.stats.binomtest(only_first, discordant).pvalue) if discordant else 1.0


def difference_interval(
    differences: Sequence[Sequence[float]], largest: float, groups: Sequence[Hashable] | None = None
) -> tuple[float, float]:
    """The interval of the mean of paired differences [seeds, goals], each within +-``largest``; the widest of three.

    The bootstrap over seeds and goals, or ``groups`` of them; with several seeds Student's t over the seeds' means,
    because a bootstrap of three seeds is too narrow; and where no pair speaks for one side the rule of three, which
    bounds with 95 % how many of the goals, or groups, may.
    """
    table = np.asarray(differences, float)
    low, high = _over_seeds_and_groups(table, groups)
    mean, unseen = float(table.mean()), _unseen(table, largest, groups)
    if not (table < 0).any():
        low = min(low, mean - unseen)
    if not (table > 0).any():
        high = max(high, mean + unseen)
    return low, high


def mean_interval(values: Sequence[Sequence[float]], groups: Sequence[Hashable] | None = None) -> tuple[float, float]:
    """The interval of the mean of values [seeds, goals], each in [0, 1], by the same three; of 0 or 1 alike.

    Where all values are 0, or all 1, the rule of three bounds how many of the goals, or groups, may be otherwise.
    """
    table = np.asarray(values, float)
    low, high = _over_seeds_and_groups(table, groups)
    unseen = _unseen(table, 1.0, groups)
    low = min(low, 1 - unseen) if (table == 1).all() else low
    high = max(high, unseen) if (table == 0).all() else high
    return max(0.0, low), min(1.0, high)


def _over_seeds_and_groups(table: np.ndarray, groups: Sequence[Hashable] | None) -> tuple[float, float]:
    """The wider of the bootstrap and, with several seeds, Student's t over their means."""
    low, high = bootstrap_interval(table, groups)
    mean, seeds = float(table.mean()), len(table)
    if seeds == 1:
        return low, high
    half = float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, seeds - 1) * table.mean(1).std(ddof=1) / np.sqrt(seeds))
    return min(low, mean - half), max(high, mean + half)


def _unseen(table: np.ndarray, largest: float, groups: Sequence[Hashable] | None) -> float:
    """How far the mean may be off by what was not met: the rule of three."""
    return 3 * largest / (table.shape[1] if groups is None else len(set(groups)))


def bootstrap_interval(
    values: Sequence[Sequence[float]],
    groups: Sequence[Hashable] | None = None,
    *,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> tuple[float, float]:
    """The interval of the mean of values [seeds, goals] when both the seeds and the goals are a sample.

    Percentile bootstrap: seeds and goals are drawn again with replacement, the same goals for every seed, because all
    seeds play the same goals. With one seed only the goals are drawn. ``groups``: the group of each goal, where those
    of one group stand or fall together (goals about one product): then groups are drawn, each with all its goals.
    """
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(_resampled_means(values, groups, seed), [tail, 100 - tail])
    return float(low), float(high)


def _resampled_means(
    values: Sequence[Sequence[float]], groups: Sequence[Hashable] | None = None, seed: int = 0
) -> np.ndarray:
    """The means of the resamples of ``bootstrap_interval`` [RESAMPLES]."""
    table = np.asarray(values, float)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"expected values [seeds, goals], got the shape {table.shape}")
    seeds, goals = table.shape
    names, group = np.unique(np.arange(goals) if groups is None else np.asarray(groups), return_inverse=True)
    if len(group) != goals:
        raise ValueError(f"{len(group)} groups of {goals} goals")
    by_seed, drawn = _draws(seeds, len(names), seed)
    # A column a seed, and one of how many goals were drawn, as groups differ in size.
    sums = np.stack([*(np.bincount(group, row, len(names)) for row in table), np.bincount(group)], axis=1)
    found = np.concatenate([drawn[at : at + _AT_ONCE].astype(float) @ sums for at in range(0, RESAMPLES, _AT_ONCE)])
    return (by_seed * found[:, :-1]).sum(1) / found[:, -1]


@lru_cache(maxsize=2)
def _draws(seeds: int, groups: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each seed, as a share, and each group is drawn in every resample: [RESAMPLES, seeds or groups].

    Of all arms of a study alike, and of 3,000 groups the work of seconds, so they are kept.
    """
    rng = np.random.default_rng(seed)
    by_seed = rng.multinomial(seeds, [1 / seeds] * seeds, size=RESAMPLES) / seeds
    even = [1 / groups] * groups
    kind = np.min_scalar_type(groups)  # no group is drawn more often than there are groups
    drawn = [rng.multinomial(groups, even, size=_AT_ONCE).astype(kind) for _ in range(0, RESAMPLES, _AT_ONCE)]
    return by_seed, np.concatenate(drawn)


def difference_p(
    differences: Sequence[Sequence[float]],
    largest: float,
    groups: Sequence[Hashable] | None = None,
    *,
    null: float = 0.0,
) -> float:
    """The two-sided p value of paired differences having the mean ``null``, by the three of ``difference_interval``.

    Each is inverted, and the largest counts, so below 0.05 the 95 % interval is on one side of ``null``: of the
    bootstrap twice the share of resamples beyond it (Davison and Hinkley 1997, 4.11); with several seeds Student's t
    over their means; where no pair speaks for the other side exp(-n d / largest), whose 5 % point is the rule of three.
    """
    table = np.asarray(differences, float)
    resampled = _resampled_means(table, groups)
    beyond = min(int((resampled <= null).sum()), int((resampled >= null).sum()))
    p_values = [min(1.0, 2 * (beyond + 1) / (RESAMPLES + 1))]
    apart, seeds = float(table.mean()) - null, len(table)
    if seeds > 1:
        error = float(table.mean(1).std(ddof=1) / np.sqrt(seeds))
        p_values.append(float(2 * scipy.stats.t.sf(abs(apart) / error, seeds - 1)) if error else float(apart == 0))
    one_sided = not (table < 0).any() if apart > 0 else not (table > 0).any()
    if one_sided:
        p_values.append(float(np.exp(-3 * abs(apart) / _unseen(table, largest, groups))))
    return max(p_values)
