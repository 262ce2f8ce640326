"""What the learners of all three algorithms share: the optimizers of a pretrained encoder and a fresh head."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.core.learner.torch.torch_learner import TorchLearner

#: Keys of ``learner_config_dict``.
HEAD_RATE, FROZEN_LAYERS = "head_learning_rate_factor", "frozen_layers"
LEARNER_DEFAULTS = {HEAD_RATE: 30.0, FROZEN_LAYERS: 0}


class ChoiceLearner(TorchLearner):
    """Adam with the config's learning rate for the encoder and a multiple of it for the head.

    A fresh head at an encoder's learning rate hardly learns; an encoder at a head's forgets what it was trained for.
    ``learner_config_dict``: ``head_learning_rate_factor``, and ``frozen_layers``: how many of the encoder's layers,
    from the embeddings up, stay as they are (0: all are trained).
    """

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Register one optimizer for the encoder and one for the head."""
        module = self._module[module_id].unwrapped()
        model = module.model
        freeze(model.encoder.bert, config.learner_config_dict[FROZEN_LAYERS])
        factor = config.learner_config_dict[HEAD_RATE]
        encoder = [parameter for parameter in model.encoder.parameters() if parameter.requires_grad]
        head = [*model.scorer.parameters(), *module.value_head.parameters()]
        for name, parameters, rate in (("encoder", encoder, 1.0), ("head", head, factor)):
            if parameters:
                self.register_optimizer(
                    module_id=module_id,
                    optimizer_name=name,
                    optimizer=torch.optim.Adam(parameters),
                    params=parameters,
                    lr_or_lr_schedule=_scaled(config.lr, rate),
                )


def freeze(bert: torch.nn.Module, layers: int) -> None:
    """Keep the embeddings and the first ``layers`` layers of a BERT as they are; with 0 nothing is frozen."""
    if layers:
        for part in (bert.embeddings, *bert.encoder.layer[:layers]):
            part.requires_grad_(False)


def _scaled(rate: float | list, factor: float) -> float | list:
    if isinstance(rate, list):
        return [[step, value * factor] for step, value in rate]
    return rate * factor
