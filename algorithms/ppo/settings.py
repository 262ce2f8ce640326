"""The hyper-parameters of PPO. Needs neither torch nor Ray."""

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
    ENVIRONMENTS,
    EPOCHS,
    GAE_LAMBDA,
    IMITATION_WEIGHT,
    KL_WEIGHT,
    MINIMUM_REWARD,
    ROLLOUT_STEPS,
    UPDATES,
)
from algorithms.common.settings import LearningSettings
from rl_recsys.console.ranges import SHARE


@dataclass(kw_only=True)
class PPOSettings(LearningSettings):
    """How a policy is trained with PPO. ``batch`` is RLlib's minibatch."""

    config_names: ClassVar[Mapping[str, str]] = {
        "batch": "minibatch_size",
        "learning_rate": "lr",
        "environments": "num_envs_per_env_runner",
        "epochs": "num_epochs",
        "clip": "clip_param",
        "entropy": "entropy_coeff",
        "discount": "gamma",
        "gae_lambda": "lambda_",
        "average": "average_weights",
    }

    batch: Annotated[int, BATCH] = 32
    """Decisions in one gradient step. A smaller batch needs a lower --learning-rate: at 4, 1e-5 was too much and 3e-6
    was not."""
    rollout_steps: Annotated[int, ROLLOUT_STEPS] = 512
    """Environment steps sampled in one iteration, by all workers together. More make each iteration slower and its
    estimate less noisy."""
    updates: Annotated[int | None, UPDATES] = None
    """Gradient steps after which the run ends, within an iteration if need be; by default only --iterations ends it.
    --warmup and --final-rate are then laid out over these steps."""
    environments: Annotated[int, ENVIRONMENTS] = 8
    """Sessions that a worker plays at once; their decisions are scored together, so more are faster."""
    epochs: Annotated[int, EPOCHS] = 2
    """Passes over the sampled decisions in one iteration."""
    clip: Annotated[float, CLIP] = 0.2
    """PPO's clip: beyond this distance from 1 a change of an action's probability ratio earns nothing. Lower it when
    success jumps up and down."""
    entropy: Annotated[float, ENTROPY] = 0.0
    """Weight of the entropy bonus. Leave it at 0 for a policy from imitation, which has more entropy than it needs."""
    kl_weight: Annotated[float, KL_WEIGHT] = 0.0
    """Weight of the divergence from the start policy. Raise it when the policy forgets what it had learnt."""
    imitation_weight: Annotated[float, IMITATION_WEIGHT] = 0.0
    """Weight of an imitation loss on the demonstrations in --trajectories."""
    minimum_reward: Annotated[float, MINIMUM_REWARD] = 1.0
    """Imitate only demonstrations with at least this reward."""
    variations: Annotated[float, SHARE] = 0.0
    """Share of the episodes whose goal the task makes up (in a shop from the attributes and options of products that no
    held-out goal needs). Raise it when there are few products."""
    discount: Annotated[float, DISCOUNT] = 0.98
    """Discount factor gamma. Lower values reward short episodes: at 0.9 the agent soon stops reading and comparing;
    0.98 keeps it (docs/learning.md)."""
    gae_lambda: Annotated[float, GAE_LAMBDA] = 0.95
    """Lambda of generalised advantage estimation: 1 has no bias and the most noise."""
    doubt: Annotated[float, DOUBT] = 0.01
    """Learn only from pages where the actions other than the likeliest have at least this probability in all. The rest
    has next to no gradient and costs as much; 0 learns from every page, as --kl-weight and --entropy do."""
    sample_ahead: bool = False
    """Sample an iteration's steps while the last one's are learnt from: an iteration took 0.79 times as long. The steps
    are then of the policy before the last update, which PPO's ratio takes into account. What it does to success is not
    known yet."""
    average: bool = True
    """Write the average of the iterations' weights, later ones counting more, instead of the last weights."""

    def steps_of_learner(self, num_learners: int) -> int:
        """Environment steps that are sampled for each learner in one iteration."""
        return max(1, self.rollout_steps // num_learners)

    def schedule_length(self, num_learners: int) -> int:
        """Length of the run in what schedules count: environment steps, or gradient steps where these end it."""
        return self.updates or self.iterations * self.steps_of_learner(num_learners) * num_learners
