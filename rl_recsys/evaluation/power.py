"""How many goals and trainings settle a difference between two arms, reckoned from pilot evaluations.

    python -m rl_recsys.evaluation.power --pilots runs/demo/evaluation --pairs dpo:ppo dpo:imitation --claims 7

Reads what jobs/evaluate.py wrote. The model is that of the study's intervals: success of one arm less that of the
other, by training and goal, d = mu + training + goal + rest, with variances of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import Annotated

import numpy as np
import scipy

from rl_recsys.console.command import Flags, run_module
from rl_recsys.console.ranges import COUNT, RATE, WEIGHT, Range
from rl_recsys.console.table import Table
from rl_recsys.core.outcome import MODES, Mode
from rl_recsys.errors import UserError
from rl_recsys.evaluation.claims import Played, read_evaluation
from rl_recsys.evaluation.corrections import pocock_level
from rl_recsys.evaluation.intervals import CONFIDENCE

MOST_GOALS = 1_000_000  # beyond which goals are not the remedy


@dataclass(frozen=True)
class Variances:
    """What a paired difference in [-1, 1] varies by, as variances of one draw of each.

    ``trainings``: between trainings (seeds), None where the pilot had one. ``goals``: between goals, whatever the
    training. ``rest``: of a goal in a training; with one training it is part of ``goals``. ``within_cluster``: the
    correlation of two goals of one cluster, such as a product.
    """

    goals: float
    rest: float
    trainings: float | None
    within_cluster: float

    def at(self, seeds: int, goals: int, goals_a_cluster: float) -> float:
        """The variance of the mean over ``seeds`` trainings and ``goals`` goals, all trainings on the same goals.

        trainings/S + (goals + rest/S)/G x (1 + (m - 1) rho), the last factor being Kish's design effect (1965) of m
        goals a cluster.
        """
        effect = 1 + (goals_a_cluster - 1) * self.within_cluster
        return (self.trainings or 0.0) / seeds + effect * (self.goals + self.rest / seeds) / goals

    def of_a_seeds_mean(self, goals: int) -> float:
        """The variance between the means of trainings on the same ``goals`` goals: trainings + rest/G."""
        return (self.trainings or 0.0) + self.rest / goals


def variances(differences: Sequence[Sequence[float]], clusters: Sequence[Hashable]) -> Variances:
    """Estimated from paired differences [seeds, goals]: the mean squares of a two-way table with one value a cell.

    trainings = (MS_seeds - MS_rest)/G, goals = (MS_goals - MS_rest)/S, rest = MS_rest (Searle, Casella and McCulloch
    1992), none below 0; the correlation within clusters is that of one-way analysis of variance of the goals' means.
    Raises ``ValueError`` for fewer than two goals, or another number of clusters than goals.
    """
    table = np.asarray(differences, float)
    seeds, goals = table.shape
    if goals < 2 or len(clusters) != goals:
        raise ValueError(f"differences of {goals} goals and {len(clusters)} clusters: two at least, and as many")
    by_goal, by_seed, mean = table.mean(0), table.mean(1), table.mean()
    rho = _within_cluster(by_goal, clusters)
    if seeds == 1:
        return Variances(float(by_goal.var(ddof=1)), 0.0, None, rho)
    rest = float(((table - by_goal - by_seed[:, None] + mean) ** 2).sum() / ((seeds - 1) * (goals - 1)))
    between_goals = max(0.0, float(by_goal.var(ddof=1)) - rest / seeds)
    between_seeds = max(0.0, float(by_seed.var(ddof=1)) - rest / goals)
    return Variances(between_goals, rest, between_seeds, rho)


def _within_cluster(values: np.ndarray, clusters: Sequence[Hashable]) -> float:
    """The intraclass correlation by one-way analysis of variance (Donner 1986), not below 0; 0 without two of one."""
    _, group = np.unique(np.asarray(clusters), return_inverse=True)
    sizes = np.bincount(group)
    count, groups = len(values), len(sizes)
    if groups in (1, count):
        return 0.0
    means = np.bincount(group, values) / sizes
    between = float((sizes * (means - values.mean()) ** 2).sum() / (groups - 1))
    inside = float(((values - means[group]) ** 2).sum() / (count - groups))
    typical = (count - (sizes**2).sum() / count) / (groups - 1)
    spread = between + (typical - 1) * inside
    return max(0.0, (between - inside) / spread) if spread > 0 else 0.0


def power(
    found: Variances, difference: float, *, seeds: int, goals: int, goals_a_cluster: float = 1.0, level: float
) -> float:
    """How probably a study of this size finds a difference of means, in [0, 1], at a two-sided ``level``.

    The smaller of two, as the study's interval is the wider of two: of the normal test with the variance of ``at``, and
    with several seeds of Student's t over the seeds' means (noncentral t, S - 1 degrees of freedom).
    """
    z = NormalDist()
    error = found.at(seeds, goals, goals_a_cluster) ** 0.5
    if error == 0:
        return 1.0
    by_normal = z.cdf(abs(difference) / error - z.inv_cdf(1 - level / 2))
    if seeds == 1:
        return by_normal
    between = (found.of_a_seeds_mean(goals) / seeds) ** 0.5
    if between == 0:
        return by_normal
    threshold = scipy.stats.t.ppf(1 - level / 2, seeds - 1)
    return min(by_normal, float(scipy.stats.nct.sf(threshold, seeds - 1, abs(difference) / between)))


def goals_needed(
    found: Variances, difference: float, *, seeds: int, wanted: float, goals_a_cluster: float = 1.0, level: float
) -> int | None:
    """The fewest goals with which the ``power`` is as ``wanted``; None where ``MOST_GOALS`` do not suffice."""

    def enough(goals: int) -> bool:
        sized = {"seeds": seeds, "goals": goals, "goals_a_cluster": goals_a_cluster}
        return power(found, difference, level=level, **sized) >= wanted

    if not enough(MOST_GOALS):
        return None
    low, high = 1, MOST_GOALS  # the power grows with the goals
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def smallest_difference(
    found: Variances, *, seeds: int, goals: int, wanted: float, goals_a_cluster: float = 1.0, level: float
) -> float:
    """The smallest difference, in [0, 1], that a study of this size finds with the ``wanted`` power; above 1 is inf."""
    sized = {"seeds": seeds, "goals": goals, "goals_a_cluster": goals_a_cluster, "level": level}
    if power(found, 1.0, **sized) < wanted:
        return float("inf")
    return float(scipy.optimize.brentq(lambda apart: power(found, apart, **sized) - wanted, 0.0, 1.0, xtol=1e-6))


@dataclass(kw_only=True)
class Arguments(Flags):
    """Reckon how large a study must be."""

    pilots: tuple[Path, ...]
    """Folders that jobs/evaluate.py wrote: pilot runs."""
    pairs: tuple[str, ...]
    """Arms to tell apart, as ONE:OTHER."""
    modes: tuple[Mode, ...] = MODES[:1]
    """Of which episodes."""
    difference: Annotated[float, RATE] = 2.0
    """What is to be told from nothing, in points of success."""
    power: Annotated[float, Range(above=0.0, below=1.0)] = 0.8
    """How probably."""
    claims: Annotated[int, COUNT] = 1
    """Claims that are corrected for together: the level is that of Holm's hardest step, 0.05 / claims."""
    looks: Annotated[int, COUNT] = 1
    """How often the results are looked at as they grow; the level of each look is Pocock's."""
    seeds: tuple[int, ...] = (1, 3, 5)
    """Trainings of each arm."""
    goals: Annotated[int, COUNT] = 3000
    """Goals that there are, for the smallest difference that these settle."""
    goals_a_cluster: Annotated[float, Range(least=1.0)] = 1.0
    """Goals about one product in the study; the pilot's own correlation of these counts."""
    trainings_sd: Annotated[float, WEIGHT] = 0.0
    """Standard deviation between trainings of a difference, in points of success, where the pilot has one training and
    cannot tell it."""


def paired(played: dict[tuple[str, str], Played], pair: str, mode: str, folder: Path) -> tuple[np.ndarray, Played]:
    """Differences of success [seeds, goals] of "ONE:OTHER" in a mode. Raises ``UserError`` where one is not there."""
    names = pair.split(":")
    arms = [played.get((name, mode)) or played.get((name, MODES[0])) for name in names]
    if len(names) != 2 or None in arms:
        there = ", ".join(sorted({name for name, _ in played}))
        raise UserError(f"--pairs {pair}: write ONE:OTHER, two arms of {folder}: {there}")
    one, other = arms
    return one.values("success") - other.values("success"), one  # a baseline's one row is paired with every seed


def main(arguments: Arguments) -> None:
    """Read the pilots and show the table."""
    level = pocock_level(arguments.looks, (1 - CONFIDENCE) / arguments.claims)
    wanted, sized = arguments.power, {"goals_a_cluster": arguments.goals_a_cluster, "level": level}
    rows = []
    for folder in arguments.pilots:
        played = read_evaluation(folder)
        for pair in arguments.pairs:
            for mode in arguments.modes:
                apart, one = paired(played, pair, mode, folder)
                found = variances(apart, one.products)
                told = found.trainings is not None
                if not told:
                    found = replace(found, trainings=(arguments.trainings_sd / 100) ** 2)
                pilot = [
                    f"{pair}, {mode}",
                    f"{len(apart)} x {apart.shape[1]} of {len(Counter(one.products))}",
                    f"{100 * apart.mean():+.1f}",
                    *(f"{100 * value**0.5:.1f}" for value in (found.goals, found.rest)),
                    f"{100 * found.trainings**0.5:.1f}{'' if told else ' (given)'}",
                    f"{found.within_cluster:.2f}",
                ]  # fmt: skip
                for seeds in arguments.seeds:
                    needed = goals_needed(found, arguments.difference / 100, seeds=seeds, wanted=wanted, **sized)
                    least = smallest_difference(found, seeds=seeds, goals=arguments.goals, wanted=wanted, **sized)
                    rows.append(
                        [*pilot, str(seeds), "never" if needed is None else f"{needed:,}", f"{100 * least:.1f}"]
                    )
                    pilot = [""] * len(pilot)
    columns = ["pair", "pilot", "difference", "sd goals", "sd rest", "sd trainings", "rho", "seeds", "goals", "points"]
    title = f"to find {arguments.difference:g} points with power {wanted:g} at level {level:.2g}"
    caption = (
        "In points of success. pilot: seeds x goals of so many products. goals: how many find it; "
        f"points: what {arguments.goals:,} find. given: by --trainings-sd, as "
        "one training does not tell how much trainings differ. never: more goals do not help, more seeds may."
    )
    Table(title, columns, rows, caption).show()


if __name__ == "__main__":
    run_module(main, Arguments, __doc__)
