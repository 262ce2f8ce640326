"""Trajectories: what was seen, what could be done, what was done, and what it brought; kept as Arrow streams."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa

from rl_recsys.core.decision import Choice, Decision
from rl_recsys.core.outcome import is_success, paid
from rl_recsys.core.task import DEFAULT_TASK, Session, StepResult, task_class
from rl_recsys.core.trajectory_parts import UNREADABLE, PartWriter, TrajectoryError, damaged, parts_of, read_part
from rl_recsys.errors import UserError
from rl_recsys.storage.locations import Place, local_folder

SOURCES = ("human", "scripted", "policy")

SCHEMA = pa.schema(
    [
        ("goal", pa.string()),  # JSON, see Session.goal
        ("goal_index", pa.int32()),  # position in the goal order, -1 where unknown
        ("source", pa.string()),
        ("author", pa.string()),
        ("seed", pa.int64()),
        ("reward", pa.float64()),
        ("done", pa.bool_()),
        ("reward_parts", pa.string()),  # JSON
        (
            "steps",
            pa.list_(
                pa.struct(
                    [
                        ("url", pa.string()),
                        ("observation", pa.string()),
                        ("state", pa.list_(pa.string())),
                        ("actions", pa.list_(pa.string())),
                        ("choices", pa.list_(pa.string())),
                        ("kinds", pa.list_(pa.int8())),
                        ("chosen", pa.int16()),
                        ("dropped", pa.int16()),
                    ]
                )
            ),
        ),
    ]
)


def schema_of(task: str) -> pa.Schema:
    """The schema of a task's episodes: its metadata says whose decisions they are, and of which format."""
    named = {} if task == DEFAULT_TASK else {"task": task}
    return SCHEMA.with_metadata({**named, "decisions": str(task_class(task).decision_format)})


class ImportedSessionError(UserError):
    """A recorded session cannot be made a trajectory; the message says at which step, and why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One decision: where it was made and what was shown there, the policy's view of it, every action, the one taken.

    ``url`` and ``observation`` are those of ``rl_recsys.core.task.Session``. ``state`` and ``choices`` are the words of
    ``Decision``, ``kinds`` the choices' kinds; ``chosen`` indexes all three.
    """

    url: str
    observation: str
    state: tuple[str, ...]
    actions: tuple[str, ...]
    choices: tuple[str, ...]
    kinds: tuple[int, ...]
    chosen: int
    dropped: int = 0

    @classmethod
    def of(cls, session: Session, chosen: int) -> Step:
        """Where a session stands now, and the choice that is about to be taken."""
        decision = session.decision
        return cls(
            url=session.url,
            observation=session.observation,
            state=decision.state,
            actions=tuple(choice.action for choice in decision.choices),
            choices=tuple(choice.text for choice in decision.choices),
            kinds=tuple(int(choice.kind) for choice in decision.choices),
            chosen=chosen,
            dropped=decision.dropped,
        )

    @property
    def decision(self) -> Decision:
        """What was decided upon."""
        return Decision(self.state, tuple(map(Choice, self.actions, self.choices, self.kinds)), self.dropped)


@dataclass(frozen=True)
class Trajectory:
    """One episode. ``source``: "human", "scripted" or "policy"; ``author`` says which (a policy's folder, say).

    ``reward`` is in [0, 1]; an episode that ran out of steps has 0 and ``done`` False.
    """

    goal: dict
    goal_index: int
    source: str
    author: str
    seed: int
    steps: tuple[Step, ...]
    reward: float
    done: bool
    reward_parts: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise ValueError(f"source {self.source!r}: choose one of {', '.join(SOURCES)}")

    @property
    def success(self) -> bool:
        """See ``is_success``."""
        return is_success(self.reward)

    @classmethod
    def played(
        cls,
        session: Session,
        steps: Iterable[Step],
        result: StepResult,
        *,
        goal: object,
        source: str,
        author: str,
        seed: int,
    ) -> Trajectory:
        """The episode that a session was. ``goal``: the task's goal that it was begun with, or another."""
        return cls(
            goal=dict(session.goal),
            goal_index=goal if isinstance(goal, int) else -1,
            source=source,
            author=author,
            seed=seed,
            steps=tuple(steps),
            reward=paid(result),
            done=result.done,
            reward_parts=dict(result.reward_parts),
        )

    def to_row(self) -> dict:
        """A row of a table with ``SCHEMA``."""
        row = asdict(self)
        return row | {"goal": json.dumps(self.goal), "reward_parts": json.dumps(self.reward_parts)}

    @classmethod
    def from_row(cls, row: dict) -> Trajectory:
        """The inverse of ``to_row``. Raises ValueError for what no episode can have."""
        if lacking := [name for name, value in row.items() if _lacks(value)]:
            raise ValueError(f"a value is missing in its {', '.join(lacking)}")
        if not 0.0 <= row["reward"] <= 1.0:
            raise ValueError(f"its reward is {row['reward']}")
        for step in row["steps"]:
            actions = len(step["actions"])
            if not 0 <= step["chosen"] < actions or not actions == len(step["choices"]) == len(step["kinds"]):
                raise ValueError(f"choice {step['chosen']} of {actions}")
        steps = tuple(
            Step(**{key: tuple(value) if isinstance(value, list) else value for key, value in step.items()})
            for step in row["steps"]
        )
        return cls(
            **row | {"goal": json.loads(row["goal"]), "reward_parts": json.loads(row["reward_parts"]), "steps": steps}
        )


def _lacks(value: object) -> bool:
    """Whether something of a value is missing: Arrow's columns can say so of anything, and hide what is there."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return value is None
    return any(map(_lacks, value))


class TrajectoryWriter:
    """Appends episodes to a folder, each flushed with its checksum: a kill loses the episode in hand only.

    Every writer makes a new part (see ``parts``), so several may write to one folder and a run that goes on adds to it.
    """

    def __init__(self, folder: str | Path, task: str = DEFAULT_TASK, *, empty: bool = True):
        """``task``: the name of the task whose episodes they are. ``empty``: make a part even for no episode."""
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._schema = schema_of(task)
        self._part: PartWriter | None = PartWriter(self.folder, self._schema) if empty else None

    def append(self, trajectory: Trajectory) -> None:
        """Write one episode; it is in the operating system's hands when this returns."""
        if self._part is None:
            self._part = PartWriter(self.folder, self._schema)
        self._part.append(pa.RecordBatch.from_pylist([trajectory.to_row()], SCHEMA))

    def sync(self) -> None:
        """Have all episodes so far outlive the machine, not this process alone."""
        if self._part is not None:
            self._part.sync()

    def close(self) -> None:
        """End the part."""
        if self._part is not None:
            self._part.close()

    def __enter__(self) -> TrajectoryWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_trajectories(
    folder: Place,
    *,
    sources: Iterable[str] | None = None,
    minimum_reward: float = 0.0,
    skip: Callable[[TrajectoryError], None] | None = None,
) -> Iterator[Trajectory]:
    """The episodes of a folder, oldest part first; one that a kill cut short at the end of its part is left out.

    Only those of some ``sources`` and of at least ``minimum_reward``. ``skip`` is called for each damaged episode,
    which is then left out; without it the first raises ``TrajectoryError``. So do a folder without parts, a part of
    another version, and one that is no Arrow stream at all.
    """
    wanted = set(sources) if sources is not None else set(SOURCES)
    for part in _parts(folder):
        for number, batch in read_part(part, _expected, _raise if skip is None else skip):
            for row in batch.to_pylist():
                try:
                    trajectory = Trajectory.from_row(row)
                except (ValueError, TypeError) as error:  # of a part that was written without checksums
                    (_raise if skip is None else skip)(damaged(part, number, str(error)))
                    continue
                if trajectory.source in wanted and trajectory.reward >= minimum_reward:
                    yield trajectory


def task_of(folder: Place) -> str:
    """The name of the task whose episodes a folder has, by its first part that can be read.

    Raises ``TrajectoryError`` for a folder without parts.
    """
    for part in _parts(folder):
        with suppress(*UNREADABLE), open(part, "rb") as file:
            return _named_task(pa.ipc.read_schema(file))
    return DEFAULT_TASK


def _named_task(written: pa.Schema) -> str:
    return (written.metadata or {}).get(b"task", DEFAULT_TASK.encode()).decode(errors="replace")


def _parts(folder: Place) -> list[Path]:
    parts = parts_of(local_folder(folder))
    if not parts:
        raise TrajectoryError(f"{folder}: no trajectories here (part-*.arrows); make some with jobs/demonstrate.py")
    return parts


def _expected(written: pa.Schema) -> pa.Schema:
    """What the schema of a part must be, given the task that it names."""
    return schema_of(_named_task(written))


def _raise(error: TrajectoryError) -> None:
    raise error
