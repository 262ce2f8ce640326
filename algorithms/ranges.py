"""What settings may be, for the jobs' flags and for the RLlib configs alike. Needs neither torch nor Ray."""

from __future__ import annotations

from typing import Literal, get_args

Precision = Literal["auto", "float32", "bfloat16", "float16"]
Preferences = Literal["recorded", "rollouts", "mixed"]
Pairing = Literal["decision", "trajectory", "branch"]
Ties = Literal["skip", "resample"]
Tracker = Literal["wandb", "mlflow"]
ScalePart = Literal["groups", "ppo", "simulated"]
SCALE_PARTS: tuple[ScalePart, ...] = get_args(ScalePart)
