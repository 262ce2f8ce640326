"""Preferences from trajectories: the recorded action against the one that a reference policy takes instead."""

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


def sample_actions(logits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each decision an action drawn from the reference policy (Feng & Feng 2024): logits [B, A] -> indices [B].

    An action that is not there has a very negative logit and is not drawn. Where the draw is the recorded action
    itself there is nothing to prefer, and the decision gives no pair: so pairs are rare where the reference already
    does what was recorded, and frequent where it does not.
    """
    # The largest of logits plus Gumbel noise is a draw from their softmax.
    return np.argmax(logits.astype(np.float64) + rng.gumbel(size=logits.shape), -1)
