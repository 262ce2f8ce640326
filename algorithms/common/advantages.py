"""Advantages of episodes and of steps beside others of a group, without a value function: pure functions of arrays."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np


def discounted_returns(rewards: np.ndarray, discount: float) -> np.ndarray:
    """R_t = sum over k >= t of discount^(k - t) r_k, of one episode's rewards [T] -> [T]."""
    returns = np.zeros(len(rewards))
    following = 0.0
    for step in reversed(range(len(rewards))):
        returns[step] = following = rewards[step] + discount * following
    return returns


def group_relative_advantages(returns: np.ndarray, groups: np.ndarray, *, standardise: bool) -> np.ndarray:
    """GRPO's advantages (Shao et al. 2024, section 4.1.2): A_i = (R_i - mean of its group) / std of its group.

    returns [N]; groups [N] integers, equal where returns are compared -> [N]. The deviation is the sample's (n - 1), as
    in TRL and verl. Without ``standardise`` it is left out, so that a group in which little differs counts for little
    (Liu et al. 2025, Dr. GRPO). A group of one, or of equal returns, says nothing: 0.
    """
    returns = np.asarray(returns, np.float64)
    group = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(group)
    centred = returns - (np.bincount(group, returns) / sizes)[group]
    # Told from the returns themselves: what a mean of equal numbers is off by must not be divided by itself.
    least, most = np.full(len(sizes), np.inf), np.full(len(sizes), -np.inf)
    np.minimum.at(least, group, returns)
    np.maximum.at(most, group, returns)
    differ = (most > least)[group]
    if standardise:
        deviation = np.sqrt(np.bincount(group, centred**2) / np.maximum(sizes - 1, 1))
        centred = np.divide(centred, deviation[group], out=np.zeros_like(centred), where=differ)
    return np.where(differ, centred, 0.0)


def group_in_group_advantages(
    episode_returns: np.ndarray,
    episode_groups: np.ndarray,
    step_returns: np.ndarray,
    step_episodes: np.ndarray,
    anchors: Sequence[Hashable],
    *,
    step_weight: float,
    standardise: bool,
) -> np.ndarray:
    """GiGPO's advantages of steps (Feng et al. 2025): A = A_E of the episode + step_weight A_S of the step.

    A_E compares whole episodes of a goal, A_S the steps that left one state in any of them by what they earned from
    there on; both as ``group_relative_advantages``.

    Of E episodes: episode_returns [E], episode_groups [E] (their goals). Of all their N steps: step_returns [N] (see
    ``discounted_returns``), step_episodes [N] (which of the E), anchors [N] (keys of the states that they left, as
    ``Session.url``; equal keys of different goals are different states) -> [N].
    """
    of_episodes = group_relative_advantages(episode_returns, episode_groups, standardise=standardise)
    goals = np.asarray(episode_groups)[step_episodes].tolist()
    numbers: dict[Hashable, int] = {}
    states = [numbers.setdefault(state, len(numbers)) for state in zip(goals, anchors, strict=True)]
    of_steps = group_relative_advantages(step_returns, np.array(states, int), standardise=standardise)
    return of_episodes[step_episodes] + step_weight * of_steps
