"""What settings may be, for the jobs' flags and for the RLlib configs alike. Needs neither torch nor Ray."""

from __future__ import annotations

from typing import Literal, get_args

from rl_recsys.console.ranges import COUNT, COUNT_OR_ZERO, RATE, SEED, SHARE, WEIGHT, Range

Precision = Literal["auto", "float32", "bfloat16", "float16"]
Preferences = Literal["recorded", "rollouts", "mixed"]
Pairing = Literal["decision", "trajectory", "branch"]
Ties = Literal["skip", "resample"]
Tracker = Literal["wandb", "mlflow"]
ScalePart = Literal["groups", "ppo", "simulated"]
SCALE_PARTS: tuple[ScalePart, ...] = get_args(ScalePart)

LEARNING_RATE = Range(above=0.0, most=1.0)
HEAD_RATE = RATE  # a multiple of the learning rate
GRADIENT_CLIP = RATE
FINAL_RATE = WEIGHT  # a share of it
WARMUP = Range(least=0.0, below=1.0)
FROZEN_LAYERS = COUNT_OR_ZERO
BATCH, GATHER, UPDATES, MAXIMUM_TRAJECTORIES = COUNT, COUNT, COUNT, COUNT
MINIMUM_REWARD = SHARE
BETA = RATE
LABEL_SMOOTHING = Range(least=0.0, below=0.5)
GAMMA = WEIGHT  # SimPO's margin
LAMBDA_D, LAMBDA_U = RATE, RATE
IMITATION_WEIGHT, KL_WEIGHT, ENTROPY = WEIGHT, WEIGHT, WEIGHT
GROUP_SIZE = Range(least=2)  # two episodes are the least that can be compared
GROUPS = COUNT
TEMPERATURE = RATE
STEP_WEIGHT = WEIGHT
PAIR_USES = COUNT
REFRESH_REFERENCE_EVERY = COUNT_OR_ZERO
ROLLOUT_WORKERS, GPUS = COUNT_OR_ZERO, WEIGHT
ROLLOUT_STEPS, ENVIRONMENTS, EPOCHS = COUNT, COUNT, COUNT
CLIP = RATE
DISCOUNT, GAE_LAMBDA = SHARE, SHARE
DOUBT = Range(least=0.0, below=1.0)

#: The numbers that the configs' fields may be, by the fields' names: RLlib's where it has them, and this project's.
CONFIG = {
    "lr": Range(least=0.0, most=1.0),  # a schedule may end at 0
    "train_batch_size_per_learner": COUNT,
    "minibatch_size": BATCH,
    "num_epochs": EPOCHS,
    "clip_param": CLIP,
    "entropy_coeff": ENTROPY,
    "gamma": DISCOUNT,
    "lambda_": GAE_LAMBDA,
    "grad_clip": GRADIENT_CLIP,
    "seed": SEED,
    "minimum_reward": MINIMUM_REWARD,
    "maximum_trajectories": MAXIMUM_TRAJECTORIES,
    "updates_per_iteration": UPDATES,
    "beta": BETA,
    "label_smoothing": LABEL_SMOOTHING,
    "simpo_gamma": GAMMA,
    "lambda_d": LAMBDA_D,
    "lambda_u": LAMBDA_U,
    "imitation_weight": IMITATION_WEIGHT,
    "kl_weight": KL_WEIGHT,
    "doubt": DOUBT,
    "hang_s": RATE,
    "group_size": GROUP_SIZE,
    "groups": GROUPS,
    "temperature": TEMPERATURE,
    "step_weight": STEP_WEIGHT,
    "pair_uses": PAIR_USES,
    "rollout_workers": ROLLOUT_WORKERS,
    "rollout_gpus": GPUS,
    "refresh_reference_every": REFRESH_REFERENCE_EVERY,
}
#: The same for the entries of ``learner_config_dict``.
LEARNER_CONFIG = {
    "head_learning_rate_factor": HEAD_RATE,
    "frozen_layers": FROZEN_LAYERS,
    "gathered_batches": GATHER,
    "last_update": UPDATES,
}
