"""What would have come of other actions: a policy's episode of a goal, and the same with one action changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from policies.base import Policy
from policies.play import Episode, play_together, recorded
from rl_recsys.core.task import Task
from rl_recsys.core.trajectory import Trajectory

DOUBT = 0.01  # an action less likely than this is no alternative where what the policy does earns the whole reward


def branched_episodes(
    policy: Policy,
    task: Task,
    goal: int,
    *,
    size: int,
    author: str,
    seed: int = 0,
    max_steps: int | None = None,
) -> Iterator[Trajectory]:
    """The policy's greedy episode of a goal, and then up to ``size`` - 1 branches of it.

    A branch is the same up to one decision, takes another action there, and goes on greedily, so what it earns more or
    less is that action's doing (the "vine" of Schulman et al. 2015, of a deterministic policy and one rollout each).
    The decisions and their other actions are drawn by the policy's probabilities, without replacement. Where the first
    episode earned the whole reward, only actions that are at least ``DOUBT`` likely are tried: of others there is
    nothing to learn but what the policy knows.
    """
    play = partial(play_together, policy, task, greedy=True, seed=seed, max_steps=max_steps, recording=True)
    ((trunk, result),) = play([goal], [0])
    first = recorded(trunk, result, author=author, seed=seed)
    yield first
    rng = np.random.default_rng((seed, goal))
    beginnings = _beginnings(trunk, size - 1, DOUBT if first.success else 0.0, rng)
    for episode, its in play([goal] * len(beginnings), [0] * len(beginnings), beginnings=beginnings):
        yield recorded(episode, its, author=author, seed=seed)


def _beginnings(trunk: Episode, count: int, least: float, rng: np.random.Generator) -> Sequence[Sequence[int]]:
    """The choices of at most ``count`` branches up to the one that differs, which is at least ``least`` likely."""
    taken = [step.chosen for step in trunk.steps]
    found: list[tuple[float, list[int]]] = []
    for position, logits in enumerate(trunk.logits):
        log_likely = logits - np.logaddexp.reduce(logits)
        for action in np.flatnonzero(np.exp(log_likely) >= least):
            if action != taken[position]:
                # The largest of log p plus Gumbel noise are a draw without replacement.
                key = log_likely[action] + rng.gumbel()
                found.append((key, [*taken[:position], int(action)]))
    found.sort(reverse=True)
    return [beginning for _, beginning in found[:count]]
