"""The hyper-parameters of DPO. Needs neither torch nor Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from algorithms.common.ranges import (
    BETA,
    GAMMA,
    GROUP_SIZE,
    IMITATION_WEIGHT,
    LABEL_SMOOTHING,
    LAMBDA_D,
    LAMBDA_U,
    PAIR_USES,
    REFRESH_REFERENCE_EVERY,
    Pairing,
    Preferences,
    Ties,
)
from algorithms.common.settings import OfflineSettings
from rl_recsys.console.ranges import COUNT

#: The settings that belong to the loss: each loss has some of them.
LOSS_SETTINGS = ("beta", "label_smoothing", "gamma", "lambda_d", "lambda_u")


@dataclass(kw_only=True)
class DPOSettings(OfflineSettings):
    """How a policy is trained on preferences. ``batch`` counts pairs."""

    #: RLlib's config has a gamma of its own, the discount.
    config_names: ClassVar[Mapping[str, str]] = OfflineSettings.config_names | {"gamma": "simpo_gamma"}
    iterations: Annotated[int, COUNT] = 8
    loss: str = "dpo"
    """Preference loss: dpo, ipo (which does not push pairs apart without end), kto (which takes the two sides of a pair
    as examples of their own), simpo (which needs no reference), or one that another package registers (docs/extend.md).
    It refuses those of the settings below that it does not have."""
    beta: Annotated[float, BETA] = 1.0
    """Strength of the pull to the reference policy, typically 0.3 to 3. Lower values let the policy move further away.
    The 0.1 that is usual for language models is for sums over many tokens; here one action counts. With --loss simpo it
    multiplies the preferred side's lead."""
    label_smoothing: Annotated[float, LABEL_SMOOTHING] = 0.0
    """Share of the preferences that are assumed to be wrong. Raise it, to 0.1 for example, for noisy preferences.
    Not of --loss kto."""
    gamma: Annotated[float, GAMMA] = 0.5
    """Margin of --loss simpo: beta times the preferred side's lead must exceed it. Half of beta is usual; a larger one
    separates pairs further."""
    lambda_d: Annotated[float, LAMBDA_D] = 1.0
    """Weight of the preferred (desirable) sides in --loss kto."""
    lambda_u: Annotated[float, LAMBDA_U] = 1.0
    """Weight of the rejected (undesirable) sides in --loss kto. Lower it, or raise --lambda-d, to keep the preferred
    actions likely."""
    imitation_weight: Annotated[float, IMITATION_WEIGHT] = 0.0
    """Weight of an imitation loss on the preferred actions. It keeps their probability from falling together with that
    of the rejected ones; with 0 only the two actions of a pair are encoded, which is faster."""
    preferences: Preferences = "recorded"
    """Source of the pairs. recorded: the recorded action against another one that the policy draws (as in the paper).
    rollouts: the better against the worse of several episodes that the policy plays for one goal. mixed: both in
    turn."""
    pairing: Pairing = "decision"
    """What a pair compares. decision: two actions of one page. trajectory: all actions of two episodes of one goal.
    branch (for rollouts): the greedy episode of a goal against the episode that follows from one other action."""
    ties: Ties = "skip"
    """What happens where the policy itself draws the recorded action. skip: no pair this time. resample: it draws again
    among the other actions."""
    group_size: Annotated[int, GROUP_SIZE] = 8
    """Episodes of one goal that rollouts compare; with --pairing branch at most this many."""
    pair_uses: Annotated[int, PAIR_USES] = 1
    """Updates that use each pair from rollouts. Raise it when the learner waits for the rollout processes."""
    refresh_reference_every: Annotated[int, REFRESH_REFERENCE_EVERY] = 0
    """Iterations after which the current policy becomes the reference. 0 keeps the first one."""
