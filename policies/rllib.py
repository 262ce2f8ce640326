"""A policy as RLlib sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI, ValueFunctionAPI
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from policies.base import MASKED, blank_policy, precision_to_play
from policies.logits import require_finite
from policies.module_state import VALUE_HEAD

ARCHITECTURE, PRECISION = "architecture", "precision"
VALUE_ROWS = 64  # states encoded at once where RLlib asks for the values of a whole train batch


class PolicyModule(TorchRLModule, ValueFunctionAPI, InferenceOnlyAPI):
    """Wraps a ``Policy``; ``model_config["architecture"]`` is its ``architecture()``.

    ``model_config["precision"]`` is what it plays in ("auto" or the name of a type), ``precision`` what the encoder
    computes in when the learner asks it; logits and values are float32 in any case.

    The weights are blank until a state is set: ``module_state`` gives that of a policy. So nothing assumes that an
    environment runner's node has the policy's folder.
    """

    precision = torch.float32

    def setup(self) -> None:
        """Build the model (RLlib calls this; the constructor stays its own)."""
        self.model = blank_policy(self.model_config[ARCHITECTURE])
        self.model.name = "the policy in training"
        self.model.precision = precision_to_play(self.model_config[PRECISION])
        # On the module itself: RLlib (2.60) fails to take away an attribute of an attribute.
        self.value_head = self.model.value_head
        del self.model.value_head

    @property
    def _device(self) -> torch.device:
        """Where the weights are, which need not be where the observations are."""
        return next(self.model.parameters()).device

    def get_non_inference_attributes(self) -> list[str]:
        """Environment runners need no value head: it is neither kept nor sent there."""
        return [VALUE_HEAD]

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        """Logits [B, A], and pooled states [B, H] for the learner's values: both are kept with every step.

        A state with one action or none is not encoded, for there is nothing to choose; its pooled state is 0. Raises
        ``PolicyError`` for a logit that is no finite number, which RLlib would take for the best action.
        """
        observation = batch[Columns.OBS]
        mask, device = observation["mask"], self._device
        logits = torch.where(mask.bool(), 0.0, MASKED).to(device, non_blocking=True)
        pooled = logits.new_zeros(len(mask), self.model.state_size)
        open_rows = (mask.sum(-1) > 1).nonzero().squeeze(-1)
        if len(open_rows):
            rows = {key: value[open_rows] for key, value in observation.items()}
            places = open_rows.to(device, non_blocking=True)
            scored, pooled[places] = self.model(rows)
            logits[places] = require_finite(scored, self.model.name)
        return {Columns.ACTION_DIST_INPUTS: logits, Columns.EMBEDDINGS: pooled}

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        observation = batch[Columns.OBS]
        lower = self.precision is not torch.float32
        with torch.autocast(self._device.type, dtype=self.precision, enabled=lower):
            logits, _ = self.model(observation)
        return {Columns.ACTION_DIST_INPUTS: logits}

    def compute_values(self, batch: dict[str, Any], embeddings: Tensor | None = None) -> Tensor:
        """Values [B], without gradient; 0 where nothing is left to choose, for there the episode is over.

        The pooled states that the rollout computed are used: its weights were the same. Only what it did not encode is
        encoded here, and RLlib's bootstrap rows, which repeat what the row before them computed. RLlib takes an
        episode that ran out of steps for one that was interrupted, and would credit it with what its last state is
        worth; but the steps are part of the task (15 in the published protocol), and such an episode earned nothing.

        What is encoded here is added to the batch's pooled states, so that values can be learnt of these states too.
        """
        observation = batch[Columns.OBS]
        pooled = (batch[Columns.EMBEDDINGS] if embeddings is None else embeddings).clone()
        missing = (pooled == 0).all(-1)
        if Columns.LOSS_MASK in batch:
            missing |= ~batch[Columns.LOSS_MASK].bool()
        over = (observation["mask"].sum(-1) == 0).to(pooled.device)
        rows = (missing & ~over).nonzero().squeeze(-1)
        with torch.no_grad():
            for chunk in rows.split(VALUE_ROWS) if len(rows) else ():
                pooled[chunk] = self.model.encode(
                    {name: array[chunk.to(array.device)] for name, array in observation.items()}
                )
            batch[Columns.EMBEDDINGS] = pooled
            return self.value_head(pooled).squeeze(-1).float().masked_fill(over, 0.0)


def module_spec(architecture: Mapping[str, Any], precision: str = "auto") -> RLModuleSpec:
    """The RLModuleSpec of a policy's architecture, which plays in a precision."""
    # A key of its own: RLlib mixes defaults of its own models into the mapping.
    return RLModuleSpec(
        module_class=PolicyModule, model_config={ARCHITECTURE: dict(architecture), PRECISION: precision}
    )
