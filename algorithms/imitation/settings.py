"""The hyper-parameters of imitation. Needs neither torch nor Ray."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from algorithms.common.ranges import FINAL_RATE, HEAD_RATE, LEARNING_RATE
from algorithms.common.settings import OfflineSettings
from rl_recsys.console.ranges import COUNT


@dataclass(kw_only=True)
class ImitationSettings(OfflineSettings):
    """How a policy is trained by imitation: a longer run than the others', with a fresh head, that ends slowly."""

    iterations: Annotated[int, COUNT] = 30
    learning_rate: Annotated[float, LEARNING_RATE] = 3e-5
    final_rate: Annotated[float, FINAL_RATE] = 0.1
    head_rate: Annotated[float, HEAD_RATE] = 30.0
