"""A study's results: what every arm reached on equal goals, how the arms differ, and which claims that settles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from rl_recsys.core.outcome import MODES, Outcome, is_success
from rl_recsys.errors import UserError
from rl_recsys.evaluation.corrections import holm
from rl_recsys.evaluation.intervals import CONFIDENCE, difference_interval, difference_p, mcnemar
from rl_recsys.storage.declared import require_declared
from rl_recsys.storage.files import read_object, read_rows

Measure = Literal["success", "score"]
ASKED = ("seed", "goals", "shop", "products")  # what all episodes of an evaluation have in common
RESULTS, EPISODES = "results.json", "episodes"  # of an evaluation, in its folder
STUDY = "study.json"  # what jobs/reproduce.py says of a study, in its folder
TIMED = ("dpo", "ppo", "grpo", "gigpo")  # the arms that are compared at equal training times, where a study has them
REMEDY = "run jobs/evaluate.py again"
SUCCESS = "points of success"
HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be said at this n"


@dataclass(frozen=True)
class Played:
    """An arm's episodes in one mode: rewards and steps [seeds, goals], and each as ``jobs/evaluate.py`` wrote it.

    ``products``: what each goal is about.
    """

    goals: tuple[int, ...]
    products: tuple[str, ...]
    rewards: np.ndarray
    steps: np.ndarray
    episodes: tuple[tuple[dict, ...], ...]

    def values(self, measure: Measure) -> np.ndarray:
        """Success as 0 or 1, or 100 x reward, [seeds, goals]."""
        return is_success(self.rewards).astype(float) if measure == "success" else 100 * self.rewards

    def parts(self, names: Sequence[str]) -> dict[str, float]:
        """The share of episodes that the agent ended, and of these the mean of each part of the reward that applies.

        ``names``: the task's ``reward_parts``.
        """
        all_of = [episode for one in self.episodes for episode in one]
        bought = [episode["parts"] for episode in all_of if episode["bought"]]
        found = {"bought": len(bought) / len(all_of)}
        for part in names:
            present = [float(parts[part]) for parts in bought if part in parts]
            found[part] = float(np.mean(present)) if present else float("nan")
        return found


@dataclass(frozen=True)
class _Asked:
    goals: list[int]
    products: list[str]


def read_results(folder: Path) -> dict:
    """What an evaluation wrote into its folder. Raises ``UserError`` where that is missing or damaged."""
    return read_object(folder / RESULTS, REMEDY, fields={"arms": list, "episodes": list, "title": str, "shop": str})


def read_episodes(path: Path, remedy: str) -> tuple[dict, list[dict]]:
    """What a file of episodes is of, and its episodes, one a goal. Raises ``UserError`` where it is damaged."""
    asked, *played = read_rows(path, remedy) or [{}]
    require_declared(_Asked, asked, path, remedy)
    for number, row in enumerate(played, 2):
        require_declared(Outcome, row, f"{path}, line {number}", remedy)
    if [row["goal"] for row in played] != asked["goals"] or len(asked["products"]) != len(played):
        raise UserError(f"{path}: damaged (it has not an episode of each of its goals); {remedy}")
    return asked, played


def read_evaluation(folder: Path) -> dict[tuple[str, str], Played]:
    """(arm, mode) -> episodes of the last evaluation in a folder, which may have those of earlier ones as well.

    Raises ``UserError`` where there is none, or they are of several evaluations: only equal goals can be compared.
    """
    files: dict[tuple[str, str], dict[int, Path]] = {}
    for name in read_results(folder)["episodes"]:
        try:
            arm, number, mode = Path(name).stem.rsplit("-", 2)
            files.setdefault((arm, mode), {})[int(number)] = folder / EPISODES / name
        except (TypeError, ValueError):
            raise UserError(f"{folder / RESULTS}: damaged ({name!r} is no file of episodes); {REMEDY}") from None
    found: dict[tuple[str, str], Played] = {}
    asked: tuple[Path, dict] | None = None
    for key, numbered in files.items():
        episodes = []
        for number in sorted(numbered):
            header, played = read_episodes(numbered[number], REMEDY)
            this = numbered[number], {name: header.get(name) for name in ASKED}
            asked = asked or this
            if this[1] != asked[1]:
                raise UserError(f"{this[0]}: other goals, shop or seed than {asked[0]}; {REMEDY}")
            episodes.append(tuple(played))
        found[key] = Played(
            goals=tuple(header["goals"]),
            products=tuple(header["products"]),
            rewards=np.array([[episode["reward"] for episode in one] for one in episodes]),
            steps=np.array([[episode["steps"] for episode in one] for one in episodes]),
            episodes=tuple(episodes),
        )
    return found


@dataclass(frozen=True)
class Difference:
    """One arm less another, goal by goal and seed by seed: mean, 95 % interval, and p values.

    ``p`` is that of the interval, against what is claimed (``difference_p``); ``mcnemar`` is of success, against none.
    """

    mean: float
    low: float
    high: float
    mcnemar: float
    pairs: int
    p: float


def difference(one: Played, other: Played, measure: Measure, null: float = 0.0) -> Difference:
    """``one`` less ``other`` in points (of 100), its p value against ``null``.

    Raises ValueError where they did not play the same goals.
    """
    if one.goals != other.goals or one.rewards.shape != other.rewards.shape:
        raise ValueError(f"{one.rewards.shape} and {other.rewards.shape} episodes cannot be paired")
    scale = 100 if measure == "success" else 1
    apart = scale * (one.values(measure) - other.values(measure))
    low, high = difference_interval(apart, 100.0, one.products)
    paired = mcnemar(is_success(one.rewards), is_success(other.rewards))
    p = difference_p(apart, 100.0, one.products, null=null)
    return Difference(float(apart.mean()), low, high, paired, apart.size, p)


def above(found: Difference) -> str:
    """Whether the first is better: only where the whole interval is on one side."""
    return HOLDS if found.low > 0 else FAILS if found.high < 0 else OPEN


def not_below(found: Difference, margin: float) -> str:
    """Whether the first is at most ``margin`` points worse: only where the whole interval is on one side of that."""
    return HOLDS if found.low >= -margin else FAILS if found.high < -margin else OPEN


@dataclass(frozen=True)
class Claim:
    """What is claimed, and what a study says to it. ``p``: Holm's, over the claims of its family (``claims``)."""

    text: str
    where: str
    verdict: str
    found: Difference
    unit: str
    mode: str
    p: float

    @property
    def numbers(self) -> str:
        """The difference with its interval."""
        one = self.found
        shown = f"{one.mean:+.1f} {self.unit} ({one.low:+.1f} to {one.high:+.1f}), {one.pairs} pairs"
        return shown + (f", McNemar p = {one.mcnemar:.2g}" if self.unit == SUCCESS else "")

    @property
    def primary(self) -> bool:
        """Whether it is of the success of the best actions, what a study is made for; others are the second family."""
        return self.unit == SUCCESS and self.mode == MODES[0]


def timed_arm(arm: str, minutes: float) -> str:
    """The name of an arm as it was after so many minutes of training."""
    return f"{arm}-minutes-{minutes:g}"


EQUIVALENT = 2.0  # points: "about as well" is at most so much worse


def claims(
    played: Mapping[tuple[str, str], Played],
    at_minutes: Mapping[str, Mapping[tuple[str, str], Played]],
    modes: Sequence[str],
) -> list[Claim]:
    """The paper's claims, each in every mode, and at equal minutes where the arms were kept as they were then.

    ``played``: all arms after equal updates; ``at_minutes``: what time they had, in words -> the arms after that.
    Claims are corrected for by Holm's rule in two families: those of the success of best actions, and all others. A
    claim that its interval alone would settle is open where its corrected p is not below 0.05.
    """
    units: dict[Measure, str] = {"success": SUCCESS, "score": "points of score"}
    found: list[Claim] = []

    def claim(
        text: str, where: str, mode: str, one: Played, other: Played, measure: Measure, margin: float | None = None
    ) -> None:
        """``margin``: by how much ``one`` may be worse; without, it is to be better."""
        apart = difference(one, other, measure, null=0.0 if margin is None else -margin)
        verdict = above(apart) if margin is None else not_below(apart, margin)
        found.append(Claim(text, where, verdict, apart, units[measure], mode, apart.p))

    for mode in modes:
        arms = {arm: episodes for (arm, its), episodes in played.items() if its == mode}
        for measure in units:
            if {"dpo", "ppo"} <= arms.keys():
                claim("DPO is better than PPO", f"equal updates, {mode}", mode, arms["dpo"], arms["ppo"], measure)
            if {"dpo", "dpo-generated"} <= arms.keys():
                text = f"Few generated trajectories do about as well (at most {EQUIVALENT:g} points less)"
                few, many = arms["dpo-generated"], arms["dpo"]
                claim(text, f"equal updates, {mode}", mode, few, many, measure, margin=EQUIVALENT)
            for other, where in (("dpo", "beside DPO, half the updates"), ("dpo-again", "beside as many updates")):
                if {other, "dpo-on-top"} <= arms.keys():
                    text = "Generated preferences on top of the demonstrations' raise it"
                    claim(text, f"{where}, {mode}", mode, arms["dpo-on-top"], arms[other], measure)
            for arm in ("ppo", "grpo", "gigpo", "dpo", "dpo-generated"):
                if {"imitation", arm} <= arms.keys():
                    text = f"{arm} is better than the imitation policy it starts from (not measured in the paper)"
                    claim(text, mode, mode, arms[arm], arms["imitation"], measure)
    for time_had, arms_then in at_minutes.items():
        for mode in modes:
            if {("dpo", mode), ("ppo", mode)} <= arms_then.keys():
                for measure in units:
                    one, other = arms_then["dpo", mode], arms_then["ppo", mode]
                    claim("DPO is better than PPO", f"{time_had}, {mode}", mode, one, other, measure)
    found = _corrected(found)
    return sorted(found, key=lambda claim: [claim.text for claim in found].index(claim.text))


def _corrected(found: Sequence[Claim]) -> list[Claim]:
    """Claims with Holm's p in each of the two families; settled is only what this is small enough for."""
    corrected = list(found)
    for primary in (True, False):
        places = [place for place, claim in enumerate(found) if claim.primary == primary]
        for place, p in zip(places, holm([found[place].p for place in places]), strict=True):
            claim = found[place]
            corrected[place] = replace(claim, p=p, verdict=claim.verdict if p < 1 - CONFIDENCE else OPEN)
    return corrected
