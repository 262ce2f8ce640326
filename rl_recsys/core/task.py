"""A task: a world in which an agent meets somebody's wish, acts for a few steps, and is paid by how well that went.

Algorithms, rollouts, evaluation and jobs know a world by this file and by nothing else of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np

from rl_recsys.core.decision import Decision
from rl_recsys.core.registry import TASKS, load, registered
from rl_recsys.errors import UserError
from rl_recsys.storage.locations import Place, absolute

DEFAULT_TASK = "webshop"  # whose folder --shop names, and of which files that name no task are


EPISODES_A_REQUEST = 16  # where a policy recommends
#: What a class of tasks must have beside its methods.
NEEDED = ("name", "kinds", "demonstrator")


class TaskError(UserError):
    """A task cannot be opened or does not have what is asked of it; the message names the remedy."""


class StepResult(Protocol):
    """What came of a step: ``reward`` in [0, 1], paid when the episode is ``done``, and its parts."""

    reward: float
    done: bool
    reward_parts: Mapping[str, float | bool]


class Session(Protocol):
    """One episode, played by choosing among the actions of each decision."""

    #: What there is to decide now; without choices once the episode is over.
    decision: Decision
    #: Actions so far.
    steps: int

    @property
    def done(self) -> bool:
        """Whether the agent ended the episode by an action."""

    @property
    def truncated(self) -> bool:
        """Whether it ran out of steps."""

    @property
    def goal(self) -> Mapping[str, Any]:
        """What is wanted, as JSON has it; "instruction_text" says it in words."""

    @property
    def url(self) -> str:
        """A key of the state: two sessions of a goal with equal ones go on alike. Loops and pairs are found by it."""

    @property
    def observation(self) -> str:
        """All that the world shows here, as text."""

    def choose(self, index: int) -> StepResult:
        """Take the choice at ``index``; an index where there is none changes nothing but counts as a step."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """An agent without a model: what it chooses in a session, and a version, which is raised when it plays otherwise.

    What it played before a change is then not taken for its own. ``options`` go to ``Task.session``.
    """

    choose: Callable[[Any], int]
    version: int
    options: Mapping[str, Any] = field(default_factory=dict)


class Answer(Protocol):
    """What a request in words came to."""

    #: What it asks for, in the world's words or as they were typed.
    request: str
    #: "ok", or why nothing is recommended.
    status: str

    @property
    def goal(self) -> Any:
        """What to play for, None where it cannot be played for."""

    @property
    def choices(self) -> Sequence[Any]:
        """What is recommended, the best first, as ``RequestDesk.choice`` gives it."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON. "products" are the ``choices``, each with the "share" of episodes that ended so."""


@dataclass(frozen=True, slots=True)
class ReportWords:
    """What a report calls the things of a world."""

    agents: str = "agents"
    world: str = "task"
    cluster: str = "cluster"
    """What ``Task.cluster`` names: "product" where goals are about products."""
    ended: str = "episodes that the agent ended"
    unquoted: str = "The world's words are left out: goals stand as their numbers, choices as their kinds."
    """Said of example episodes without ``quote``."""


class RequestDesk(Protocol):
    """Where people ask a world for something in words of their own."""

    def read(
        self,
        request: str,
        encoder: Any,
        *,
        options: Mapping[str, str] | None = None,
        floor: float | None = None,
        limit: float | None = None,
    ) -> Answer:
        """A request as it is understood, with options and a lowest and a highest price that are meant as well."""

    def choice(self, session: Any, result: StepResult) -> Any:
        """What an episode that was played for a request ended with; None where with nothing."""

    def item(self, choice: Any) -> str:
        """What people call it, whatever options were chosen."""

    def take(self, session: Any, choice: Any) -> list[int] | None:
        """Play a new session to its end with this choice; the index of each choice taken, None where none lead there.

        A choice is as ``choice`` gives it.
        """

    def answer(self, understood: Any, choices: Sequence[Any], top: int) -> Answer:
        """What to recommend, given what the request's episodes ended with: at most ``top`` different items.

        Without ``choices`` it is what can be said before any episode is played, as what a search finds.
        """


class Task(ABC):
    """A world. Another package's is found by an entry point of the group "rl_recsys.tasks" (docs/extend.md).

    An episode is of a goal: one of the task's by its index, or another as a mapping. A subclass must have ``name``,
    ``kinds``, ``demonstrator``, and the methods ``open``, ``spec``, ``fingerprint``, ``split``, ``goal`` and
    ``session``; the rest has defaults. ``rl_recsys.core.check.check_task`` plays a task and names what is amiss.
    """

    #: What ``open_task`` knows the world by.
    name: ClassVar[str]
    #: Of choices; the first is padding. Their number is a policy's for good.
    kinds: ClassVar[Sequence[str]]
    #: Raised with every change of a decision's words or kinds: what was recorded or trained before does not fit.
    decision_format: ClassVar[int] = 1
    #: The parts of a reward that ``StepResult.reward_parts`` has, each in [0, 1], and what people call them.
    reward_parts: ClassVar[Mapping[str, str]] = {}
    #: Actions an episode.
    max_steps: ClassVar[int] = 15
    #: Agents without a model, if there are any; the first is in every evaluation.
    baselines: ClassVar[Mapping[str, Baseline]] = {}
    #: Who plays demonstrations.
    demonstrator: ClassVar[Baseline]
    words: ClassVar[ReportWords] = ReportWords()

    @classmethod
    @abstractmethod
    def open(cls, place: str) -> Task:
        """The world at a place: a folder, a URI, or a name, as the world has it. Raises ``UserError``.

        It is called often: what is costly is kept by the process.
        """

    @property
    @abstractmethod
    def spec(self) -> str:
        """What ``open_task`` opens it again by, wherever the process runs: "name:place"."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A short digest of all that decides what its episodes are: equal for equal worlds."""

    @abstractmethod
    def split(self, name: str) -> Sequence[int]:
        """The goals of "train", of "test", or of another split that there is. Raises ``UserError``."""

    @abstractmethod
    def goal(self, index: int) -> Mapping[str, Any]:
        """A goal, as ``Session.goal`` has it."""

    @abstractmethod
    def session(
        self, goal: int | Any, *, max_steps: int | None = None, max_choices: int | None = None, **options: Any
    ) -> Session:
        """A new episode. ``max_steps`` is by default the task's; ``max_choices``: the most that a decision may have."""

    def cluster(self, goal: int) -> str:
        """What a goal stands or falls with, as all goals about one product do: intervals are drawn over these."""
        return str(goal)

    def instruction(self, goal: int | Any) -> str:
        """A goal in words: the task's of this index, or another."""
        return (self.goal(goal) if isinstance(goal, int) else goal)["instruction_text"]

    def instruction_bytes(self, goals: Sequence[int]) -> np.ndarray:
        """How many bytes of UTF-8 the instruction of each of some goals has."""
        return np.array([len(self.instruction(goal).encode()) for goal in goals], int)

    def variation(self, number: int, *, seed: int = 0) -> Mapping[str, Any]:
        """A goal that the task does not have, to train on. Raises ``TaskError`` where there are no others."""
        raise TaskError(f"the task {self.name!r} has no goals but its own: leave --variations out")

    def example(self, episode: Any, *, quote: bool) -> Any:
        """An episode for people to read, an ``ExampleSession``; without ``quote`` in none of the world's own words."""
        from rl_recsys.core.example_sessions import example_session  # which knows trajectories, which know tasks

        return example_session(episode, self.kinds, quote=quote)

    def request_desk(self) -> RequestDesk:
        """What answers requests in words. Raises ``TaskError`` where there is nothing to recommend."""
        raise TaskError(f"the task {self.name!r} answers no requests in words")

    def goals_of(self, trajectory: Any) -> Sequence[int]:
        """Which of its goals a recorded episode is about. Raises ``UserError`` for an episode of another world."""
        index = trajectory.goal_index
        if index < 0 or self.goal(index)["instruction_text"] != trajectory.goal["instruction_text"]:
            raise TaskError(f"an episode of goal {index} was recorded in another world than {self.spec}; record again")
        return [index]


def task_class(name: str) -> type[Task]:
    """The class of tasks of a name. Raises ``RegistryError``."""
    return load(TASKS, name)


def task_of_shop(shop: Place) -> str:
    """The task that ``--shop FOLDER`` is short for."""
    return f"{DEFAULT_TASK}:{absolute(shop)}"


def open_task(task: str | Task) -> Task:
    """The task of "name:place", as "webshop:shops/demo"; one that is open already is returned.

    Raises ``TaskError`` for another form, ``RegistryError`` for a name that is not known, and what the world raises.
    """
    if isinstance(task, Task):
        return task
    name, separator, place = str(task).partition(":")
    if not separator:
        names = ", ".join(registered(TASKS))
        raise TaskError(f"task {task!r}: write NAME:PLACE, as webshop:shops/demo; names are {names}")
    kind = task_class(name)
    if missing := [needed for needed in NEEDED if not getattr(kind, needed, None)]:
        raise TaskError(f"the task {name!r} lacks {', '.join(missing)}: its class, {kind.__qualname__}, must have them")
    return kind.open(place)
