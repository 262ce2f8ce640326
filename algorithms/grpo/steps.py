"""The steps of groups of episodes: their advantages, which are learnt from, and the columns of a train batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ray.rllib.core.columns import Columns

from algorithms.common.advantages import (
    discounted_returns,
    group_in_group_advantages,
    group_relative_advantages,
)
from algorithms.common.offline import encode_steps
from algorithms.common.reference import Reference
from policies.play import SampledEpisode, log_softmax
from rl_recsys.core.encoding import DecisionEncoder
from rl_recsys.core.trajectory import Trajectory

REFERENCE_LOGP = "reference_log_probability"  # [rows]: of the action that was taken, at the temperature

Group = Sequence[Trajectory]


def advantages_by_episode(groups: Sequence[Group], *, standardise: bool) -> np.ndarray:
    """GRPO's advantages of all N steps of these groups, in their order [N]: each has its episode's."""
    episodes = [episode for group in groups for episode in group]
    rewards = np.array([episode.reward for episode in episodes])
    advantages = group_relative_advantages(rewards, _group_numbers(groups), standardise=standardise)
    return np.repeat(advantages, [len(episode.steps) for episode in episodes])


def advantages_by_state(
    groups: Sequence[Group], *, discount: float, step_weight: float, standardise: bool
) -> np.ndarray:
    """GiGPO's advantages of all N steps of these groups, in their order [N].

    A state is a ``Session.url``: where it is equal, sessions of a goal go on alike.
    """
    episodes = [episode for group in groups for episode in group]
    lengths = [len(episode.steps) for episode in episodes]
    earned = [discounted_returns(_rewards(episode), discount) for episode in episodes]
    return group_in_group_advantages(
        np.array([episode.reward for episode in episodes]),
        _group_numbers(groups),
        np.concatenate(earned),
        np.repeat(np.arange(len(episodes)), lengths),
        [step.url for episode in episodes for step in episode.steps],
        step_weight=step_weight,
        standardise=standardise,
    )


def rows_to_learn(episodes: Sequence[SampledEpisode], *, doubt: float) -> np.ndarray:
    """Which of all their steps are learnt from, ascending: those with a choice, whose other actions than the likeliest
    had at least ``doubt`` of probability in all."""
    likeliest = np.concatenate([episode.likeliest for episode in episodes])
    choices = np.array([len(step.choices) for episode in episodes for step in episode.trajectory.steps])
    return np.flatnonzero((choices > 1) & (likeliest <= 1 - doubt))


def columns_of(
    episodes: Sequence[SampledEpisode],
    rows: np.ndarray,
    advantages: np.ndarray,
    encoder: DecisionEncoder,
    *,
    temperature: float,
    reference: Reference | None,
) -> dict[str, Any]:
    """The train batch of some ``rows`` of all N steps of these episodes; advantages [N]."""
    steps = [step for episode in episodes for step in episode.trajectory.steps]
    learnt = [steps[row] for row in rows]
    taken = np.array([step.chosen for step in learnt], np.int64)
    sampled = np.concatenate([episode.log_probabilities for episode in episodes])
    columns = {
        Columns.OBS: encode_steps(encoder, learnt),
        Columns.ACTIONS: taken,
        Columns.ACTION_LOGP: sampled[rows].astype(np.float32),
        Columns.ADVANTAGES: advantages[rows].astype(np.float32),
    }
    if reference is not None:
        logits = reference.logits(learnt).astype(np.float64)
        columns[REFERENCE_LOGP] = np.array(
            [log_softmax(row / temperature)[action] for row, action in zip(logits, taken, strict=True)], np.float32
        )
    return columns


def _group_numbers(groups: Sequence[Group]) -> np.ndarray:
    return np.repeat(np.arange(len(groups)), [len(group) for group in groups])


def _rewards(episode: Trajectory) -> np.ndarray:
    """What each step was paid [T]: the last one all."""
    rewards = np.zeros(len(episode.steps))
    rewards[-1] = episode.reward
    return rewards
