"""The hyper-parameters of GRPO and GiGPO. Needs neither torch nor Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from algorithms.common.ranges import (
    BATCH,
    CLIP,
    DISCOUNT,
    DOUBT,
    ENTROPY,
    EPOCHS,
    GROUP_SIZE,
    GROUPS,
    KL_WEIGHT,
    STEP_WEIGHT,
    TEMPERATURE,
    UPDATES,
)
from algorithms.common.settings import LearningSettings


@dataclass(kw_only=True)
class GRPOSettings(LearningSettings):
    """How a policy is trained with GRPO. ``batch`` is RLlib's minibatch."""

    config_names: ClassVar[Mapping[str, str]] = {
        "batch": "minibatch_size",
        "learning_rate": "lr",
        "epochs": "num_epochs",
        "clip": "clip_param",
        "entropy": "entropy_coeff",
        "discount": "gamma",
        "average": "average_weights",
    }

    batch: Annotated[int, BATCH] = 32
    """Decisions in one gradient step. A smaller batch needs a lower --learning-rate."""
    groups: Annotated[int, GROUPS] = 8
    """Goals an iteration. More make each iteration slower and its estimate less noisy."""
    group_size: Annotated[int, GROUP_SIZE] = 8
    """Episodes of each goal, which are compared. Raise it when hardly any group has episodes that earn differently."""
    temperature: Annotated[float, TEMPERATURE] = 1.0
    """What logits are divided by where actions are sampled, and in the loss. Above 1 a group's episodes differ more."""
    standardise: bool = True
    """Divide advantages by their group's standard deviation, as GRPO does. Without it (Dr. GRPO) a group in which
    little differs counts for little."""
    updates: Annotated[int | None, UPDATES] = None
    """Gradient steps after which the run ends, within an iteration if need be; by default only --iterations ends it.
    --warmup and --final-rate are then laid out over these steps."""
    epochs: Annotated[int, EPOCHS] = 2
    """Passes over the sampled decisions in one iteration."""
    clip: Annotated[float, CLIP] = 0.2
    """Beyond this distance from 1 a change of an action's probability ratio earns nothing."""
    kl_weight: Annotated[float, KL_WEIGHT] = 0.0
    """Weight of the divergence from the start policy: 0.04 in the paper. Raise it when the policy forgets what it had
    learnt."""
    entropy: Annotated[float, ENTROPY] = 0.0
    """Weight of the entropy bonus. Leave it at 0 for a policy from imitation, which has more entropy than it needs."""
    doubt: Annotated[float, DOUBT] = 0.01
    """Learn only from pages where the actions other than the likeliest have at least this probability in all, as in
    PPO; 0 learns from every page, as --kl-weight and --entropy do."""
    average: bool = True
    """Write the average of the iterations' weights, later ones counting more, instead of the last weights."""

    def schedule_length(self, num_learners: int) -> int:
        """Length of the run in what schedules count: iterations, or gradient steps where these end it."""
        return self.updates or self.iterations


@dataclass(kw_only=True)
class GiGPOSettings(GRPOSettings):
    """How a policy is trained with GiGPO."""

    step_weight: Annotated[float, STEP_WEIGHT] = 1.0
    """GiGPO: weight of a step's advantage over the other steps that left the same state, beside its episode's."""
    discount: Annotated[float, DISCOUNT] = 0.95
    """GiGPO: discount factor gamma of what a step earns. Lower values reward the shorter way from a state."""
