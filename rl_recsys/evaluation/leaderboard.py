"""A page of several agents' results: a table for each set of equal goals, and no figure beside one of other goals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from rl_recsys.console.escaping import for_markdown
from rl_recsys.console.ranges import COUNT, SHARE, Range
from rl_recsys.console.table import Table
from rl_recsys.errors import UserError
from rl_recsys.evaluation.agent_evaluation import RESULTS, RESULTS_FORMAT, extremes
from rl_recsys.evaluation.comparison import percent, with_interval
from rl_recsys.storage.declared import MAY_BE_MISSING, require_declared
from rl_recsys.storage.files import read_object, write_page
from rl_recsys.storage.locations import Place, local_folder

REMEDY = "score the agent again with jobs/evaluate_agent.py"
MARK = "<!-- made by jobs/leaderboard.py -->"
COLUMNS = ("agent", "kind", "reads", "success % (95 % interval)", "score", "steps", "changed nothing %", "version")
_SCORE = Range(least=0.0, most=100.0)

Success, Score = Annotated[float, SHARE], Annotated[float, _SCORE]


@dataclass(frozen=True)
class _Agent:
    name: str
    kind: str
    reads: str


@dataclass(frozen=True)
class _Protocol:
    name: str
    max_steps: Annotated[int, COUNT]


@dataclass(frozen=True)
class _World:
    task: str
    fingerprint: str
    goals: str


@dataclass(frozen=True)
class _Figures:
    success: Success
    success_interval: list[Success]
    score: Score
    score_interval: list[Score]
    steps: float


@dataclass(frozen=True)
class _Baseline(_Figures):
    arm: str


@dataclass(frozen=True)
class _Ceiling:
    success: Success
    score: Score


@dataclass(frozen=True)
class AgentResults(_Figures):
    """What a results.json of jobs/evaluate_agent.py says, as far as a leaderboard shows it."""

    format: int
    protocol: _Protocol
    agent: _Agent
    world: _World
    episodes: Annotated[int, COUNT]
    unchanged: Success
    baselines: list[_Baseline]
    ceiling: _Ceiling
    made_with: list[dict[str, Any]]
    #: Of protocols with several validations.
    scatter: Annotated[dict[str, float], MAY_BE_MISSING] = field(default_factory=dict)

    @property
    def played(self) -> tuple[str, int, str, str]:
        """What results must have in common to stand in one table."""
        return self.protocol.name, self.protocol.max_steps, self.world.fingerprint, self.world.goals


def read_results(folder: Place) -> AgentResults:
    """The results in a folder. Raises ``UserError`` naming the file, the damage and the remedy."""
    path = local_folder(folder) / RESULTS
    found = read_object(path, REMEDY)
    if found.get("format") != RESULTS_FORMAT:
        raise UserError(f"{path}: results of the format {found.get('format')}, this reads {RESULTS_FORMAT}; {REMEDY}")
    return require_declared(AgentResults, found, path, REMEDY)


def leaderboard(results: Sequence[AgentResults]) -> str:
    """The page, in Markdown. The best success is the first of its table, of equal ones the best score."""
    groups: dict[tuple, list[AgentResults]] = {}
    for one in results:
        groups.setdefault(one.played, []).append(one)
    parts = [MARK, "# Leaderboard\n"]
    parts.append(
        "A success is a reward of exactly 1; score is 100 times the mean reward. Intervals are 95 %, over products.\n"
        "Tables differ in their goals, shop or steps: no figure of one can be compared with one of another.\n"
    )
    for played in groups.values():
        first = played[0]
        parts.append(f"## {first.protocol.name}: {first.episodes} episodes, at most {first.protocol.max_steps} steps\n")
        parts.append(f"Shop `{first.world.fingerprint}`, goals `{first.world.goals[:16]}`.\n")
        parts.append(_table(played).markdown_rows())
        scattering = [one for one in played if one.scatter]
        parts += [_scatter(one) for one in sorted(scattering, key=lambda one: -one.success)]
    return "\n".join(parts)


def _table(played: Sequence[AgentResults]) -> Table:
    rows = []
    for one in played:
        shown = f"{100 * one.unchanged:.1f}"
        rows.append(
            ((one.success, one.score), _row(one.agent.name, one.agent.kind, one.agent.reads, one, shown, _made(one)))
        )
    last = played[-1]
    for one in last.baselines:
        rows.append(((one.success, one.score), _row(one.arm, "baseline", "decisions", one, "-", _made(last))))
    success, score = last.ceiling.success, last.ceiling.score
    ceiling = ["each goal's own product", "ceiling", "the goal", f"{100 * success:.1f}", f"{score:.1f}", "-", "-", "-"]
    ordered = [row for _, row in sorted(rows, key=lambda pair: pair[0], reverse=True)]
    return Table("", COLUMNS, [ceiling, *ordered])


def _row(name: str, kind: str, reads: str, one: _Figures, unchanged: str, made: str) -> list[str]:
    success, score = percent(one.success, one.success_interval), with_interval(one.score, one.score_interval)
    return [name, kind, reads, success, score, f"{one.steps:.1f}", unchanged, made]


def _made(one: AgentResults) -> str:
    """Version and commit of this project, with a + where its code was changed since; of each that made the results."""
    found = []
    for maker in one.made_with:
        commit, *changed = str(maker.get("commit")).split(" ", 1)
        found.append(f"{maker.get('version')} {commit[:7]}{'+' if changed else ''}")
    return ", ".join(dict.fromkeys(found)) or "not known"


def _scatter(one: AgentResults) -> str:
    name, known = for_markdown(one.agent.name), f"{one.scatter['half_width']:.1f}"
    return f"{name}: single validations from {extremes(one.scatter)}; one alone is known to +-{known} points.\n"


def write_leaderboard(path: Path, page: str) -> None:
    """Write the page whole. Raises ``UserError`` where something else is there."""
    write_page(path, page, mark=MARK, job="jobs/leaderboard.py", example="LEADERBOARD.md")
