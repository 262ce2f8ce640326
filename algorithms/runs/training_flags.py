"""The flags of a training run, beside the hyper-parameters of its algorithm. Needs neither torch nor Ray."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from algorithms.common.ranges import GPUS, ROLLOUT_WORKERS, Tracker
from algorithms.common.settings import NUM_WORKERS
from rl_recsys.console.ranges import COUNT, COUNT_OR_ZERO, RATE, WEIGHT
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
#: The same of a run that learns from recordings.
RECORDED_INCIDENTAL = (*INCIDENTAL, "any_world")

#: Hyper-parameters that were no flags once, with what runs were made with then: such a run goes on.
ADDED = {"loss": "dpo", "grad_clip": 1.0, "gae_lambda": 0.95, "minimum_reward": 1.0}
ADDED |= {"gamma": 0.5, "lambda_d": 1.0, "lambda_u": 1.0}


@dataclass(kw_only=True)
class TrainingArguments(TaskFlags):
    """Where, on what and how closely watched a run is made."""

    out: Place
    """Run folder. Started again with the same flags, a run goes on from its last checkpoint."""
    num_workers: Annotated[int, ROLLOUT_WORKERS] = NUM_WORKERS
    """Rollout processes, each with a world and a CPU core of its own."""
    num_learners: Annotated[int, COUNT] = 1
    """Learner processes, each with a batch of its own; one without a GPU learns in the driver."""
    num_gpus: Annotated[float | None, GPUS] = None
    """GPUs of each learner; by default 1 with --learner, else 0, which trains on the CPU."""
    learner: str | None = None
    """Accelerator of the nodes that the learners must be on, as t4 or a100: each gets a process of its own there."""
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


@dataclass(kw_only=True)
class RecordedTrainingArguments(TrainingArguments):
    """The same of a run that learns, or may learn, from recorded trajectories."""

    any_world: bool = False
    """Learn from --trajectories that were recorded in another world, as to train one policy on several shops; without
    it they are refused."""
