"""Preferences from trajectories: the recorded action against one that a reference policy would have taken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rl_recsys.trajectories.record import Step


def lasting_steps(steps: Sequence[Step]) -> list[Step]:
    """The steps of an episode whose action it did not itself undo by coming back to the same place later.

    The paper prunes looped sub-trajectories. Here only the action that led into the loop goes: what was done inside,
    such as turning back from the wrong product, is worth preferring.
    """
    last = {step.url: position for position, step in enumerate(steps)}
    return [step for position, step in enumerate(steps) if last[step.url] == position]


def sample_rejected(logits: np.ndarray, preferred: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each decision an unpreferred action, drawn from the reference policy among the *other* available actions.

    logits [B, A] of the reference, very negative where there is no action; preferred [B] -> rejected [B].
    The paper draws from the whole policy; where that gives the preferred action itself the pair has no gradient, so
    the draw here leaves it out. Raises ValueError for a decision with a single action.
    """
    others = logits.astype(np.float64)
    others[np.arange(len(others)), preferred] = -np.inf
    best = others.max(-1, keepdims=True)
    if (best < -1e8).any():
        raise ValueError("a decision with a single action has no other to reject")
    # The largest of logits plus Gumbel noise is a draw from their softmax.
    return np.argmax(others - best + rng.gumbel(size=others.shape), -1)
