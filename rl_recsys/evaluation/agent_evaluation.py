"""One agent on a list of goals: its episodes, a line each in a file, and the figures that they come to.

An evaluation that was killed goes on behind the last whole line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from rl_recsys.console.progress import progress
from rl_recsys.console.ranges import COUNT_OR_ZERO, SHARE
from rl_recsys.console.table import Table
from rl_recsys.core.outcome import Outcome, is_success
from rl_recsys.core.play import baseline_episodes
from rl_recsys.core.task import Task
from rl_recsys.errors import UserError
from rl_recsys.evaluation.comparison import ArmResult, arm_result, percent, with_interval
from rl_recsys.runs.results import write_results
from rl_recsys.storage.declared import require_declared
from rl_recsys.storage.files import naming, read_rows, write_text

EPISODES, RESULTS, TABLE = "episodes.jsonl", "results.json", "table.md"
RESULTS_FORMAT = 1  # of RESULTS; raised when a leaderboard can no longer read the earlier ones
ANOTHER = "use another --out"
COLUMNS = ("agent", "success % (95 % interval)", "score", "steps", "episodes", "changed nothing %")


@dataclass(frozen=True, slots=True)
class Planned:
    """An episode to play: its number in the evaluation, its goal, and the validation that it belongs to.

    ``draw``: how many episodes of the goal are before it, so that an agent that samples does so anew.
    """

    number: int
    goal: int
    validation: int = 0
    draw: int = 0


@dataclass(frozen=True, slots=True)
class AgentEpisode:
    """How a planned episode went. ``reward`` in [0, 1], 0 where the agent bought nothing; ``bought``: whether it did.

    ``unchanged``: how many of its ``actions`` changed nothing, since the page did not offer them.
    """

    number: Annotated[int, COUNT_OR_ZERO]
    goal: Annotated[int, COUNT_OR_ZERO]
    reward: Annotated[float, SHARE]
    steps: Annotated[int, COUNT_OR_ZERO]
    bought: bool
    unchanged: Annotated[int, COUNT_OR_ZERO] = 0
    actions: list[str] = field(default_factory=list)
    parts: dict[str, float | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What an evaluation plays: the protocol's name, its episodes, and what else tells its figures from others'.

    ``details``: plain values for JSON. ``ceiling``: the success and the score, in [0, 1] and of 100, that buying each
    goal's own product with the best options comes to.
    """

    protocol: str
    episodes: Sequence[Planned]
    max_steps: int
    details: Mapping[str, Any]
    ceiling: tuple[float, float]

    @property
    def goals(self) -> list[int]:
        """The goal of each episode."""
        return [planned.goal for planned in self.episodes]


def goals_digest(task: Task, goals: Sequence[int]) -> str:
    """The sha256, in hex, of some goals in their order: each one's number and its words."""
    lines = (json.dumps([goal, task.instruction(goal)]) + "\n" for goal in goals)
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode())
    return digest.hexdigest()


class EpisodeFile:
    """The episodes of a plan in a folder, as far as they were played; in the order in which they ended."""

    def __init__(self, folder: Path, plan: Plan):
        self._path, self._plan = folder / EPISODES, plan
        self._played: dict[int, AgentEpisode] = {}

    def resume(self) -> None:
        """Take up what the folder has. A line that a kill cut short goes from it, and is played again.

        Raises ``UserError`` where the file is damaged, or of another plan.
        """
        if not self._path.is_file():
            return
        rows = read_rows(self._path, ANOTHER, cut=True)
        for line, row in enumerate(rows, 1):
            where = f"{self._path}, line {line}"
            episode = require_declared(AgentEpisode, row, where, ANOTHER)
            planned = self._plan.episodes[episode.number] if episode.number < len(self._plan.episodes) else None
            if planned is None or planned.goal != episode.goal or episode.number in self._played:
                raise UserError(f"{where}: no episode of this evaluation, or one that is there twice; {ANOTHER}")
            self._played[episode.number] = episode
        write_text(self._path, "".join(json.dumps(row) + "\n" for row in rows))

    @property
    def left(self) -> list[Planned]:
        """What is still to be played."""
        return [planned for planned in self._plan.episodes if planned.number not in self._played]

    def play(self, name: str, play: Callable[[Sequence[Planned]], Iterable[AgentEpisode]]) -> list[AgentEpisode]:
        """Play what is left, writing each episode as it ends; all episodes in the plan's order."""
        if left := self.left:
            with progress(name, len(self._plan.episodes)) as bar, naming(self._path), open(self._path, "a") as file:
                bar.resume(len(self._played))
                for episode in play(left):
                    file.write(json.dumps(asdict(episode)) + "\n")
                    file.flush()
                    self._played[episode.number] = episode
                    bar.advance()
        return [self._played[planned.number] for planned in self._plan.episodes]


def baseline_outcomes(task: Task, plan: Plan, name: str) -> list[Outcome]:
    """One of the task's baselines on a plan's goals. It plays a goal always alike, so each is played once."""
    distinct = list(dict.fromkeys(plan.goals))
    played = baseline_episodes(task, distinct, name, max_steps=plan.max_steps)
    found = {outcome.goal: outcome for outcome in played}
    return [found[goal] for goal in plan.goals]


def figures(task: Task, plan: Plan, name: str, episodes: Sequence[AgentEpisode] | Sequence[Outcome]) -> ArmResult:
    """Success and score with their 95 % intervals over products, of episodes in the plan's order.

    All validations together are one sample of goals.
    """
    products = [task.cluster(goal) for goal in plan.goals]
    rewards, steps = [episode.reward for episode in episodes], [episode.steps for episode in episodes]
    return arm_result(name, [rewards], [steps], products=products)


def validations(plan: Plan, episodes: Sequence[AgentEpisode] | Sequence[Outcome]) -> list[dict[str, float]]:
    """The success, in [0, 1], and the score, of 100, of each validation by itself."""
    pairs = zip(plan.episodes, episodes, strict=True)
    found = []
    for number, its in groupby(pairs, key=lambda pair: pair[0].validation):
        rewards = np.array([episode.reward for _, episode in its])
        success, score = float(is_success(rewards).mean()), 100 * float(rewards.mean())
        found.append({"validation": number, "episodes": len(rewards), "success": success, "score": score})
    return found


def scatter(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """How far apart single validations are, in points of success.

    ``half_width``: what a 95 % interval of one of them would have on either side were its goals independent (normal
    approximation of the binomial). ``deviation``: the standard deviation that was seen, of several.
    """
    success = np.array([one["success"] for one in found])
    mean, size = success.mean(), found[0]["episodes"]
    seen = {"deviation": 100 * float(success.std(ddof=1))} if len(success) > 1 else {}
    extremes = {"lowest": 100 * float(success.min()), "highest": 100 * float(success.max())}
    return {"half_width": 196 * float(np.sqrt(mean * (1 - mean) / size)), **extremes, **seen}


def extremes(apart: Mapping[str, float]) -> str:
    """The lowest and the highest of a ``scatter``, and its deviation where there is one, as text."""
    deviation = f", standard deviation {apart['deviation']:.1f}" if "deviation" in apart else ""
    return f"{apart['lowest']:.1f} to {apart['highest']:.1f} %{deviation}"


def write_evaluation(
    folder: Path, task: Task, plan: Plan, agent: Mapping[str, Any], episodes: Sequence[AgentEpisode]
) -> None:
    """Show the table of an agent and the task's baselines, and write ``TABLE`` and ``RESULTS``.

    docs/evaluation-kit.md says what the latter holds. ``agent``: "kind" and "name", what it "reads", and what else
    there is to say, as JSON can hold it.
    """
    result = figures(task, plan, agent["name"], episodes)
    outcomes = {name: baseline_outcomes(task, plan, name) for name in task.baselines}
    beside = {name: figures(task, plan, name, its) for name, its in outcomes.items()}
    unchanged = sum(episode.unchanged for episode in episodes) / max(1, sum(episode.steps for episode in episodes))
    rows = [_row(result, f"{100 * unchanged:.1f}"), *(_row(one, "-") for one in beside.values())]
    success, score = plan.ceiling
    rows.append(["ceiling: each goal's own product", f"{100 * success:.1f}", f"{score:.1f}", "-", "-", "-"])
    found = {
        "format": RESULTS_FORMAT,
        "protocol": {"name": plan.protocol, "max_steps": plan.max_steps, **plan.details},
        "agent": dict(agent),
        "world": {"task": task.name, "fingerprint": task.fingerprint, "goals": goals_digest(task, plan.goals)},
        "episodes": len(episodes),
        **{name: getattr(result, name) for name in ("success", "success_interval", "score", "score_interval", "steps")},
        "unchanged": unchanged,
        "baselines": [one.to_mapping() for one in beside.values()],
        "ceiling": {"success": success, "score": score},
    }
    caption = ""
    if "validations" in plan.details:
        by_validation = validations(plan, episodes)
        found |= {"validations": by_validation, "scatter": (apart := scatter(by_validation))}
        found["baseline_scatter"] = {name: scatter(validations(plan, its)) for name, its in outcomes.items()}
        caption = _said_of(by_validation, apart, plan.details)
    title = f"{agent['name']} on {len(episodes)} episodes, protocol {plan.protocol}, at most {plan.max_steps} steps"
    write_results(Table(title, COLUMNS, rows, caption), found, page=folder / TABLE, data=folder / RESULTS)


def _row(result: ArmResult, unchanged: str) -> list[str]:
    success = percent(result.success, result.success_interval)
    score = with_interval(result.score, result.score_interval)
    return [result.arm, success, score, f"{result.steps:.1f}", str(result.episodes), unchanged]


def _said_of(found: Sequence[Mapping[str, float]], apart: Mapping[str, float], details: Mapping[str, Any]) -> str:
    return (
        f"{len(found)} validations of {found[0]['episodes']} goals: success {extremes(apart)}. "
        f"One alone is known to +-{apart['half_width']:.1f} points. "
        f"{100 * details['training_goals']:.0f} % of the goals are training goals of this shop's split, "
        f"{100 * details['verl_training_goals']:.0f} % can be trained on in verl-agent."
    )
