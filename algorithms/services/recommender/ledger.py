"""What was recommended and what came of it, on disk: lists that wait for feedback, reports, trajectories."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.services.recommender.feedback import Listed, Report
from rl_recsys.core.recording import FINGERPRINT, RECORDED_IN
from rl_recsys.core.task import Task
from rl_recsys.core.trajectory import Trajectory, TrajectoryWriter
from rl_recsys.errors import UserError
from rl_recsys.evaluation.bandit import POSTERIORS, Objective
from rl_recsys.runs.settings import claim

LEDGER, TRAJECTORIES = "ledger.sqlite", "trajectories"
DAYS_KEPT = 30  # for which a list waits for its feedback
SWEEP_EVERY = 1000  # lists
_TABLES = """
CREATE TABLE IF NOT EXISTS lists (id TEXT PRIMARY KEY, at REAL, arm TEXT, weights TEXT, listed TEXT);
CREATE TABLE IF NOT EXISTS reports (id TEXT PRIMARY KEY, at REAL, arm TEXT, weights TEXT, report TEXT, reward REAL,
    episodes INTEGER);
CREATE TABLE IF NOT EXISTS draws (count INTEGER);
"""


def world_of(task: Task) -> dict[str, str]:
    """What the recorded episodes say of the world that they were recorded in."""
    return {FINGERPRINT: task.fingerprint, RECORDED_IN: task.spec}


class UnknownListError(UserError, LookupError):
    """A list that is not there: it never was, or is older than ``DAYS_KEPT``."""


class ReportedError(UserError):
    """A list whose feedback is there already, and says something else."""


class Ledger:
    """The one writer of a folder. Any thread may call it; what it has acknowledged outlives any kill.

    ``task``: the name of the task, ``world`` what ``world_of`` says of it: a folder goes on in the world that it was
    begun in. ``arms``: the name of each policy and a digest of its weights; feedback on a policy that was since
    replaced under its name counts for no posterior. ``objective``: "success" counts purchases, "score" the rewards of
    lists.
    """

    def __init__(
        self,
        folder: Path,
        *,
        task: str,
        world: Mapping[str, str],
        arms: Mapping[str, str],
        objective: Objective = "success",
        seed: int = 0,
    ):
        episodes = folder / TRAJECTORIES
        episodes.mkdir(parents=True, exist_ok=True)
        claim(episodes, world, begun=(folder / LEDGER).is_file(), incidental=(RECORDED_IN,))
        self._folder, self._task, self._seed = folder, task, seed
        self._arms = dict(arms)
        self._lock = threading.Lock()
        self._writer: TrajectoryWriter | None = None
        self._database = sqlite3.connect(folder / LEDGER, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")  # a commit is on the disk when it returns
        self._database.executescript(_TABLES)
        self._posterior = POSTERIORS[objective](len(arms))
        names = list(arms)
        for arm, weights, reward in self._database.execute("SELECT arm, weights, reward FROM reports ORDER BY at, id"):
            if self._arms.get(arm) == weights:
                self._posterior.observe(names.index(arm), reward)
        (self._draws,) = self._database.execute("SELECT COALESCE(MAX(count), 0) FROM draws").fetchone()
        self._forget_old_lists()

    def draw(self) -> str:
        """The policy that the next list is made with: Thompson sampling."""
        with self._lock:
            rng = np.random.default_rng((self._seed, self._draws))
            self._draws += 1
            return list(self._arms)[int(np.argmax(self._posterior.draw(rng)))]

    def keep(self, listed: Mapping[str, Any]) -> None:
        """Keep a list, a ``Listed`` as plain values, until its feedback comes."""
        with self._lock:
            row = listed["id"], time.time(), listed["policy"], self._arms[listed["policy"]], json.dumps(listed)
            self._database.execute("BEGIN")
            self._database.execute("INSERT OR IGNORE INTO lists VALUES (?, ?, ?, ?, ?)", row)
            self._database.execute("DELETE FROM draws")
            self._database.execute("INSERT INTO draws VALUES (?)", (self._draws,))
            self._database.execute("COMMIT")
            if self._draws % SWEEP_EVERY == 0:
                self._forget_old_lists()

    def listed(self, identifier: str) -> Listed:
        """A list that was kept. Raises ``UnknownListError``."""
        with self._lock:
            found = self._database.execute("SELECT listed FROM lists WHERE id = ?", (identifier,)).fetchone()
        if found is None:
            raise UnknownListError(f"no list {identifier!r}: it never was, or is older than {DAYS_KEPT} days")
        return Listed(**json.loads(found[0]))

    def reported(self, identifier: str, report: Report) -> tuple[float, int] | None:
        """(reward, episodes) of a report that is there; None without one. Raises ``ReportedError`` for another one."""
        with self._lock:
            return self._reported(identifier, report)

    def record(self, identifier: str, report: Report, episodes: Sequence[Trajectory]) -> tuple[float, int]:
        """Put a report and its episodes on the disk: (reward, how many). The same again changes nothing.

        A kill in the middle leaves no report; where it is given again, its episodes may be there twice. Raises
        ``ReportedError``.
        """
        with self._lock:
            if (there := self._reported(identifier, report)) is not None:
                return there
            if episodes:
                self._writer = self._writer or TrajectoryWriter(self._folder / TRAJECTORIES, self._task)
                for episode in episodes:
                    self._writer.append(episode)
                self._writer.sync()
            arm, weights = self._database.execute(
                "SELECT arm, weights FROM lists WHERE id = ?", (identifier,)
            ).fetchone()
            row = identifier, time.time(), arm, weights, _json(report), report.reward, len(episodes)
            self._database.execute("INSERT INTO reports VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            if self._arms.get(arm) == weights:
                self._posterior.observe(list(self._arms).index(arm), report.reward)
            return report.reward, len(episodes)

    def standings(self) -> dict[str, dict[str, Any]]:
        """For each policy: reports, their mean reward, and where the objective's mean is with 95 % probability."""
        with self._lock:
            found = {}
            for number, (arm, weights) in enumerate(self._arms.items()):
                query = "SELECT COUNT(*), AVG(reward) FROM reports WHERE arm = ? AND weights = ?"
                reports, mean = self._database.execute(query, (arm, weights)).fetchone()
                interval = self._posterior.interval(number)
                found[arm] = {"reports": reports, "reward": mean, "interval": interval}
            return found

    def close(self) -> None:
        """End the part of trajectories and the database."""
        with self._lock:
            if self._writer is not None:
                self._writer.close()
            self._database.close()

    def _reported(self, identifier: str, report: Report) -> tuple[float, int] | None:
        query = "SELECT report, reward, episodes FROM reports WHERE id = ?"
        found = self._database.execute(query, (identifier,)).fetchone()
        if found is None:
            return None
        if found[0] != _json(report):
            raise ReportedError(
                f"the list {identifier!r} was reported on already, and otherwise; a list is judged once"
            )
        return found[1], found[2]

    def _forget_old_lists(self) -> None:
        self._database.execute("DELETE FROM lists WHERE at < ?", (time.time() - DAYS_KEPT * 24 * 3600,))


def _json(report: Report) -> str:
    return json.dumps([report.shown, report.clicked, report.bought])
