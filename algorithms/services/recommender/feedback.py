"""What people's feedback on a list says of the episodes that the list was made of: trajectories to learn from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rl_recsys.core.task import Session, Task
from rl_recsys.core.trajectory import Step, Trajectory
from rl_recsys.errors import UserError

BOUGHT, CLICKED, SHOWN = 1.0, 0.5, 0.0  # rewards; "learn from successes" (a reward of 1) then means: from purchases


class FeedbackError(UserError):
    """A report that does not fit the list it is about."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A list that was shown, as it is kept until its feedback comes.

    ``goal``: what was played for, as JSON. ``episodes``: the index of each choice, of every episode that ended with an
    item, and that item. ``choices``: of each listed item what an episode would end with. ``author``: the policy.
    """

    id: str
    policy: str
    author: str
    seed: int
    max_choices: int
    goal: Mapping[str, Any]
    choices: Mapping[str, Any]
    episodes: Sequence[tuple[Sequence[int], str]]

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a list's items: each list has those before it in it. Made by ``Report.of``."""

    shown: tuple[str, ...]
    clicked: tuple[str, ...]
    bought: tuple[str, ...]

    @classmethod
    def of(cls, listed: Listed, shown: Sequence[str] | None, clicked: Sequence[str], bought: Sequence[str]) -> Report:
        """What was bought was clicked, and what was clicked was shown. Raises ``FeedbackError`` for another's items."""
        there = list(listed.choices)
        wanted = set(there if shown is None else shown) | set(clicked) | set(bought)
        if others := sorted(wanted - set(there)):
            raise FeedbackError(f"the list {listed.id} has no {others[0]!r}; it has {', '.join(there) or 'nothing'}")
        in_order = [set(bought), {*clicked, *bought}, wanted]
        bought_, clicked_, shown_ = (tuple(item for item in there if item in some) for some in in_order)
        return cls(shown_, clicked_, bought_)

    def reward_of(self, item: str) -> float:
        """What an episode earns that ended with a shown item."""
        return BOUGHT if item in self.bought else CLICKED if item in self.clicked else SHOWN

    @property
    def reward(self) -> float:
        """The list's: its best item's."""
        return max(map(self.reward_of, self.shown), default=SHOWN)


def trajectories(task: Task, listed: Listed, report: Report) -> Iterator[Trajectory]:
    """The episodes of a list with what people made of the items that they ended with.

    Episodes are of one goal and differ in reward where people preferred an item to another that they were shown: so DPO
    pairs them. What was not shown is left out: nobody judged it. Episodes with equal choices are one. An item that was
    clicked or bought and that no episode ended with, as one that the search alone found, gets an episode that goes
    straight to it, of source "human".
    """
    reached = set()
    for taken, item in dict.fromkeys((tuple(taken), item) for taken, item in listed.episodes):
        if item in report.shown:
            reached.add(item)
            session = task.session(listed.goal, max_choices=listed.max_choices)
            yield _replayed(session, taken, report.reward_of(item), listed, source="policy", author=listed.author)
    desk = task.request_desk()
    for item in (item for item in report.clicked if item not in reached):
        session = task.session(listed.goal, max_choices=listed.max_choices)
        taken = desk.take(session, listed.choices[item])
        if taken is not None:
            session = task.session(listed.goal, max_choices=listed.max_choices)
            yield _replayed(session, taken, report.reward_of(item), listed, source="human", author="customers")


def _replayed(
    session: Session, taken: Sequence[int], reward: float, listed: Listed, *, source: str, author: str
) -> Trajectory:
    steps = []
    for index in taken:
        steps.append(Step.of(session, index))
        session.choose(index)
    return Trajectory(
        goal=dict(session.goal),
        goal_index=-1,
        source=source,
        author=author,
        seed=listed.seed,
        steps=tuple(steps),
        reward=reward,
        done=True,
    )
