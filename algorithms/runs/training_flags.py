"""The flags that every training job has. Needs neither torch nor Ray."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from algorithms.common.ranges import (
    BATCH,
    FINAL_RATE,
    FROZEN_LAYERS,
    GATHER,
    GPUS,
    HEAD_RATE,
    LEARNING_RATE,
    ROLLOUT_WORKERS,
    WARMUP,
    Precision,
    Tracker,
)
from rl_recsys.console.ranges import COUNT, COUNT_OR_ZERO, RATE, SEED, WEIGHT
from rl_recsys.core.task_flags import TaskFlags
from rl_recsys.storage.locations import Place

#: Flags that may differ when a run is gone on with: they say where and how fast it is made, and how often it is looked
#: at, not what is learnt. Of the shop its fingerprint decides, wherever it lies.
INCIDENTAL = (
    "out",
    "shop",
    "task",
    "num_workers",
    "num_gpus",
    "learner",
    "checkpoint_every",
    "evaluate_every",
    "evaluation_goals",
    "snapshot_minutes",
    "log_to",
    "wait_for_nodes",
)


@dataclass(kw_only=True)
class TrainingArguments(TaskFlags):
    """What every training job is told."""

    out: Place
    """Run folder. Started again with the same flags, a run goes on from its last checkpoint."""
    seed: Annotated[int, SEED] = 0
    """Decides the order of data, goals and draws."""
    num_workers: Annotated[int, ROLLOUT_WORKERS] = 2
    """Rollout processes, each with a shop and a core of its own."""
    num_learners: Annotated[int, COUNT] = 1
    """Learner processes, each with a batch of its own; one without a GPU learns in the driver."""
    num_gpus: Annotated[float | None, GPUS] = None
    """GPUs of each learner; by default 1 with --learner, else 0, which trains on the CPU."""
    learner: str | None = None
    """Accelerator of the nodes that the learners must be on, as t4 or a100: each gets a process of its own there."""
    precision: Precision = "auto"
    """Of the learner's forward pass: float16 (with loss scaling) suits a T4, bfloat16 newer GPUs and some CPUs; "auto"
    takes what the hardware is fastest in. Weights stay float32."""
    iterations: Annotated[int, COUNT] = 10
    """Iterations in all; an iteration is one line of result.json."""
    learning_rate: Annotated[float, LEARNING_RATE] = 1e-5
    """Adam's rate for the encoder."""
    warmup: Annotated[float, WARMUP] = 0.0
    """Share of the run in which the learning rate rises to --learning-rate."""
    final_rate: Annotated[float, FINAL_RATE] = 1.0
    """The learning rate at the end as a share of --learning-rate; it falls in a straight line."""
    head_rate: Annotated[float, HEAD_RATE] = 30.0
    """The head's learning rate as a multiple of --learning-rate, 1 to 100 as a rule."""
    frozen_layers: Annotated[int, FROZEN_LAYERS] = 4
    """Layers of the encoder, from the embeddings up, that are not trained; more are faster."""
    batch: Annotated[int, BATCH] = 16
    """Decisions whose gradient is computed at once."""
    gather: Annotated[int, GATHER] = 1
    """Batches a gradient step, where a large one does not fit in memory."""
    wait_for_nodes: Annotated[float, WEIGHT] = 0.0
    """Minutes to wait for nodes that a cluster lacks; its autoscaler, if it has one, is asked to add them."""
    checkpoint_every: Annotated[int, COUNT] = 1
    """Iterations between checkpoints; a kill loses at most this many."""
    evaluate_every: Annotated[int, COUNT_OR_ZERO] = 5
    """Iterations between evaluations for the learning curve; 0 for none."""
    evaluation_goals: Annotated[int, COUNT] = 50
    """Training goals played greedily in each of them."""
    log_to: tuple[Tracker, ...] = ()
    """Experiment trackers that are told of every iteration: wandb, mlflow (to be installed beside this project)."""
    snapshot_minutes: Annotated[tuple[float, ...], RATE] = ()
    """Minutes of training after which the policy is written to snapshots/ as well (the last one, where the run is
    shorter), to compare runs of equal time."""
