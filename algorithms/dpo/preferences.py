"""What DPO learns from: preferred and rejected actions, or episodes, with what the frozen reference makes of them."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np

from algorithms.common.offline import BatchSource, DecisionData
from algorithms.common.ranges import Pairing, Ties
from algorithms.common.reference import Reference
from algorithms.dpo.columns import decision_columns, trajectory_columns
from algorithms.rollouts.goal_sampler import BARREN_GROUPS, Shuffled
from policies.base import MASKED
from rl_recsys.core.preferences import (
    Preference,
    better_and_worse,
    branching_decisions,
    diverging_decisions,
    earn_differently,
    sample_actions,
    without_shared_start,
)
from rl_recsys.core.trajectory import Step, Trajectory
from rl_recsys.errors import UserError

TIED_EPOCHS = 2  # epochs without a single pair before the run is given up
COUNTS = ("groups", "unequal", "batches")
MIXED_BATCHES = 4  # batches' pairs that are kept at least, where pairs are used several times


class NoPreferences(UserError):
    """There is nothing to prefer; the message names the remedy."""


class PreferenceSource(BatchSource):
    """Batches of pairs with what the reference makes of them."""

    @abstractmethod
    def reference_changed(self) -> None:
        """Forget what the reference, which has other weights now, made of what is to come."""


class RecordedPreferences(DecisionData, PreferenceSource):
    """Recorded decisions: the taken action is preferred, the rejected one is what the frozen reference draws.

    Where it draws the taken action (a tie), the decision gives no pair this epoch ("skip"), or the reference draws
    again among the others ("resample"); draws are new each epoch. The reference scores a decision once, when it first
    comes up: a short run never scores what it does not use.
    """

    def __init__(
        self,
        episodes: Sequence[Sequence[Step]],
        reference: Reference,
        *,
        pairs: int,
        whole_pages: bool = False,
        ties: Ties = "skip",
        seed: int = 0,
    ):
        super().__init__(episodes, reference.encoder, batch_size=pairs, seed=seed)
        self._ties = ties
        self._wanted, self._whole_pages, self._seed = pairs, whole_pages, seed
        self._reference = reference
        self._logits = np.full((len(self.steps), reference.encoder.choices), MASKED, np.float32)
        self._scored = np.zeros(len(self.steps), bool)
        self.drawn, self.tied = 0, 0

    def get_state(self) -> dict[str, Any]:
        """The position in the data, and what the draws so far were."""
        return super().get_state() | {"drawn": self.drawn, "tied": self.tied}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on after them."""
        super().set_state(state)
        self.drawn, self.tied = state["drawn"], state["tied"]

    def reference_changed(self) -> None:
        """Score anew what comes up from now on."""
        self._scored[:] = False

    def next_batch(self) -> dict[str, Any]:
        """At least as many pairs as wanted: rows are drawn for until that many are no ties."""
        found, first_epoch = [], self.batches.epoch
        while len(found) < self._wanted:
            if self.batches.epoch > first_epoch + TIED_EPOCHS and not found:
                raise NoPreferences(
                    f"the reference took the recorded action in all {self.drawn} draws of {TIED_EPOCHS} epochs: there "
                    "is nothing left to prefer; record more trajectories or start from an earlier policy"
                )
            rows = self.batches.next()
            missing = rows[~self._scored[rows]]
            if len(missing):
                self._logits[missing] = self._reference.logits([self.steps[row] for row in missing])
                self._scored[missing] = True
            rng = np.random.default_rng((self._seed, self.batches.epoch, int(rows[0])))
            taken = np.array([self.steps[row].chosen for row in rows])
            drawn = sample_actions(self._logits[rows], rng)
            tied = drawn == taken
            self.drawn, self.tied = self.drawn + len(rows), self.tied + int(tied.sum())
            if self._ties == "resample" and tied.any():
                others = self._logits[rows[tied]]
                others[np.arange(len(others)), taken[tied]] = -np.inf
                drawn[tied] = sample_actions(others, rng)
            kept = drawn != taken
            found += zip(rows[kept], drawn[kept].tolist(), strict=True)
        preferences = [Preference(self.steps[row], action) for row, action in found]
        logits = self._logits[[row for row, _ in found]]
        return decision_columns(self._reference, preferences, whole_pages=self._whole_pages, logits=logits)

    def figures(self) -> dict[str, float]:
        """The share of draws that were the recorded action."""
        return {"tied_share": self.tied / max(self.drawn, 1)}


class EpisodeGroups(Protocol):
    """Endless groups of episodes, each of one goal."""

    def __next__(self) -> list[Trajectory]:
        """The next group."""

    def get_state(self) -> dict[str, Any]:
        """Which groups come next."""

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of ``get_state``; before the first group is taken."""


class OutcomePreferences(PreferenceSource):
    """Groups of episodes of one goal: what a better one did against what a worse one did.

    By "decision": the actions by which they left a place that both came to. By "trajectory": all their decisions from
    the first in which they differ. By "branch": the actions of the one decision in which an episode and its branches
    differ. ``groups`` is endless. Each pair is in ``uses`` batches: they are drawn at random
    from the pairs that have uses left, of which some batches' worth is kept, and as many are taken anew as are used up.
    The last pairs of a run are used less often.
    """

    def __init__(
        self,
        groups: EpisodeGroups,
        reference: Reference,
        *,
        pairs: int,
        pairing: Pairing,
        uses: int = 1,
        whole_pages: bool = False,
        seed: int = 0,
    ):
        self._groups, self._reference, self._wanted = groups, reference, pairs
        self._pairing, self._uses, self._whole_pages, self._seed = pairing, uses, whole_pages, seed
        self._pairs: list[tuple[Any, int]] = []  # with the uses that are left
        self.groups = self.unequal = self.batches = 0

    def reference_changed(self) -> None:
        """Pairs are scored when they are taken: nothing is kept."""

    def next_batch(self) -> dict[str, Any]:
        """As many pairs as wanted; groups are taken until there are enough to draw from."""
        barren = 0
        while self._too_few():
            pairs = self._pairs_of(next(self._groups))
            self.groups, self.unequal = self.groups + 1, self.unequal + bool(pairs)
            self._pairs += [(pair, self._uses) for pair in pairs]
            barren = 0 if pairs else barren + 1
            if barren == BARREN_GROUPS:
                raise NoPreferences(
                    f"in {barren} groups one after the other no episode was better than another: the policy always "
                    "does the same or always fails; train it by imitation first, or take larger groups"
                )
        rng = np.random.default_rng((self._seed, self.batches))
        self.batches += 1
        drawn = set(rng.choice(len(self._pairs), self._wanted, replace=False).tolist())
        taken = [self._pairs[place][0] for place in sorted(drawn)]
        left = [(pair, uses - (place in drawn)) for place, (pair, uses) in enumerate(self._pairs)]
        self._pairs = [(pair, uses) for pair, uses in left if uses]
        if self._pairing == "trajectory":
            return trajectory_columns(self._reference, taken)
        return decision_columns(self._reference, taken, whole_pages=self._whole_pages)

    def _too_few(self) -> bool:
        # Counted in uses, not in pairs: so new ones are asked for at every batch, not all at once when old ones end.
        kept = self._wanted * min(self._uses, MIXED_BATCHES) * self._uses
        return len(self._pairs) < self._wanted or sum(uses for _, uses in self._pairs) < kept

    def _pairs_of(self, group: list[Trajectory]) -> list:
        if self._pairing == "branch":
            return branching_decisions(group[0], group[1:])
        pairs = better_and_worse(group)
        order = np.random.default_rng((self._seed, self.groups, 1)).permutation(len(pairs))
        found = []
        # A worse episode is compared once: all combinations would let a single goal fill the batches.
        compared: set[int] = set()
        for better, worse in (pairs[place] for place in order):
            if id(worse) in compared:
                continue
            compared.add(id(worse))
            if self._pairing == "decision":
                found += [one for one in diverging_decisions(better.steps, worse.steps) if len(one.step.choices) > 1]
            else:
                both = without_shared_start(better.steps, worse.steps)
                decisions = tuple([step for step in steps if len(step.choices) > 1] for steps in both)
                found += [decisions] if any(decisions) else []
        return found

    def figures(self) -> dict[str, float]:
        """The share of the groups so far that gave pairs; goals that did before come more often than others."""
        return {"unequal_share": self.unequal / max(self.groups, 1)}

    def get_state(self) -> dict[str, Any]:
        """How many groups were taken, what they were like, which are next, and the pairs that are left of them."""
        counts = {name: getattr(self, name) for name in COUNTS}
        pairs = [(_pair_state(pair), uses) for pair, uses in self._pairs]
        return counts | {"source": self._groups.get_state(), "pairs": pairs}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on after the groups that were taken."""
        self._groups.set_state(state["source"])
        self._pairs = [(_pair_of(pair), uses) for pair, uses in state["pairs"]]
        for name in COUNTS:
            setattr(self, name, state[name])


def _pair_state(pair: Preference | tuple[list[Step], list[Step]]) -> Any:
    """A pair as plain data, for a checkpoint."""
    if isinstance(pair, Preference):
        return {"step": asdict(pair.step), "rejected": pair.rejected}
    return tuple([asdict(step) for step in steps] for steps in pair)


def _pair_of(state: Any) -> Preference | tuple[list[Step], list[Step]]:
    """The pair that ``_pair_state`` made data of."""
    if isinstance(state, dict):
        return Preference(Step(**state["step"]), state["rejected"])
    better, worse = ([Step(**step) for step in steps] for steps in state)
    return better, worse


class RecordedGroups:
    """Recorded episodes, those of one goal together, endlessly and in a new order each time.

    Raises ``NoPreferences`` where no goal has episodes of different rewards.
    """

    def __init__(self, trajectories: Sequence[Trajectory], *, seed: int = 0):
        by_goal: dict[str, list[Trajectory]] = defaultdict(list)
        for trajectory in trajectories:
            by_goal[trajectory.goal["instruction_text"]].append(trajectory)
        groups = [group for group in by_goal.values() if earn_differently(group)]
        if not groups:
            raise NoPreferences(
                f"{len(trajectories)} trajectories of {len(by_goal)} goals, and no goal has a better and a worse one: "
                "record several episodes a goal, as jobs/generate.py --group 8 does, and keep the failed ones"
            )
        self._groups, self._order = groups, Shuffled(range(len(groups)), seed)

    def __next__(self) -> list[Trajectory]:
        return self._groups[next(self._order)]

    def get_state(self) -> dict[str, Any]:
        """The position in the order."""
        return self._order.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of ``get_state``."""
        self._order.set_state(state)


class MixedPreferences(PreferenceSource):
    """Batches of several sources in turn, by their names."""

    def __init__(self, **sources: PreferenceSource):
        self._sources, self._turn = sources, 0

    def reference_changed(self) -> None:
        """Tell all."""
        for source in self._sources.values():
            source.reference_changed()

    def next_batch(self) -> dict[str, Any]:
        """The next source's batch."""
        source = list(self._sources.values())[self._turn % len(self._sources)]
        self._turn += 1
        return source.next_batch()

    def figures(self) -> dict[str, float]:
        """All that the sources report, each with its source's name before it: "recorded_tied_share"."""
        return {
            f"{name}_{figure}": value
            for name, source in self._sources.items()
            for figure, value in source.figures().items()
        }

    def get_state(self) -> dict[str, Any]:
        """Every source's position, and whose turn it is."""
        return {"turn": self._turn, "sources": {name: source.get_state() for name, source in self._sources.items()}}

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of ``get_state``."""
        self._turn = state["turn"]
        for name, source in self._sources.items():
            source.set_state(state["sources"][name])
