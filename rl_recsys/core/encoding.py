"""What a policy reads: decisions as arrays of a fixed shape."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np

from rl_recsys.console.ranges import COUNT
from rl_recsys.core.decision import Decision
from rl_recsys.core.policy_folder import CONFIG_FILE, REMEDY, PolicyError, policy_header, read_policy_config
from rl_recsys.core.registry import ENCODERS, RegistryError, load
from rl_recsys.core.task import Task
from rl_recsys.errors import UserError
from rl_recsys.storage.declared import declared
from rl_recsys.storage.locations import Place, inside, local_folder

MASK = "mask"  # the array [A] that every encoder has: 1 where there is a choice
GOALS_NAMED = 3  # of those that do not fit


class EncodingError(UserError):
    """A text cannot be encoded within the stated limits; the message names the limit."""


class ArraySpec(NamedTuple):
    """An array of an encoded decision: its shape, its type, and the least and the greatest value."""

    shape: tuple[int, ...]
    dtype: np.dtype
    low: float
    high: float


class DecisionEncoder(ABC):
    """Turns decisions into arrays: what environments emit and policies read. Needs no torch."""

    #: What policy folders know it by (the entry point's name in "rl_recsys.encoders").
    encoder_type: ClassVar[str]
    #: The arrays with a row for each choice; each other array is of the state.
    choice_arrays: ClassVar[Sequence[str]] = (MASK,)
    #: Where it was read from, for messages.
    name: str = "a policy in memory"
    #: Choices that a decision may have, the A of the arrays.
    choices: int
    #: The name of the task whose decisions it reads and their format; None of one that no policy has.
    reads: tuple[str, int] | None = None
    #: Tokens that a state has room for, where an instruction must fit; None where any does.
    room: int | None = None
    #: Tokens that the state of any policy with this text encoder may have; None where that is not known.
    most_tokens: int | None = None

    @classmethod
    @abstractmethod
    def of_policy(cls, folder: Path, config: Mapping[str, Any]) -> DecisionEncoder:
        """The encoder of a policy folder, whose config.json is ``config``.

        Raises TypeError, ValueError or KeyError for what is no config of this version, ``UserError`` for another file.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the files that ``of_policy`` reads beside config.json."""

    @property
    @abstractmethod
    def arrays(self) -> Mapping[str, ArraySpec]:
        """The arrays of an encoded decision; "mask" [A] is one of them."""

    @abstractmethod
    def encode(self, decision: Decision) -> dict[str, np.ndarray]:
        """A decision's arrays. Raises ``EncodingError`` for one that does not fit."""

    def tokens(self, instruction: str) -> int:
        """How many tokens the shortest state of an instruction has."""
        return 0

    def fits(self, instruction: str) -> bool:
        """Whether an instruction fits a state: it is never cut."""
        return self.room is None or self.tokens(instruction) <= self.room

    def encode_all(self, decisions: Sequence[Decision]) -> dict[str, np.ndarray]:
        """The arrays of several decisions, stacked; A is as many as the longest list of choices has."""
        width = max(len(decision.choices) for decision in decisions)
        encoded = [self.encode(decision) for decision in decisions]
        return {
            name: np.stack([arrays[name][:width] if name in self.choice_arrays else arrays[name] for arrays in encoded])
            for name in encoded[0]
        }

    def select(self, arrays: Mapping[str, np.ndarray], columns: np.ndarray) -> dict[str, np.ndarray]:
        """Stacked arrays with the choices at ``columns`` [B, K] only; "positions" [B, K] says where these stood."""
        rows = np.arange(len(columns))[:, None]
        chosen = {name: array[rows, columns] if name in self.choice_arrays else array for name, array in arrays.items()}
        return chosen | {"positions": columns}


def require_readable(task: Task, *encoders: DecisionEncoder) -> None:
    """Raise ``EncodingError`` where a policy reads the decisions of another task, or of another version of it."""
    for encoder in encoders:
        if encoder.reads is None or encoder.reads == (task.name, task.decision_format):
            continue
        name, version = encoder.reads
        if name != task.name:
            raise EncodingError(
                f"{encoder.name}: the policy reads decisions of the task {name!r}, not of {task.name!r}"
            )
        raise EncodingError(
            f"{encoder.name}: the policy reads decisions of format {version}, here they are of {task.decision_format}; "
            "train it again"
        )


def load_decision_encoder(folder: Place) -> DecisionEncoder:
    """What encodes decisions for the policy of a folder. Raises ``UserError`` naming the file and the remedy."""
    return decision_encoder_of(folder, read_policy_config(folder))


def decision_encoder_of(folder: Place, config: Mapping[str, Any]) -> DecisionEncoder:
    """The same, of a folder whose config.json was read."""
    header = policy_header(folder, config)
    try:
        encoder = load(ENCODERS, header.encoder_type).of_policy(local_folder(folder), config)
        declared(Annotated[int, COUNT], encoder.choices, "the number of choices")
    except (RegistryError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise PolicyError(f"{inside(folder, CONFIG_FILE)}: no encoder can be made of it ({error}); {REMEDY}") from None
    encoder.reads, encoder.name = (header.task, header.decisions), str(folder)
    return encoder


def remedy_for_long(tokens: Sequence[int], most: int | None) -> str:
    """What to do about instructions of so many tokens each, where a text encoder reads ``most`` at most."""
    within = [count for count in tokens if most is None or count <= most]
    limit = f"the encoder reads {most} tokens at most"
    if not within:
        return f"{limit}: shorten these instructions, or take another encoder"
    way = f"jobs/imitate.py --state-tokens {max(within)} makes a policy that reads"
    if beyond := len(tokens) - len(within):
        return f"{way} all but {beyond} of them; {limit}: shorten the instructions of the rest, or take another encoder"
    return f"{way} them"


@dataclass(frozen=True, slots=True)
class FittingGoals:
    """Which of a task's goals a policy can play: an instruction longer than its state fits no decision.

    As text it says which do not fit and what to do; it is empty where all do.
    """

    goals: Sequence[int]
    #: Goal -> tokens of the state that would hold it, of those left out.
    too_long: dict[int, int] = field(default_factory=dict)
    state_tokens: int = 0
    #: See ``DecisionEncoder``.
    most_tokens: int | None = None

    def __str__(self) -> str:
        if not self.too_long:
            return ""
        named = [f"goal {goal} has {tokens}" for goal, tokens in list(self.too_long.items())[:GOALS_NAMED]]
        named += ["..."] if len(self.too_long) > GOALS_NAMED else []
        return (
            f"left out: {len(self.too_long)} of {len(self.goals) + len(self.too_long)} goals do not fit the policy's "
            f"state of {self.state_tokens} tokens ({', '.join(named)}); "
            f"{remedy_for_long(list(self.too_long.values()), self.most_tokens)}"
        )


def fitting_goals(task: Task, goals: Sequence[int], *encoders: DecisionEncoder) -> FittingGoals:
    """The ``goals`` of a task that fit the states of all ``encoders``, in their order.

    Raises ``EncodingError`` where none does, and where an encoder reads another task's decisions.
    """
    require_readable(task, *encoders)
    rooms = [encoder.room for encoder in encoders if encoder.room is not None]
    if not rooms:
        return FittingGoals(goals)
    smallest = min(rooms)
    # A BERT tokenizer makes at most a token of a byte, so most texts need not be tokenized.
    places = np.flatnonzero(task.instruction_bytes(goals) > smallest - 2)
    too_long = {}
    for goal in np.asarray(goals, int)[places].tolist():
        instruction = task.instruction(goal)
        if not all(encoder.fits(instruction) for encoder in encoders):
            too_long[goal] = max(encoder.tokens(instruction) for encoder in encoders)
    kept = [goal for goal in goals if goal not in too_long] if too_long else goals
    most = min((encoder.most_tokens for encoder in encoders if encoder.most_tokens is not None), default=None)
    found = FittingGoals(kept, too_long, smallest, most)
    if too_long and not kept:
        raise EncodingError(str(found))
    return found
