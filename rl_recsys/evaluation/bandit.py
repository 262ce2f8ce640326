"""Thompson sampling over agents (Feng & Feng 2024): each rollout is one episode of the arm whose draw is the highest.

A run's draws depend on its seed and on what was observed, not on which process played what: a rollout's draw has a
generator of its own. Rollouts are asked for in batches; all draws of a batch are from the posterior at its start
(delayed feedback), so a batch can be played in parallel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np
import scipy  # scipy.stats, which takes a second, is loaded when it is first used

from rl_recsys.console.ranges import COUNT, COUNT_OR_ZERO, SHARE
from rl_recsys.core.outcome import is_success
from rl_recsys.evaluation.intervals import CONFIDENCE

Objective = Literal["success", "score"]
_GOALS, _ROLLOUT, _BEST = 1, 2, 3  # what a generator is for: each has a stream of its own
BEST_DRAWS = 20_000  # of which the probability of being the best arm is estimated


class Posterior(Protocol):
    """What is believed of the arms' means."""

    def draw(self, rng: np.random.Generator, size: int | None = None) -> np.ndarray:
        """One draw of every arm's mean [A], or ``size`` of them [size, A]."""

    def observe(self, arm: int, reward: float) -> None:
        """Count one episode's reward, in [0, 1]."""

    def parameters(self, arm: int) -> list[float]:
        """The numbers that describe the belief about one arm."""

    def interval(self, arm: int) -> tuple[float, float]:
        """Where the arm's mean is with a probability of 95 %."""


class BetaPosterior:
    """Success (a reward of exactly 1) with probability p: Beta(1, 1) before, Beta(1 + successes, 1 + failures) after.

    Parameters of an arm: alpha, beta.
    """

    def __init__(self, arms: int):
        self._counts = np.ones((arms, 2))

    def draw(self, rng: np.random.Generator, size: int | None = None) -> np.ndarray:
        """Draws of the probabilities of success."""
        alpha, beta = self._counts.T
        return rng.beta(alpha, beta, None if size is None else (size, len(alpha)))

    def observe(self, arm: int, reward: float) -> None:
        """Count one episode."""
        self._counts[arm, 0 if is_success(reward) else 1] += 1

    def parameters(self, arm: int) -> list[float]:
        """alpha, beta."""
        return self._counts[arm].tolist()

    def interval(self, arm: int) -> tuple[float, float]:
        """The equal-tailed interval of the probability of success."""
        return tuple(map(float, scipy.stats.beta(*self._counts[arm]).interval(CONFIDENCE)))


class NormalPosterior:
    """Rewards with unknown mean and variance: the conjugate normal-inverse-gamma (Murphy 2007, section 6).

    Before: mean 0.5 as one episode's worth, variance 1/12 as two. Parameters of an arm: the mean, the episodes it rests
    on, and shape and scale of the variance. Draws of the mean are Student's t.
    """

    PRIOR = (0.5, 1.0, 1.0, 1 / 12)

    def __init__(self, arms: int):
        self._belief = np.tile(np.array(self.PRIOR), (arms, 1))

    def draw(self, rng: np.random.Generator, size: int | None = None) -> np.ndarray:
        """Draws of the mean rewards."""
        mean, count, shape, scale = self._belief.T
        many = None if size is None else (size, len(mean))
        return mean + rng.standard_t(2 * shape, many) * np.sqrt(scale / (shape * count))

    def observe(self, arm: int, reward: float) -> None:
        """Count one episode."""
        mean, count, shape, scale = self._belief[arm]
        off = reward - mean
        self._belief[arm] = mean + off / (count + 1), count + 1, shape + 0.5, scale + off**2 * count / (2 * (count + 1))

    def parameters(self, arm: int) -> list[float]:
        """Mean, episodes it rests on, shape, scale."""
        return self._belief[arm].tolist()

    def interval(self, arm: int) -> tuple[float, float]:
        """The equal-tailed interval of the mean reward."""
        mean, count, shape, scale = self._belief[arm]
        return tuple(map(float, scipy.stats.t(2 * shape, mean, np.sqrt(scale / (shape * count))).interval(CONFIDENCE)))


POSTERIORS: Mapping[Objective, type] = {"success": BetaPosterior, "score": NormalPosterior}


@dataclass(frozen=True, slots=True)
class Pull:
    """One rollout: which arm, why, and what came of it. ``posterior`` is the arm's before, as the draw met it."""

    run: Annotated[int, COUNT_OR_ZERO]
    rollout: Annotated[int, COUNT_OR_ZERO]
    arm: str
    drawn: float
    posterior: list[float]
    goal: Annotated[int, COUNT_OR_ZERO]
    draw: Annotated[int, COUNT]
    reward: Annotated[float, SHARE]
    steps: Annotated[int, COUNT_OR_ZERO]

    @property
    def success(self) -> bool:
        """See ``is_success``."""
        return is_success(self.reward)


@dataclass(frozen=True, slots=True)
class Planned:
    """A rollout to be played: an arm on a goal. Episodes of one goal with different ``draw`` numbers differ."""

    rollout: int
    arm: str
    drawn: float
    goal: int
    draw: int


class ThompsonRun:
    """One run of Thompson sampling. Take a ``batch``, play it, ``observe`` its rewards in order, and again.

    ``run`` is its number, which with ``seed`` decides all draws and the order of the goals, whatever arm meets them.
    Where there are more rollouts than goals, they come again with another draw number.
    """

    def __init__(
        self,
        arms: Sequence[str],
        goals: Sequence[int],
        *,
        rollouts: int,
        batch: int,
        objective: Objective,
        seed: int,
        run: int,
    ):
        if len(set(arms)) != len(arms) or not arms:
            raise ValueError(f"arms must be named and different: {list(arms)}")
        if batch < 1 or rollouts < 1:
            raise ValueError(f"{rollouts} rollouts in batches of {batch}: at least one of each is needed")
        self.arms, self.run, self.pulls = tuple(arms), run, []
        self._rollouts, self._batch, self._seed = rollouts, batch, seed
        self._posterior: Posterior = POSTERIORS[objective](len(arms))
        self._goals = np.random.default_rng((_GOALS, seed, run)).permutation(np.asarray(goals))
        self._passes = -(-rollouts // len(self._goals))  # through the goals

    @property
    def finished(self) -> bool:
        """Whether all rollouts were observed."""
        return len(self.pulls) >= self._rollouts

    def batch(self) -> list[Planned]:
        """The next rollouts, all drawn from the present posterior; the same until they are observed."""
        start = len(self.pulls)
        return [self._plan(rollout) for rollout in range(start, min(start + self._batch, self._rollouts))]

    def _plan(self, rollout: int) -> Planned:
        drawn = self._posterior.draw(np.random.default_rng((_ROLLOUT, self._seed, self.run, rollout)))
        arm = int(np.argmax(drawn))
        goal = int(self._goals[rollout % len(self._goals)])
        # Draw 0 is the equal evaluation's; no two runs may play the same episode.
        draw = 1 + self.run * self._passes + rollout // len(self._goals)
        return Planned(rollout, self.arms[arm], float(drawn[arm]), goal, draw)

    def observe(self, batch: Sequence[Planned], rewards: Sequence[float], steps: Sequence[int]) -> list[Pull]:
        """Count a whole batch's rewards, in [0, 1]; returns its pulls."""
        numbers = {name: number for number, name in enumerate(self.arms)}
        pulls = [
            Pull(
                self.run, planned.rollout, planned.arm, planned.drawn,
                self._posterior.parameters(numbers[planned.arm]), planned.goal, planned.draw, float(reward), int(count),
            )
            for planned, reward, count in zip(batch, rewards, steps, strict=True)
        ]  # fmt: skip
        self._count(pulls)
        return pulls

    def resume(self, pulls: Sequence[Pull]) -> int:
        """Go on after logged pulls; how many of them are used: a batch of which some are missing is played again.

        Raises ``ValueError`` where a pull is not what this run would have done.
        """
        used = 0
        while not self.finished:
            batch = self.batch()
            logged = pulls[used : used + len(batch)]
            if len(logged) < len(batch):
                break
            for planned, pull in zip(batch, logged, strict=True):
                asked = (self.run, planned.rollout, planned.arm, planned.goal, planned.draw)
                if asked != (pull.run, pull.rollout, pull.arm, pull.goal, pull.draw):
                    raise ValueError(
                        f"rollout {pull.rollout} of run {pull.run} is arm {pull.arm} on goal {pull.goal}, draw"
                        f" {pull.draw}; expected of run {self.run}: {planned}"
                    )
            self._count(logged)
            used += len(logged)
        return used

    def _count(self, pulls: Sequence[Pull]) -> None:
        numbers = {name: number for number, name in enumerate(self.arms)}
        for pull in pulls:
            self._posterior.observe(numbers[pull.arm], pull.reward)
        self.pulls += pulls

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Where each arm's mean success, or reward, is with a probability of 95 %, by what was observed."""
        return {arm: self._posterior.interval(number) for number, arm in enumerate(self.arms)}

    def best_probabilities(self) -> dict[str, float]:
        """Each arm's probability to be the best, by what was observed."""
        drawn = self._posterior.draw(np.random.default_rng((_BEST, self._seed, self.run)), BEST_DRAWS)
        share = np.bincount(drawn.argmax(1), minlength=len(self.arms)) / BEST_DRAWS
        return dict(zip(self.arms, share.tolist(), strict=True))


def regret(pulls: Sequence[Pull], means: Mapping[str, float]) -> float:
    """What the rollouts gave away in expectation: the sum over them of the best arm's mean less the pulled one's."""
    best = max(means.values())
    return float(sum(best - means[pull.arm] for pull in pulls))


def running(pulls: Sequence[Pull], objective: Objective) -> dict[str, list[tuple[int, float]]]:
    """For each arm (rollout, mean so far) after each of its pulls, for the paper's figures: success or 100 x reward."""
    sums: dict[str, tuple[float, int]] = {}
    means: dict[str, list[tuple[int, float]]] = {}
    for pull in pulls:
        total, count = sums.get(pull.arm, (0.0, 0))
        sums[pull.arm] = total, count = total + (pull.success if objective == "success" else pull.reward), count + 1
        means.setdefault(pull.arm, []).append((pull.rollout + 1, 100 * total / count))
    return means
