"""The train batches of preferences, with what the frozen reference makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ray.rllib.core.columns import Columns

from algorithms.common.offline import encode_steps
from algorithms.common.reference import REFERENCE_LOGITS, Reference
from rl_recsys.core.encoding import MASK
from rl_recsys.core.preferences import Preference
from rl_recsys.core.trajectory import Step

# Columns of pairs of actions of one page, a row a pair.
PAIRS = "pairs"  # [B, 2]: the columns of the preferred and of the rejected action
# Columns of pairs of episodes, a row a decision.
PAIR = "pair"  # [N]: which pair of the batch the decision belongs to
SIGN = "sign"  # [N]: 1 in the better episode, -1 in the worse


def decision_columns(
    reference: Reference, preferences: Sequence[Preference], *, whole_pages: bool, logits: np.ndarray | None = None
) -> dict[str, Any]:
    """The train batch of preferred actions: observations, where in them the two actions are, the reference's logits.

    logits [B, encoder's choices] are the reference's where they are known. The observations have the two actions only,
    unless ``whole_pages``.
    """
    pairs = np.array([(preference.step.chosen, preference.rejected) for preference in preferences])
    whole = encode_steps(reference.encoder, [preference.step for preference in preferences])
    shown = whole if whole_pages else reference.encoder.select(whole, pairs)
    if logits is None:
        logits = reference.score(shown)
    elif whole_pages:
        logits = logits[:, : whole[MASK].shape[1]]
    else:
        logits = logits[np.arange(len(pairs))[:, None], pairs]
    return {
        Columns.OBS: shown,
        PAIRS: pairs if whole_pages else np.tile([0, 1], (len(pairs), 1)),
        REFERENCE_LOGITS: logits.astype(np.float32),
    }


def trajectory_columns(reference: Reference, pairs: Sequence[tuple[list[Step], list[Step]]]) -> dict[str, Any]:
    """The train batch of better and worse episodes: every decision of both, whole pages."""
    rows = [
        (step, number, sign)
        for number, both in enumerate(pairs)
        for steps, sign in zip(both, (1, -1), strict=True)
        for step in steps
    ]
    steps = [step for step, _, _ in rows]
    observation = encode_steps(reference.encoder, steps)
    return {
        Columns.OBS: observation,
        Columns.ACTIONS: np.array([step.chosen for step in steps]),
        PAIR: np.array([number for _, number, _ in rows]),
        SIGN: np.array([sign for _, _, sign in rows], np.float32),
        REFERENCE_LOGITS: reference.logits(steps)[:, : observation[MASK].shape[1]],
    }
