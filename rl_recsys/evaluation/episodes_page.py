"""Recorded episodes as a page to step through: what was seen, what could be done, what was done, what it was paid."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rl_recsys.core.task import DEFAULT_TASK, task_class
from rl_recsys.core.trajectory import Trajectory, read_trajectories, task_of
from rl_recsys.errors import UserError
from rl_recsys.storage.files import write_page
from rl_recsys.storage.locations import Place

VIEWER = Path(__file__).parent / "viewer"  # the script, the style sheet, and what stands around them
MADE_HERE = '<meta name="generator" content="rl-recsys watch">'
DIGITS = 4  # of a probability
PEOPLE = "people"  # the arm of all that people did
YOU = "you"  # the arm of the person who looks
NOT_SHOWN = ("instruction_text", "weight")  # of a goal: it stands above, or decides nothing


@dataclass(frozen=True)
class Episode:
    """A recorded episode of an arm. ``probabilities``: a step's, by ``policy``, or None for a step without."""

    arm: str
    trajectory: Trajectory
    policy: str = ""
    probabilities: Sequence[np.ndarray | None] = ()

    def summary(self, parts: Mapping[str, str]) -> dict[str, Any]:
        """What a list of episodes says of it. ``parts``: the keys of the reward's parts, and what people call them."""
        one = self.trajectory
        details = {name: value for name, value in one.reward_parts.items() if name not in parts}
        return {
            "arm": self.arm,
            "goal": one.goal_index,
            "instruction": one.goal["instruction_text"],
            "author": one.author,
            "steps": len(one.steps),
            "done": one.done,
            "reward": one.reward,
            "success": one.success,
            "outcome": outcome(one),
            "parts": [[parts[name], float(one.reward_parts[name])] for name in parts if name in one.reward_parts],
            "details": [[name, _shown(value)] for name, value in details.items()],
            "wanted": [[_words(name), _shown(value)] for name, value in one.goal.items() if _is_told(name, value)],
        }

    def steps(self) -> dict[str, Any]:
        """What was seen at each step, what could be done with how likely the policy does it, and what was done."""
        likely = list(self.probabilities) or [None] * len(self.trajectory.steps)
        return {
            "policy": self.policy,
            "steps": [
                {
                    "page": step.observation,
                    "state": list(step.state[1:]),
                    "choices": list(step.choices),
                    "actions": list(step.actions),
                    "chosen": step.chosen,
                    "dropped": step.dropped,
                    "probabilities": None if found is None else [round(float(one), DIGITS) for one in found],
                }
                for step, found in zip(self.trajectory.steps, likely, strict=True)
            ],
        }


def outcome(episode: Trajectory) -> str:
    """How an episode ended, in words."""
    if not episode.done:
        return "not finished"
    return "success, reward 1" if episode.success else f"reward {episode.reward:.2f}"


def arm_of(trajectory: Trajectory) -> str:
    """Who acted: people together, an agent by its name."""
    return PEOPLE if trajectory.source == "human" else trajectory.author


def short_names(arms: Iterable[str]) -> dict[str, str]:
    """A policy's folder -> its run's name, "imitation" for "runs/demo/seed-0/imitation/policy"; others as they are.

    As many of the path's last folders are taken as tell it from the others.
    """
    paths = {arm: PurePosixPath(arm).parts for arm in set(arms)}
    paths = {arm: parts[:-1] if parts[-1:] == ("policy",) and parts[1:] else parts for arm, parts in paths.items()}
    names = {}
    for arm, parts in paths.items():
        others = [other for name, other in paths.items() if name != arm]
        length = next(
            (n for n in range(1, len(parts)) if all(other[-n:] != parts[-n:] for other in others)), len(parts)
        )
        names[arm] = str(PurePosixPath(*parts[-length:])) if parts else arm
    several = Counter(names.values())
    return {arm: name if several[name] == 1 else arm for arm, name in names.items()}


@dataclass(frozen=True)
class Recorded:
    """The first episodes of some folders, the name of the task that they are of, and how many more there are."""

    episodes: Sequence[Episode]
    task: str
    left_out: int

    @classmethod
    def of(cls, folders: Sequence[Place], most: int) -> Recorded:
        """At most ``most`` of each folder. An arm of several folders has the folder's name as well.

        Raises ``TrajectoryError``, and ``UserError`` for folders of several tasks.
        """
        tasks = {task_of(folder) for folder in folders}
        if len(tasks) > 1:
            raise UserError(f"the folders are of several tasks ({', '.join(sorted(tasks))}); show them one by one")
        found: list[tuple[Place, Trajectory]] = []
        left_out = 0
        for folder in folders:
            every = read_trajectories(folder)
            found += [(folder, one) for one in islice(every, most)]
            left_out += sum(1 for _ in every)
        named: dict[str, set[Place]] = {}
        for folder, one in found:
            named.setdefault(arm_of(one), set()).add(folder)
        short = short_names(named)

        def arm(folder: Place, one: Trajectory) -> str:
            name = arm_of(one)
            return f"{short[name]} ({folder})" if len(named[name]) > 1 else short[name]

        return cls([Episode(arm(folder, one), one) for folder, one in found], tasks.pop(), left_out)


def _is_told(name: str, value: Any) -> bool:
    return name not in NOT_SHOWN and value not in (None, "", [], {}, ())


def _words(name: str) -> str:
    return name.replace("_", " ")


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {one}" for name, one in value.items())
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def in_script(value: Any) -> Markup:
    """JSON that can stand in a page's script element, which it cannot end: "<" is written as an escape."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c"))


def templates(*folders: Path) -> Environment:
    """The viewer's templates and those of some folders. Every value is escaped in them."""
    return Environment(
        loader=FileSystemLoader([VIEWER, *folders]), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        autoescape=True,
    )  # fmt: skip


def data_of(episodes: Iterable[Episode], task: str) -> dict[str, list[dict[str, Any]]]:
    """What watch.js shows: "summaries" and "details", an entry of each for an episode."""
    parts = task_class(task).reward_parts
    pairs = [(episode.summary(parts), episode.steps()) for episode in episodes]
    return {"summaries": [summary for summary, _ in pairs], "details": [detail for _, detail in pairs]}


def episodes_page(episodes: Sequence[Episode], title: str, *, task: str = DEFAULT_TASK) -> str:
    """One HTML file with all that it shows; it asks for nothing else, and no text of an episode is markup in it.

    ``task``: the name of the task whose episodes they are. Without JavaScript the episodes are read as lists.
    """
    data = data_of(episodes, task)
    script = (VIEWER / "watch.js").read_text()
    return (
        templates()
        .get_template("file.html.j2")
        .render(
            title=title,
            generator=Markup(MADE_HERE),
            style=Markup((VIEWER / "watch.css").read_text()),
            script=Markup(script),
            script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            data=in_script(data),
            plain=list(zip(data["summaries"], data["details"], strict=True)),
        )
    )


def write_episodes_page(path: Path, page: str) -> None:
    """Write the page whole. Raises ``UserError`` where something else is there."""
    write_page(path, page, mark=MADE_HERE, job="jobs/watch.py", example="episodes.html")
