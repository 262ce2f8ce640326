"""LEADERBOARD.md: agents that were scored, by the shop, its pages, and the protocol; others cannot be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_recsys.console.table import Table
from rl_recsys.errors import UserError
from rl_recsys.evaluation.comparison import percent
from rl_recsys.storage.declared import require_declared
from rl_recsys.storage.files import read_object

COLUMNS = ("agent", "reached by", "success % (95 % interval)", "score", "steps", "actions that could not be done")
HEAD = """# Leaderboard

Made by `python jobs/leaderboard.py` from the results.json files of `jobs/evaluate_agent.py`
([docs/evaluation-kit.md](docs/evaluation-kit.md)). Rows of one table played the same goals of the same shop. Intervals
are over products. Baselines stand between the agents.
"""


@dataclass(frozen=True)
class _Agent:
    name: str
    reached_by: str


@dataclass(frozen=True)
class _Protocol:
    name: str
    validations: int
    goals: int


@dataclass(frozen=True)
class _Arm:
    arm: str
    success: float
    success_interval: tuple[float, float]
    score: float
    score_interval: tuple[float, float]
    steps: float


@dataclass(frozen=True)
class _Scored:
    """What the board needs of a results.json."""

    agent: _Agent
    protocol: _Protocol
    task: str
    shop: str
    goals: str
    winnable: float
    training_goals: float
    invalid_actions: float
    arms: tuple[_Arm, ...]


def read_scored(path: Path) -> _Scored:
    """A results.json of ``jobs/evaluate_agent.py``. Raises ``UserError`` naming the file and the field."""
    remedy = "name results.json files of jobs/evaluate_agent.py"
    found: dict[str, Any] = read_object(path, remedy, error=UserError)
    return require_declared(_Scored, found, path, remedy, error=UserError)


def leaderboard(paths: Sequence[Path]) -> str:
    """The page of some results, in Markdown. Raises ``UserError``."""
    boards: dict[tuple, list[_Scored]] = defaultdict(list)
    for path in paths:
        one = read_scored(path)
        boards[one.task, one.shop, one.protocol.name, one.goals].append(one)
    parts = [HEAD]
    for (task, shop, protocol, goals), scored in sorted(boards.items(), key=lambda item: item[0]):
        first = scored[0]
        parts.append(
            f"## {task}, {protocol}\n\n{first.protocol.goals} goals ({goals}) of shop {shop}: {first.winnable:.1%} can "
            f"be won with their own product, {first.training_goals:.0%} are goals of training.\n"
        )
        parts.append(Table("", COLUMNS, _rows(scored)).to_markdown())
    return "\n".join(parts)


def _rows(scored: Sequence[_Scored]) -> list[tuple[str, ...]]:
    """Agents and, once, the baselines, the most successful first."""
    found: dict[tuple[str, str], tuple[_Arm, str]] = {}
    for one in scored:
        agent, *baselines = one.arms
        found[one.agent.name, one.agent.reached_by] = agent, f"{one.invalid_actions:.1%}"
        for arm in baselines:
            found.setdefault((arm.arm, "rules"), (arm, "-"))
    best = sorted(found.items(), key=lambda item: (-item[1][0].success, -item[1][0].score))
    return [(name, kind, *_cells(arm), invalid) for (name, kind), (arm, invalid) in best]


def _cells(arm: _Arm) -> tuple[str, ...]:
    low, high = arm.score_interval
    success = percent(arm.success, arm.success_interval)
    return success, f"{arm.score:.1f} ({low:.1f} to {high:.1f})", f"{arm.steps:.1f}"
