"""Algorithms that learn from recorded trajectories: their batches, config and RLlib Algorithm."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
from ray.rllib.algorithms.algorithm_config import NotProvided
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.utils.metrics import (
    LEARNER_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    OFFLINE_SAMPLING_TIMER,
    TIMERS,
)

from algorithms.common.config import set_given
from algorithms.common.driver_fed import DriverFedAlgorithm, DriverFedConfig
from algorithms.common.figures import MEAN
from algorithms.common.learner import GATHERED_BATCHES
from algorithms.common.rllib_compat import train_batch
from algorithms.common.settings import OfflineSettings
from policies.base import Policy
from rl_recsys.console.terminal import say
from rl_recsys.core.encoding import MASK, DecisionEncoder, load_decision_encoder, remedy_for_long
from rl_recsys.core.preferences import lasting_steps
from rl_recsys.core.trajectory import Step, Trajectory, TrajectoryError, read_trajectories, task_of


def decisions_to_learn(trajectories: Iterable[Trajectory]) -> list[list[Step]]:
    """The steps of each episode with more than one action that it did not undo knowing no more. Empty episodes go."""
    kept = ([step for step in lasting_steps(one.steps) if len(step.choices) > 1] for one in trajectories)
    return [steps for steps in kept if steps]


def fitting_trajectories(
    folder: str, encoder: DecisionEncoder, *, minimum_reward: float, maximum: int | None = None
) -> list[Trajectory]:
    """The first ``maximum`` of a folder's trajectories with at least ``minimum_reward`` whose instruction fits a state.

    It says how many do not fit. Raises ``TrajectoryError`` where none is left, and for episodes of another task than
    the policy's.
    """
    if encoder.reads is not None and (recorded := task_of(folder)) != encoder.reads[0]:
        raise TrajectoryError(
            f"{folder}: these are episodes of the task {recorded!r}, and the policy reads decisions of "
            f"{encoder.reads[0]!r}: record some of that, or start from a policy of {recorded!r}"
        )
    too_long: list[int] = []

    def fits(trajectory: Trajectory) -> bool:
        instruction = trajectory.goal["instruction_text"]
        if encoder.fits(instruction):
            return True
        too_long.append(encoder.tokens(instruction))
        return False

    found = list(islice(filter(fits, read_trajectories(folder, minimum_reward=minimum_reward)), maximum))
    if too_long:
        say(
            f"{folder}: left out {len(too_long)} episodes whose instruction does not fit the policy's state of "
            f"{encoder.room} tokens; {remedy_for_long(too_long, encoder.most_tokens)}"
        )
    if not found:
        raise TrajectoryError(
            f"{folder}: no trajectory{' that fits' if too_long else ''} has a reward of at least {minimum_reward}; "
            "lower minimum_reward or record more"
        )
    return found


class EpisodeBatches:
    """Endless batches of rows from episodes: episodes in a new seeded order each epoch, their rows kept together.

    Rows of one episode share most of their actions, and equal actions are encoded once; that is why rows are not
    shuffled singly. The position (epoch and row) can be saved and set again.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int):
        if not sum(lengths):
            raise ValueError("no decision to learn from: every step of the trajectories had a single action")
        self._starts = np.concatenate([[0], np.cumsum(lengths)])
        self._size, self._seed = batch_size, seed
        self.epoch, self._row = 0, 0
        self._order = self._shuffled()

    def _shuffled(self) -> np.ndarray:
        rng = np.random.default_rng((self._seed, self.epoch))
        episodes = rng.permutation(len(self._starts) - 1)
        return np.concatenate([np.arange(self._starts[e], self._starts[e + 1]) for e in episodes])

    def next(self) -> np.ndarray:
        """Row indices [B] of the next batch; the last one of an epoch may be shorter."""
        if self._row >= len(self._order):
            self.epoch, self._row = self.epoch + 1, 0
            self._order = self._shuffled()
        rows = self._order[self._row : self._row + self._size]
        self._row += len(rows)
        return rows

    def get_state(self) -> dict[str, int]:
        """The position, for a checkpoint."""
        return {"epoch": self.epoch, "row": self._row}

    def set_state(self, state: dict[str, int]) -> None:
        """Go on from a saved position."""
        self.epoch, self._row = state["epoch"], state["row"]
        self._order = self._shuffled()


class BatchSource(ABC):
    """Where an algorithm's train batches come from."""

    @abstractmethod
    def next_batch(self) -> dict[str, Any]:
        """The columns of the next train batch."""

    @abstractmethod
    def get_state(self) -> dict[str, Any]:
        """The position in the data, for a checkpoint."""

    @abstractmethod
    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a saved position."""

    def figures(self) -> dict[str, float]:
        """What there is to report of the batches so far."""
        return {}


class DecisionData(BatchSource):
    """Recorded decisions, in batches of rows."""

    def __init__(self, episodes: Sequence[Sequence[Step]], encoder: DecisionEncoder, *, batch_size: int, seed: int = 0):
        self.steps = [step for steps in episodes for step in steps]
        self.encoder = encoder
        self.batches = EpisodeBatches([len(steps) for steps in episodes], batch_size, seed)

    def get_state(self) -> dict[str, Any]:
        """Epoch and row."""
        return self.batches.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of ``get_state``."""
        self.batches.set_state(state)


def encode_steps(encoder: DecisionEncoder, steps: Sequence[Step]) -> dict[str, np.ndarray]:
    """A decision encoder's arrays of steps, stacked; A is as many as the longest list of choices has."""
    return encoder.encode_all([step.decision for step in steps])


class OfflineConfig(DriverFedConfig):
    """The config of an algorithm that learns from trajectories, starting from a policy folder."""

    settings = OfflineSettings

    def __init__(self, algo_class: type | None = None):
        super().__init__(algo_class=algo_class or OfflineAlgorithm)
        self.trajectories: str | None = None

    def training(
        self,
        *,
        trajectories: str = NotProvided,
        minimum_reward: float = NotProvided,
        maximum_trajectories: int | None = NotProvided,
        updates_per_iteration: int = NotProvided,
        **kwargs: Any,
    ) -> OfflineConfig:
        """Set what to learn from, and how.

        ``trajectories``: folder of the episodes to learn from, of which those with at least ``minimum_reward`` are
        used, at most ``maximum_trajectories``, the oldest first.
        ``updates_per_iteration``: gradient steps an iteration. ``train_batch_size_per_learner`` counts decisions.
        """
        super().training(**kwargs)
        return set_given(
            self,
            trajectories=trajectories,
            minimum_reward=minimum_reward,
            maximum_trajectories=maximum_trajectories,
            updates_per_iteration=updates_per_iteration,
        )

    @property
    def folders(self) -> tuple[str, ...]:
        """The policy's, and that of the trajectories where some are needed."""
        return (*super().folders, "trajectories") if self.needs_trajectories else super().folders

    @property
    def needs_trajectories(self) -> bool:
        """Whether the algorithm cannot do without recorded trajectories."""
        return True


class OfflineAlgorithm(DriverFedAlgorithm):
    """Draws batches from the trajectories in the driver and hands them to the learners."""

    @classmethod
    def get_default_config(cls) -> OfflineConfig:
        """The config class of this algorithm."""
        return OfflineConfig()

    def batch_source(self, policy: Policy) -> BatchSource:
        """What is learnt from; ``policy`` is what the run starts from."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it learns from")

    def recorded_trajectories(self, minimum_reward: float | None = None) -> list[Trajectory]:
        """The trajectories that the config names, with at least ``minimum_reward`` (by default the config's).

        Raises ``TrajectoryError`` where there is none.
        """
        return fitting_trajectories(
            self.config.trajectories,
            load_decision_encoder(self.config.policy),
            minimum_reward=self.config.minimum_reward if minimum_reward is None else minimum_reward,
            maximum=self.config.maximum_trajectories,
        )

    def begin(self, policy: Policy) -> None:
        """Find what is learnt from."""
        self.source = self.batch_source(policy)

    def training_step(self) -> None:
        """``updates_per_iteration`` gradient steps, of ``gathered_batches`` batches for each learner."""
        gathered = self.config.learner_config_dict[GATHERED_BATCHES]
        for update in range(self.config.updates_per_iteration):
            # Schedules go by updates: how many decisions a batch has is not known before.
            timesteps = {NUM_ENV_STEPS_SAMPLED_LIFETIME: self.iteration * self.config.updates_per_iteration + update}
            for _ in range(gathered):
                with self.metrics.log_time((TIMERS, OFFLINE_SAMPLING_TIMER)):
                    batches = [self._next_batch() for _ in range(max(1, self.config.num_learners))]
                self.learn(batches, timesteps)
        for name, value in self.source.figures().items():
            self.metrics.log_value((LEARNER_RESULTS, DEFAULT_MODULE_ID, name), value, reduce=MEAN)

    def _next_batch(self) -> Any:
        columns = self.source.next_batch()
        decisions = len(columns[Columns.OBS][MASK])
        self.metrics.log_value(NUM_ENV_STEPS_SAMPLED_LIFETIME, decisions, reduce="lifetime_sum")
        return train_batch(columns, rows=decisions)

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's state and the position in the data."""
        return super().get_state(*args, **kwargs) | {"source": self.source.get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of ``get_state``."""
        super().set_state(state)
        if "source" in state:
            self.source.set_state(state["source"])
