"""Trajectories: what was seen, what could be done, what was done, and what it brought; kept as Arrow streams."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa

from rl_recsys.decision import DECISION_FORMAT, ChoiceSession
from rl_recsys.errors import UserError
from rl_recsys.storage import Place, local_folder

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


class TrajectoryError(UserError):
    """A trajectory folder is missing or damaged; the message names the file and the remedy."""


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
        """The inverse of ``to_row``."""
        steps = tuple(
            Step(**{key: tuple(value) if isinstance(value, list) else value for key, value in step.items()})
            for step in row["steps"]
        )
        return cls(
            **row | {"goal": json.loads(row["goal"]), "reward_parts": json.loads(row["reward_parts"]), "steps": steps}
        )


class TrajectoryWriter:
    """Appends episodes to a folder, each flushed as its own record batch: a kill loses the episode in hand only.

    Every writer makes a new part file, so several may write to one folder and a run that goes on adds to it.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        number = len(list(self.folder.glob("part-*.arrows")))
        while True:
            self.path = self.folder / f"part-{number:05d}.arrows"
            try:
                self._file = open(self.path, "xb")  # noqa: SIM115  (closed by close)
                break
            except FileExistsError:
                number += 1
        self._writer = pa.ipc.new_stream(self._file, SCHEMA)

    def append(self, trajectory: Trajectory) -> None:
        """Write one episode; it is in the operating system's hands when this returns."""
        self._writer.write_batch(pa.RecordBatch.from_pylist([trajectory.to_row()], SCHEMA))
        self._file.flush()

    def close(self) -> None:
        """End the part."""
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> TrajectoryWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_trajectories(
    folder: Place,
    *,
    sources: Iterable[str] | None = None,
    minimum_reward: float = 0.0,
) -> Iterator[Trajectory]:
    """The episodes of a folder, oldest part first; a batch cut short by a kill ends its part.

    Only those of some ``sources`` and of at least ``minimum_reward``.

    Raises ``TrajectoryError`` where there is no part, or a part is no Arrow stream at all.
    """
    parts = sorted(local_folder(folder).glob("part-*.arrows"))
    if not parts:
        raise TrajectoryError(f"{folder}: no trajectories here (part-*.arrows); make some with jobs/demonstrate.py")
    wanted = set(sources) if sources is not None else set(SOURCES)
    for part in parts:
        for batch in _batches(part):
            for row in batch.to_pylist():
                if row["source"] in wanted and row["reward"] >= minimum_reward:
                    yield Trajectory.from_row(row)


def _batches(part: Path) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(part)) as source:
        if source.size() == 0:  # killed before the first flush
            return
        try:
            reader = pa.ipc.open_stream(source)
        except pa.ArrowInvalid as error:
            raise TrajectoryError(f"{part}: not a trajectory file ({error}); delete it or record again") from None
        if not reader.schema.equals(SCHEMA, check_metadata=True):
            raise TrajectoryError(f"{part}: its decisions are another version's; record again")
        while True:
            try:
                yield reader.read_next_batch()
            except (StopIteration, pa.ArrowInvalid, OSError):
                return
