"""Preferences from trajectories: against what a reference does instead, or of better episodes over worse ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rl_recsys.core.decision import TIME_LEFT
from rl_recsys.core.trajectory import Step, Trajectory


def lasting_steps(steps: Sequence[Step]) -> list[Step]:
    """The steps of an episode whose action it did not itself undo by coming back to the same place, knowing no more.

    The paper prunes looped sub-trajectories. Here only an action that led into a loop for nothing goes, such as opening
    a product again: a policy that does not know which product is meant has to open others, and who comes back from one
    has seen more, which the state says; that the time has become short is no such thing.
    """
    places = [(step.url, *(said for said in step.state if not said.endswith(TIME_LEFT))) for step in steps]
    last = {place: position for position, place in enumerate(places)}
    return [step for position, step in enumerate(steps) if last[places[position]] == position]


def without_loops(steps: Sequence[Step]) -> list[Step]:
    """The steps of an episode less those between two visits of one place (Feng & Feng 2024, generated trajectories).

    A place is a page with its search, product and chosen options, which is its URL. Of a place the last visit stays,
    with what the episode had read and seen by then.
    """
    last = {step.url: position for position, step in enumerate(steps)}
    kept, position = [], 0
    while position < len(steps):
        position = last[steps[position].url]
        kept.append(steps[position])
        position += 1
    return kept


def better_and_worse(episodes: Sequence[Trajectory]) -> list[tuple[Trajectory, Trajectory]]:
    """Every two episodes of one goal of which one had more reward: (that one, the other)."""
    return [(one, other) for one in episodes for other in episodes if one.reward > other.reward]


def earn_differently(episodes: Sequence[Trajectory]) -> bool:
    """Whether there is something to compare: of episodes that all earn alike none is better."""
    return len({episode.reward for episode in episodes}) > 1


@dataclass(frozen=True, slots=True)
class Preference:
    """At ``step`` its chosen action is preferred to the one at index ``rejected``."""

    step: Step
    rejected: int


def diverging_decisions(better: Sequence[Step], worse: Sequence[Step]) -> list[Preference]:
    """The places that both episodes came to and left by different actions; the better one's is preferred there.

    Of a place that an episode came to several times, what it did last counts: what it undid is no choice of its.
    """
    last = {step.url: step for step in worse}
    found = []
    for step in without_loops(better):
        other = last.get(step.url)
        if other is None or other.actions != step.actions or other.chosen == step.chosen:
            continue
        found.append(Preference(step, other.chosen))
    return found


def branching_decisions(trunk: Trajectory, branches: Sequence[Trajectory]) -> list[Preference]:
    """Where branches leave an episode: of two actions of one decision the one that earned more is preferred.

    Each branch is the trunk up to one decision and differs there. Where several leave at one decision, they are
    compared with one another too.
    """
    rivals: dict[int, list[tuple[Step, float]]] = {}
    for branch in branches:
        both = enumerate(zip(trunk.steps, branch.steps, strict=False))
        parted = next((place for place, (one, other) in both if one.chosen != other.chosen), None)
        if parted is not None:
            rivals.setdefault(parted, [(trunk.steps[parted], trunk.reward)])
            rivals[parted].append((branch.steps[parted], branch.reward))
    return [
        Preference(step, other.chosen)
        for found in rivals.values()
        for step, reward in found
        for other, its in found
        if reward > its
    ]


def without_shared_start(better: Sequence[Step], worse: Sequence[Step]) -> tuple[list[Step], list[Step]]:
    """Two episodes of one goal from the first decision on in which they differ: before, they cancel out."""
    shared = 0
    while shared < min(len(better), len(worse)) and better[shared] == worse[shared]:
        shared += 1
    return list(better[shared:]), list(worse[shared:])


def sample_actions(logits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each decision an action drawn from a policy: logits [..., A] -> indices [...].

    An action that is not there has a very negative logit and is not drawn. Drawn from the reference, it is what a
    recorded action is preferred to (Feng & Feng 2024). Where it is the recorded action itself there is nothing to
    prefer, and the decision gives no pair: so pairs are rare where the reference already does what was recorded, and
    frequent where it does not.
    """
    # The largest of logits plus Gumbel noise is a draw from their softmax.
    return np.argmax(logits.astype(np.float64) + rng.gumbel(size=logits.shape), -1)
