"""Trajectories: what was seen, what could be done, what was done, and what it brought; kept as Arrow streams."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa

from rl_recsys.core.trajectory_parts import PartWriter, TrajectoryError, damaged, parts_of, read_part
from rl_recsys.errors import UserError
from rl_recsys.storage.locations import Place, local_folder
from rl_recsys.webshop.observe.decisions import DECISION_FORMAT, ChoiceSession

SOURCES = ("human", "scripted", "policy")

SCHEMA = pa.schema(
    [
        ("goal", pa.string()),  # JSON with the original's goal keys
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
    ],
    metadata={"decisions": str(DECISION_FORMAT)},
)


class ImportedSessionError(UserError):
    """A recorded session cannot be made a trajectory; the message says at which step, and why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One decision: the page as ``url`` and ``text_rich``, the policy's view of it, every action and the one taken.

    ``state`` and ``choices`` are the words of ``Decision``, ``kinds`` the choices' ``ChoiceKind``s; ``chosen`` indexes
    all three. The URL says where in the session this is: search, page number, product and chosen options.
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
    def of(cls, choices: ChoiceSession, chosen: int) -> Step:
        """Where a session stands now, and the choice that is about to be taken."""
        decision, page = choices.decision, choices.session.page
        return cls(
            url=page.url,
            observation=page.text_rich,
            state=decision.state,
            actions=tuple(choice.action for choice in decision.choices),
            choices=tuple(choice.text for choice in decision.choices),
            kinds=tuple(int(choice.kind) for choice in decision.choices),
            chosen=chosen,
            dropped=decision.dropped,
        )


@dataclass(frozen=True)
class Trajectory:
    """One episode. ``source``: "human", "scripted" or "policy"; ``author`` says which (a policy's folder, say).

    ``reward`` in [0, 1] is the purchase's; an episode that ended without one has 0 and ``done`` False.
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
        """WebShop's success: a reward of exactly 1."""
        return self.reward == 1.0

    def to_row(self) -> dict:
        """A row of a table with ``SCHEMA``."""
        row = asdict(self)
        return row | {"goal": json.dumps(self.goal), "reward_parts": json.dumps(self.reward_parts)}

    @classmethod
    def from_row(cls, row: dict) -> Trajectory:
        """The inverse of ``to_row``. Raises ValueError for what no episode can have."""
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


class TrajectoryWriter:
    """Appends episodes to a folder, each flushed with its checksum: a kill loses the episode in hand only.

    Every writer makes a new part (see ``parts``), so several may write to one folder and a run that goes on adds to it.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._part = PartWriter(self.folder, SCHEMA)

    def append(self, trajectory: Trajectory) -> None:
        """Write one episode; it is in the operating system's hands when this returns."""
        self._part.append(pa.RecordBatch.from_pylist([trajectory.to_row()], SCHEMA))

    def close(self) -> None:
        """End the part."""
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
    parts = parts_of(local_folder(folder))
    if not parts:
        raise TrajectoryError(f"{folder}: no trajectories here (part-*.arrows); make some with jobs/demonstrate.py")
    wanted = set(sources) if sources is not None else set(SOURCES)
    for part in parts:
        for number, batch in read_part(part, SCHEMA, _raise if skip is None else skip):
            for row in batch.to_pylist():
                try:
                    trajectory = Trajectory.from_row(row)
                except (ValueError, TypeError) as error:  # of a part that was written without checksums
                    (_raise if skip is None else skip)(damaged(part, number, str(error)))
                    continue
                if trajectory.source in wanted and trajectory.reward >= minimum_reward:
                    yield trajectory


def _raise(error: TrajectoryError) -> None:
    raise error
