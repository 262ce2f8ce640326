"""A policy: one weight for each feature of a choice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rl_recsys.policies.base import MASKED, Policy
from torch import Tensor, nn

from rl_recsys.core.decision import Decision
from rl_recsys.core.encoding import MASK, ArraySpec, DecisionEncoder
from rl_recsys.core.task import Task

FEATURES = 4  # words shared with the wish, what the world said of it so far, whether it is the last kind, a constant


class OverlapEncoder(DecisionEncoder):
    """A choice as numbers: {"features": [A, FEATURES], "mask": [A]}."""

    encoder_type = "overlap"
    choice_arrays = ("features", MASK)

    def __init__(self, choices: int, last_kind: int):
        self.choices, self.last_kind = choices, last_kind

    @classmethod
    def of_policy(cls, folder: Path, config: Mapping[str, Any]) -> OverlapEncoder:
        return cls(config["choices"], config["last_kind"])

    def save(self, folder: Path) -> None:
        """Nothing beside config.json."""

    @property
    def arrays(self) -> Mapping[str, ArraySpec]:
        return {
            "features": ArraySpec((self.choices, FEATURES), np.dtype(np.float32), 0.0, 99.0),
            MASK: ArraySpec((self.choices,), np.dtype(np.int8), 0, 1),
        }

    def encode(self, decision: Decision) -> dict[str, np.ndarray]:
        features = np.zeros((self.choices, FEATURES), np.float32)
        mask = np.zeros(self.choices, np.int8)
        wish, *hints = decision.state
        said = {hint.rpartition(": ")[0]: float(hint.rpartition(": ")[2]) for hint in hints}
        for row, choice in enumerate(decision.choices):
            shared = len(set(choice.text.split()) & set(wish.split()))
            hint = next((value for name, value in said.items() if name and name in choice.text), 0.0)
            features[row] = shared, hint, choice.kind == self.last_kind, 1.0
        mask[: len(decision.choices)] = 1
        return {"features": features, MASK: mask}


class Linear(Policy):
    """logit = weights . features."""

    policy_type = "linear"

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self._config = dict(config)
        self.weights = nn.Linear(FEATURES, 1, bias=False)
        self.value_head = nn.Linear(FEATURES, 1)

    @classmethod
    def fresh(cls, task: Task, *, choices: int = 12) -> Linear:
        last = len(task.kinds) - 1
        policy = cls({"choices": choices, "last_kind": last, "task": task.name, "decisions": task.decision_format})
        policy.decision_encoder = OverlapEncoder(choices, last)
        return policy

    @classmethod
    def blank(cls, config: Mapping[str, Any]) -> Linear:
        return cls(config)

    @property
    def config(self) -> Mapping[str, Any]:
        return self._config

    @property
    def state_size(self) -> int:
        return FEATURES

    def forward(self, observation: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        features = observation["features"].float()
        logits = self.weights(features).squeeze(-1)
        return torch.where(observation[MASK].bool(), logits, MASKED).float(), self.encode(observation)

    def encode(self, observation: Mapping[str, Tensor]) -> Tensor:
        return observation["features"].float().amax(1)
