"""PPO's value head, fitted by itself to what the rollouts computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from ray.rllib.utils.numpy import convert_to_numpy
from ray.rllib.utils.torch_utils import convert_to_torch_tensor
from torch import Tensor, nn

LEARNING_RATE = 1e-3
ITERATIONS_KEPT = 8  # of whose steps it learns; the encoder moves little in them
PASSES = 4  # over these steps, an iteration
ROWS = 64


class ValueFit:
    """Learns a state's value from its pooled encoding, which is taken as it is: no gradient reaches the encoder.

    The encoder is the policy's. A head that knows nothing yet, and that is wrong by a whole reward, would pull it away
    from what imitation taught it; and until it knows at what step of an episode a state is, every early action looks
    bad. So the first value of all is the mean return, and each iteration fits the head to the last iterations' targets,
    a small network on a thousand vectors: milliseconds. Several learners average their heads.

    Not kept, where a run is gone on with: the steps of earlier iterations, and the place in the order of their draws.
    """

    def __init__(self, head: nn.Module, *, seed: int):
        """``head`` ends in a linear layer with a bias, of one output."""
        self._head, self._copy = head, deepcopy(head).requires_grad_(True)
        self._last = [layer for layer in self._copy.modules() if isinstance(layer, nn.Linear)][-1]
        self._optimizer = torch.optim.Adam(self._copy.parameters(), lr=LEARNING_RATE)
        self._draws = torch.Generator().manual_seed(seed)
        self._kept: deque[tuple[Tensor, Tensor]] = deque(maxlen=ITERATIONS_KEPT)
        self._started = False
        #: Of the last targets, before they were learnt: mean squared error, and the share of their variance explained.
        self.loss, self.explained = float("nan"), float("nan")

    def start(self, returns: Sequence[float]) -> None:
        """Once there are returns of whole episodes, with any of the learners, value every state at their mean."""
        if self._started:
            return
        found = self._last.bias.new_tensor([sum(returns), len(returns)])
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(found)
        total, count = found.tolist()
        if count:
            nn.init.zeros_(self._last.weight)
            nn.init.constant_(self._last.bias, total / count)
            self._publish()
            self._started = True

    def learn(self, pooled: Tensor, targets: Tensor) -> None:
        """Fit to pooled states [N, H] and their targets [N]."""
        with torch.no_grad():
            missed = targets - self._copy(pooled).squeeze(-1)
            self.loss = float(missed.square().mean())
            self.explained = float(1 - missed.var() / targets.var().clamp(min=1e-6)) if len(targets) > 1 else 0.0
        self._kept.append((pooled.detach(), targets.detach()))
        states, wanted = (torch.cat(columns) for columns in zip(*self._kept, strict=True))
        for _ in range(PASSES):
            for rows in torch.randperm(len(states), generator=self._draws).split(ROWS):
                self._optimizer.zero_grad()
                (self._copy(states[rows]).squeeze(-1) - wanted[rows]).square().mean().backward()
                self._optimizer.step()
        self._publish()

    def _publish(self) -> None:
        with torch.no_grad():
            for value in self._copy.parameters():
                if torch.distributed.is_initialized():
                    torch.distributed.all_reduce(value)
                    value /= torch.distributed.get_world_size()
        self._head.load_state_dict(self._copy.state_dict())

    def get_state(self) -> dict[str, Any]:
        """The optimizer's moments, and whether there was a first value; the head itself is the module's."""
        # As numpy, as RLlib keeps its own: the driver that reads it may have no GPU.
        return {"moments": convert_to_numpy(self._optimizer.state_dict()["state"]), "started": self._started}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on; after the module has its weights again."""
        self._copy.load_state_dict(self._head.state_dict())
        moments = convert_to_torch_tensor(state["moments"])
        self._optimizer.load_state_dict(self._optimizer.state_dict() | {"state": moments})
        self._started = state["started"]
