"""An agent scored: its sessions in a file, gone on with after a kill, and what they come to beside the baselines."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rl_recsys.console.progress import progress
from rl_recsys.console.table import Table
from rl_recsys.core.outcome import is_success
from rl_recsys.core.play import baseline_episodes
from rl_recsys.core.task import Task
from rl_recsys.core.task_flags import FINGERPRINT
from rl_recsys.errors import UserError
from rl_recsys.evaluation.comparison import ArmResult, arm_result, comparison_table
from rl_recsys.runs.results import write_results
from rl_recsys.runs.settings import claim
from rl_recsys.storage.files import naming, read_rows, write_text
from rl_recsys.webshop.agents.protocols import Protocol, seen_share, winnable_share
from rl_recsys.webshop.agents.session import AgentOutcome
from rl_recsys.webshop.shop import Shop
from rl_recsys.webshop.task import WebShop

EPISODES, RESULTS, PAGE = "episodes.jsonl", "results.json", "table.md"
REMEDY = "play again in another --out"
FIELDS = {"goal": int, "reward": float, "steps": int, "invalid": int}


def shop_of(task: Task) -> Shop:
    """The shop of a task whose goals agents shop for. Raises ``UserError`` for another world."""
    if not isinstance(task, WebShop):
        raise UserError(f"{task.spec} is no shop, in which agents of others are scored: name one with --shop")
    return task.shop


class AgentEvaluation:
    """An agent's sessions of a protocol in a folder: those that are there are not played again.

    Raises ``SettingsError`` where the folder was begun with other settings or in another shop.
    """

    def __init__(self, task: WebShop, protocol: Protocol, folder: Path, settings: Mapping[str, Any]):
        self._task, self._protocol, self._folder = task, protocol, folder
        self._path = folder / EPISODES
        claim(folder, dict(settings) | {FINGERPRINT: task.fingerprint}, begun=self._path.exists())
        self._rows = read_rows(self._path, REMEDY, fields=FIELDS, cut=True) if self._path.exists() else []
        goals = protocol.goals
        if [row.get("goal") for row in self._rows] != goals[: len(self._rows)]:
            raise UserError(f"{self._path}: its sessions are not of this protocol's goals; {REMEDY}")

    def play(self, title: str, sessions: Callable[[list[tuple[int, int]]], Iterable[AgentOutcome]]) -> None:
        """Have those played that are missing; each is on the disk before the next begins.

        ``sessions``: plays an agent's session on each (number, goal).
        """
        left = list(enumerate(self._protocol.goals))[len(self._rows) :]
        if not left:
            return
        write_text(self._path, "".join(json.dumps(row) + "\n" for row in self._rows))  # without what a kill cut
        with progress(title, len(self._protocol.goals)) as bar, naming(self._path), open(self._path, "a") as file:
            bar.resume(len(self._rows))
            for played in sessions(left):
                one = played.outcome
                row = {
                    "goal": one.goal, "reward": one.reward, "steps": one.steps, "bought": one.bought,
                    "invalid": played.invalid, "parts": one.parts,
                }  # fmt: skip
                file.write(json.dumps(row) + "\n")
                file.flush()
                self._rows.append(row)
                won = sum(is_success(each["reward"]) for each in self._rows)
                bar.update(len(self._rows), f"success {won / len(self._rows):.1%}")

    def write(self, name: str, kind: str) -> None:
        """Show the agent beside the baselines on the same goals, and write table.md and results.json."""
        shop, goals = self._task.shop, self._protocol.goals
        products = [self._task.cluster(goal) for goal in goals]
        arms = [_arm(name, self._rows, products)]
        unlike = sorted(set(goals))
        for baseline in self._task.baselines:
            played = {one.goal: one for one in baseline_episodes(self._task, unlike, baseline)}
            rows = [{"reward": played[goal].reward, "steps": played[goal].steps} for goal in goals]
            arms.append(_arm(baseline, rows, products))
        ceiling, seen = winnable_share(shop, goals), seen_share(shop, goals)
        title = (
            f"{name}: {len(goals)} goals, {self._protocol.name}, of {self._task.spec}; {ceiling:.1%} can be won with "
            f"their own product, {seen:.0%} are goals of training"
        )
        figures: dict[str, Any] = {
            "agent": {"name": name, "reached_by": kind},
            "protocol": {
                "name": self._protocol.name,
                "validations": len(self._protocol.validations),
                "goals": len(goals),
            },
            "shop": self._task.fingerprint,
            "task": self._task.name,
            "goals": _digest(goals),
            "episodes": _digest(self._rows),
            "winnable": ceiling,
            "training_goals": seen,
            "invalid_actions": sum(row["invalid"] for row in self._rows) / sum(row["steps"] for row in self._rows),
            "arms": [arm.to_mapping() for arm in arms],
        }
        if len(self._protocol.validations) > 1:
            figures["validations"] = self._by_validation()
            _scatter(figures["validations"]).show()
        write_results(comparison_table(arms, title), figures, page=self._folder / PAGE, data=self._folder / RESULTS)

    def _by_validation(self) -> list[dict[str, float]]:
        found, start = [], 0
        for goals in self._protocol.validations:
            rewards = [row["reward"] for row in self._rows[start : start + len(goals)]]
            start += len(goals)
            found.append(
                {
                    "success": sum(map(is_success, rewards)) / len(rewards),
                    "score": 100 * sum(rewards) / len(rewards),
                    "training_goals": seen_share(self._task.shop, goals),
                    "different_goals": len(set(goals)),
                }
            )
        return found


def _arm(name: str, rows: list[dict], products: list[str]) -> ArmResult:
    return arm_result(name, [[row["reward"] for row in rows]], [[row["steps"] for row in rows]], products=products)


def _scatter(validations: list[dict[str, float]]) -> Table:
    """Each validation, and how far they are apart."""
    rows = [
        (str(number + 1), f"{one['success']:.1%}", f"{one['score']:.1f}", f"{one['training_goals']:.0%}",
         str(one["different_goals"]))
        for number, one in enumerate(validations)
    ]  # fmt: skip
    shares = [one["success"] for one in validations]
    rows.append(("standard deviation", f"{100 * statistics.stdev(shares):.1f} points", "", "", ""))
    rows.append(("least and most", f"{min(shares):.1%} to {max(shares):.1%}", "", "", ""))
    return Table("validations of 128", ("validation", "success", "score", "training goals", "different goals"), rows)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
