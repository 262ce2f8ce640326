"""What is done to an iteration's steps before the policy learns from them: values, advantages, and which rows stay."""

from __future__ import annotations

from typing import Any

import torch
import tree
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.core.columns import Columns
from torch import Tensor

from algorithms.common.reference import REFERENCE_LOGITS
from algorithms.ppo.value_fit import ValueFit
from policies.base import load_policy
from rl_recsys.errors import UserError

REFERENCE_ROWS = 64  # rows that the reference scores at once


class StartValues(ConnectorV2):
    """Before the first advantages are computed: every state is worth what the episodes returned on average."""

    def __init__(self, values: ValueFit):
        super().__init__()
        self._values = values

    def __call__(self, *, batch: dict, episodes: list, **kwargs: Any) -> dict:
        """The batch as it is."""
        # Ended, with or without a purchase, and not only cut where the sample ends: nothing is left to choose.
        returns = [each.get_return() for each in episodes if not each.get_observations(-1)["mask"].any()]
        self._values.start(returns)
        return batch


class FitValues(ConnectorV2):
    """After the advantages are computed: fits the values to this iteration's targets."""

    def __init__(self, values: ValueFit):
        super().__init__()
        self._values = values

    def __call__(self, *, batch: dict, **kwargs: Any) -> dict:
        """The batch as it is."""
        for columns in batch.values():
            pooled = columns[Columns.EMBEDDINGS]
            known = (pooled != 0).any(-1)  # a page without a choice was not encoded
            if Columns.LOSS_MASK in columns:
                known &= columns[Columns.LOSS_MASK].bool()
            self._values.learn(pooled[known], columns[Columns.VALUE_TARGETS][known])
        return batch


class KeepDecisions(ConnectorV2):
    """Drops the rows that are no decision, standardises the advantages of the rest, and drops those in no doubt.

    RLlib adds one bootstrap row to each episode: masked in its loss, yet computed in every epoch and counted in the
    advantages' mean. Rows with a single available action have nothing to learn for the policy either. Where the policy
    gave its likeliest action the probability p, nothing that a row says moves the logits by more than some 1 - p on
    average, so pages where all others had less than ``doubt`` are left out: they cost as much as any, and are four of
    five in a policy that was imitated.

    At least ``least`` rows stay, those most in doubt, and as many with each of several learners. They come in a drawn
    order.
    """

    def __init__(self, doubt: float = 0.0, least: int = 1):
        super().__init__()
        self._doubt, self._least = doubt, least
        self.kept_share = float("nan")  # of the last decisions

    def __call__(self, *, rl_module: Any, batch: dict, episodes: list, **kwargs: Any) -> dict:
        """The batch with only the rows of real choices."""
        for module_id, columns in batch.items():
            keep = columns[Columns.OBS]["mask"].sum(-1) > 1
            if Columns.LOSS_MASK in columns:
                keep &= columns.pop(Columns.LOSS_MASK).bool()
            decisions = keep.nonzero().squeeze(-1)
            likely = columns[Columns.ACTION_DIST_INPUTS][decisions].softmax(-1).amax(-1)
            doubtful = self._in_doubt(likely)
            advantages = columns[Columns.ADVANTAGES]
            of_decisions = advantages[decisions]
            spread = of_decisions.std().clamp(min=1e-4) if len(decisions) > 1 else 1.0
            columns[Columns.ADVANTAGES] = (advantages - of_decisions.mean()) / spread
            rows = decisions[doubtful]
            # RLlib shuffles after an epoch only: the first one's minibatches would be of neighbouring pages.
            rows = rows[torch.randperm(len(rows), device=rows.device)]
            self.kept_share = len(rows.unique()) / len(decisions)
            batch[module_id] = tree.map_structure(
                lambda value, rows=rows: value[rows] if torch.is_tensor(value) else value, columns
            )
        return batch

    def _in_doubt(self, likely: Tensor) -> Tensor:
        """The rows [K] to keep, ascending, of those whose likeliest action had these probabilities [N].

        Raises ``UserError``, with all of several learners, where one of them has no decision.
        """
        count = (likely <= 1 - self._doubt).sum().clamp(min=min(self._least, len(likely)))
        agreed = torch.stack([count, count.new_tensor(not len(likely))])
        if torch.distributed.is_initialized():  # learners make equally many updates, or none of them makes any
            torch.distributed.all_reduce(agreed, torch.distributed.ReduceOp.MAX)
        count, without = agreed.tolist()
        if without:
            raise UserError("no step of this iteration was a choice: sample more --rollout-steps")
        places = torch.arange(count, device=likely.device) % len(likely)
        return likely.argsort(stable=True)[places].sort().values


class AddReference(ConnectorV2):
    """Adds to each row the logits of the frozen policy that the run started from."""

    def __init__(self, policy: str):
        super().__init__()
        self._model = load_policy(policy)

    def __call__(self, *, rl_module: Any, batch: dict, **kwargs: Any) -> dict:
        """The batch with the column."""
        for columns in batch.values():
            observation = columns[Columns.OBS]
            self._model.to(observation["mask"].device)
            places = torch.arange(len(observation["mask"]), device=observation["mask"].device).split(REFERENCE_ROWS)
            with torch.no_grad():
                scored = [self._model({key: value[rows] for key, value in observation.items()})[0] for rows in places]
            columns[REFERENCE_LOGITS] = torch.cat(scored)
        return batch
