"""A two-tower policy: a user's vector, from what the user viewed, against a vector of each product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from policies.base import MASKED, Policy
from rl_recsys.console.ranges import COUNT, check_ranges
from rl_recsys.core.encoding import MASK
from rl_recsys.core.task import Task
from rl_recsys.recogym.view_encoding import ViewEncoder
from rl_recsys.storage.declared import declared


@dataclass(frozen=True)
class TowerConfig:
    """Products, the width of the vectors, and whose decisions are read."""

    choices: Annotated[int, COUNT]
    width: Annotated[int, COUNT]
    task: str
    decisions: Annotated[int, COUNT]

    def __post_init__(self) -> None:
        check_ranges(self, flag=False)


class TwoTower(Policy):
    """logit(a) = p_a . u + b_a + w log(1 + views of a), with u = A [log(1 + views), recent views] + c.

    A matrix of rank ``width`` from views to products (as in matrix factorisation), and what counting views would say:
    with w alone it is the rule that recommends what was seen most. It has no nonlinearity besides the logarithm.
    """

    policy_type = "two_tower"

    def __init__(self, config: TowerConfig):
        super().__init__()
        self._config = config
        self.user = nn.Linear(2 * config.choices, config.width)
        self.products = nn.Linear(config.width, config.choices)
        self.seen = nn.Parameter(torch.ones(()))
        self.value_head = nn.Linear(config.width, 1)
        nn.init.zeros_(self.products.weight)
        nn.init.zeros_(self.products.bias)

    @classmethod
    def fresh(cls, task: Task, *, width: int = 8) -> TwoTower:
        """A policy that recommends what was seen most, for a task whose every decision offers all products."""
        choices = len(task.session(task.split("train")[0]).decision.choices)
        policy = cls(TowerConfig(choices, width, task.name, task.decision_format))
        policy.decision_encoder = ViewEncoder(choices)
        policy.decision_encoder.reads = task.name, task.decision_format
        return policy

    @classmethod
    def blank(cls, config: Mapping[str, Any]) -> TwoTower:
        """``config``: a ``TowerConfig``'s values."""
        return cls(declared(TowerConfig, config))

    @property
    def config(self) -> Mapping[str, Any]:
        """A ``TowerConfig``'s values."""
        return asdict(self._config)

    @property
    def state_size(self) -> int:
        """The width."""
        return self._config.width

    def forward(self, observation: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(logits [B, A], users' vectors [B, width]); see ``Policy``."""
        users = self.encode(observation)
        logits = self.products(users) + self.seen * torch.log1p(observation["views"].float())
        mask, positions = observation[MASK].bool(), observation.get("positions")
        logits = logits[:, : mask.shape[1]] if positions is None else logits.gather(1, positions)
        return torch.where(mask, logits.float(), MASKED), users

    def encode(self, observation: Mapping[str, Tensor]) -> Tensor:
        """The users' vectors."""
        views = torch.log1p(observation["views"].float())
        return self.user(torch.cat([views, observation["recent"].float()], -1))
