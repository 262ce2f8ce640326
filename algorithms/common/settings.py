"""The hyper-parameters that algorithms share: each once, with its default, its range, its effect and when to change it.

A job's flags and an RLlib config's defaults are both taken from here and from the algorithms' own ``settings.py``.
Needs neither torch nor Ray.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from algorithms.common.ranges import (
    BATCH,
    FINAL_RATE,
    FROZEN_LAYERS,
    GATHER,
    GRADIENT_CLIP,
    HEAD_RATE,
    LEARNING_RATE,
    MAXIMUM_TRAJECTORIES,
    MINIMUM_REWARD,
    UPDATES,
    WARMUP,
    Precision,
)
from rl_recsys.console.ranges import COUNT, SEED

NUM_WORKERS = 2  # rollout processes, of jobs and of configs that are told no other number


@dataclass(kw_only=True)
class LearningSettings:
    """How the learner of any algorithm is trained."""

    #: A setting -> its name in the RLlib config, where that is another.
    config_names: ClassVar[Mapping[str, str]] = {
        "batch": "train_batch_size_per_learner",
        "updates": "updates_per_iteration",
        "learning_rate": "lr",
    }

    seed: Annotated[int, SEED] = 0
    """Decides the order of data, goals and draws: runs with the same seed and flags are equal."""
    iterations: Annotated[int, COUNT] = 10
    """Iterations in all. One iteration is one line of result.json; --warmup and --final-rate are laid out over all."""
    learning_rate: Annotated[float, LEARNING_RATE] = 1e-5
    """Adam's learning rate for the encoder. Lower it when success falls during a run or batches are small; raise it
    when the loss hardly moves."""
    warmup: Annotated[float, WARMUP] = 0.0
    """Share of the run in which the learning rate rises to --learning-rate, 0.1 for example. Try it when the first
    iterations do harm."""
    final_rate: Annotated[float, FINAL_RATE] = 1.0
    """Learning rate at the end, as a share of --learning-rate. It falls linearly; 1 keeps it constant."""
    head_rate: Annotated[float, HEAD_RATE] = 10.0
    """Learning rate of the head (all but the encoder), as a multiple of --learning-rate. A fresh head needs about 30,
    a trained one about 10."""
    frozen_layers: Annotated[int, FROZEN_LAYERS] = 4
    """Lowest layers of the encoder that are not trained, with the embeddings. More are faster and learn less; it must
    be at most what the policy has."""
    batch: Annotated[int, BATCH] = 16
    """Decisions (for DPO: pairs) whose gradient is computed at once. Lower it when memory runs out (see --gather)."""
    gather: Annotated[int, GATHER] = 1
    """Batches whose gradients make one step: the effect of a larger --batch without its memory."""
    grad_clip: Annotated[float, GRADIENT_CLIP] = 1.0
    """Largest global norm of a step's gradient; a larger gradient is scaled down to it."""
    precision: Precision = "auto"
    """Precision of the forward pass; weights and gradients stay float32. auto takes bfloat16 where the hardware
    computes it faster, else float16 on a GPU (with loss scaling) and float32 on a CPU. Rollout workers on a CPU play in
    the same way."""


@dataclass(kw_only=True)
class OfflineSettings(LearningSettings):
    """How an algorithm learns from recorded episodes."""

    updates: Annotated[int, UPDATES] = 10
    """Gradient steps in one iteration."""
    minimum_reward: Annotated[float, MINIMUM_REWARD] = 1.0
    """Learn only from recorded episodes with at least this reward. Lower it when there are too few successes."""
    maximum_trajectories: Annotated[int | None, MAXIMUM_TRAJECTORIES] = None
    """Learn from at most this many recorded episodes, the oldest first; by default from all."""

    def schedule_length(self, num_learners: int) -> int:
        """Length of the run in gradient steps, which learning-rate schedules count."""
        return self.iterations * self.updates


def learning_rates(settings: LearningSettings, ticks: int) -> list[list[float]]:
    """The encoder's learning rate as RLlib's schedule over ``ticks``: [tick, rate] pairs, linear in between."""
    peak, rise = settings.learning_rate, round(settings.warmup * ticks)
    start = [[0, peak / 100], [rise, peak]] if rise else [[0, peak]]
    return [*start, [ticks, peak * settings.final_rate]]
