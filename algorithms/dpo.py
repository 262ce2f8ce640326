"""Direct preference optimisation of a choice policy: recorded actions against the reference's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.algorithm_config import NotProvided
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.utils.metrics import LEARNER_RESULTS
from torch import Tensor

from algorithms.learner import ChoiceLearner
from algorithms.losses import dpo_loss, imitation_loss
from algorithms.offline import DecisionData, EpisodeBatches, OfflineAlgorithm, OfflineConfig
from policies.choice_model import MASKED, ChoiceModel, decision_encoder
from rl_recsys.encoding import DecisionEncoder
from rl_recsys.errors import UserError
from rl_recsys.trajectories.preferences import lasting_steps, sample_actions
from rl_recsys.trajectories.record import Step

REFERENCE_MARGIN = "reference_margin"
PAIRS = "pairs"  # [B, 2]: the columns of the preferred and of the rejected action
TIED_EPOCHS = 2  # epochs without a single pair before the run is given up


class NoPreferences(UserError):
    """The reference agrees with every recorded action; the message names the remedy."""


class RecordedPreferences(DecisionData):
    """Recorded decisions: the taken action is preferred, the rejected one is what the frozen reference draws.

    Where it draws the taken action the decision gives no pair (a tie) this epoch; draws are new each epoch. The
    reference scores a decision once, when it first comes up: a short run never scores what it does not use.
    """

    def __init__(
        self,
        episodes: Sequence[Sequence[Step]],
        encoder: DecisionEncoder,
        reference: ChoiceModel,
        *,
        pairs: int,
        whole_pages: bool = False,
        seed: int = 0,
    ):
        super().__init__(episodes, encoder)
        self._wanted, self._whole_pages, self._seed = pairs, whole_pages, seed
        self._reference = reference.eval()
        self._preferred = np.array([step.chosen for step in self.steps])
        self._logits = np.full((len(self.steps), encoder.shape.choices), MASKED, np.float32)
        self._scored = np.zeros(len(self.steps), bool)
        self.drawn, self.tied = 0, 0

    def _score(self, rows: np.ndarray) -> None:
        """Fill in the reference's logits of rows that have none yet."""
        rows = rows[~self._scored[rows]]
        if not len(rows):
            return
        observation = {key: torch.as_tensor(value) for key, value in self.observations(rows).items()}
        with torch.no_grad():
            logits = self._reference(observation)[0].numpy()
        self._logits[rows, : logits.shape[1]] = logits
        self._scored[rows] = True

    def next_batch(self, batches: EpisodeBatches) -> dict[str, Any]:
        """At least as many pairs as wanted: rows are drawn for until that many are no ties."""
        found, count, first_epoch = [], 0, batches.epoch
        while count < self._wanted:
            if batches.epoch > first_epoch + TIED_EPOCHS and not count:
                raise NoPreferences(
                    f"the reference took the recorded action in all {self.drawn} draws of {TIED_EPOCHS} epochs: there "
                    "is nothing left to prefer; record more trajectories or start from an earlier policy"
                )
            rows = batches.next()
            self._score(rows)
            rng = np.random.default_rng((self._seed, batches.epoch, int(rows[0])))
            drawn = sample_actions(self._logits[rows], rng)
            untied = drawn != self._preferred[rows]
            found.append((rows[untied], drawn[untied]))
            count += int(untied.sum())
            self.drawn, self.tied = self.drawn + len(rows), self.tied + int((~untied).sum())
        return self.pairs(*map(np.concatenate, zip(*found, strict=True)))

    def pairs(self, rows: np.ndarray, rejected: np.ndarray) -> dict[str, Any]:
        """Observations, where in them the preferred and the rejected action are, and the reference's margins.

        The observations have these two actions only, unless the imitation term asks for the whole page.
        """
        pairs = np.stack([self._preferred[rows], rejected], axis=1)
        margins = self._logits[rows[:, None], pairs]
        observed = self.observations(rows)
        if not self._whole_pages:
            index = np.arange(len(rows))[:, None]
            candidates = {key: observed[key][index, pairs] for key in ("actions", "kinds", "mask")}
            observed = {"state": observed["state"], **candidates, "positions": pairs}
            pairs = np.tile([0, 1], (len(rows), 1))
        return {
            Columns.OBS: observed,
            PAIRS: pairs,
            REFERENCE_MARGIN: (margins[:, 0] - margins[:, 1]).astype(np.float32),
        }


class DPOLearner(ChoiceLearner):
    """Minimises ``dpo_loss``, plus ``imitation_weight`` times the imitation loss of the preferred actions.

    Reports both, the reward margin beta h, and how often the preferred action leads.
    """

    def compute_loss_for_module(self, *, module_id: str, config: Any, batch: dict, fwd_out: dict) -> Tensor:
        """The batch's loss."""
        logits, pairs = fwd_out[Columns.ACTION_DIST_INPUTS], batch[PAIRS].long()
        preferred, rejected = logits.gather(1, pairs).unbind(1)
        margin, reference = preferred - rejected, batch[REFERENCE_MARGIN]
        loss = dpo_loss(margin, reference, config.beta, config.label_smoothing)
        logged = {
            "dpo_loss": loss.detach(),
            "reward_margin": (config.beta * (margin - reference)).mean().detach(),
            "preference_accuracy": (margin > reference).float().mean(),
            "preferred_leads": (margin > 0).float().mean(),
        }
        if config.imitation_weight:
            imitation = imitation_loss(logits, pairs[:, 0])
            logged["imitation_loss"] = imitation.detach()
            loss = loss + config.imitation_weight * imitation
        self.metrics.log_dict(logged, key=module_id, window=50)
        return loss


class DPOConfig(OfflineConfig):
    """The config of ``DPO``.

    ``beta`` scales the implicit reward, ``label_smoothing`` is the share of doubted pairs, ``imitation_weight`` that of
    the imitation loss of the preferred actions, which keeps them from falling together with the rejected ones.
    """

    def __init__(self, algo_class: type | None = None):
        super().__init__(algo_class=algo_class or DPO)
        self.beta = 1.0  # the paper's 0.1 is for sequences of tokens; a decision is one action (docs/learning.md)
        self.label_smoothing = 0.0
        self.imitation_weight = 0.0

    def training(
        self,
        *,
        beta: float = NotProvided,
        label_smoothing: float = NotProvided,
        imitation_weight: float = NotProvided,
        **kwargs: Any,
    ) -> DPOConfig:
        """``beta`` > 0, typically 0.5 to 2 for single actions; ``label_smoothing`` in [0, 0.5).

        ``imitation_weight`` >= 0; with 0 only the two actions of a pair are encoded, and updates are faster.
        """
        super().training(**kwargs)
        given = {"beta": beta, "label_smoothing": label_smoothing, "imitation_weight": imitation_weight}
        for name, value in given.items():
            if value is not NotProvided:
                setattr(self, name, value)
        return self

    def validate(self) -> None:
        """Raises ValueError for a number outside its range."""
        super().validate()
        if self.beta <= 0:
            self._value_error(f"beta is {self.beta}, it must be greater than 0")
        if not 0 <= self.label_smoothing < 0.5:
            self._value_error(f"label_smoothing is {self.label_smoothing}, it must be in [0, 0.5)")
        if self.imitation_weight < 0:
            self._value_error(f"imitation_weight is {self.imitation_weight}, it must not be negative")

    def get_default_learner_class(self) -> type:
        """``DPOLearner``."""
        return DPOLearner


class DPO(OfflineAlgorithm):
    """Learns from pairs of actions of one page; no reward model, no rollouts."""

    @classmethod
    def get_default_config(cls) -> DPOConfig:
        """A ``DPOConfig``."""
        return DPOConfig()

    def decision_data(self, episodes: list[list[Step]], model: ChoiceModel) -> RecordedPreferences:
        """Pairs of actions that were not undone against the frozen policy that the run starts from."""
        encoder = decision_encoder(self.config.policy)
        episodes = [lasting_steps(steps) for steps in episodes]
        return RecordedPreferences(
            episodes,
            encoder,
            model,
            pairs=self.config.train_batch_size_per_learner,
            whole_pages=self.config.imitation_weight > 0,
            seed=self.config.seed or 0,
        )

    def training_step(self) -> None:
        """The updates; reports the share of draws that gave no pair as ``tied_share``."""
        super().training_step()
        self.metrics.log_value(
            (LEARNER_RESULTS, DEFAULT_MODULE_ID, "tied_share"), self._data.tied / self._data.drawn, window=1
        )
