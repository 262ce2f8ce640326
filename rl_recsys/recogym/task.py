"""RecoGym as a task: one recommendation an episode, to a user whose views so far are known."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from typing import Annotated, Any, get_type_hints

import numpy as np

from rl_recsys.console.ranges import COUNT
from rl_recsys.core.decision import Choice, Decision
from rl_recsys.core.task import Baseline, ReportWords, Task, TaskError
from rl_recsys.recogym.settings import ClusterSettings, LatentSettings, Settings
from rl_recsys.recogym.timelines import Timelines
from rl_recsys.storage.declared import FieldError, declared

SIMULATORS: Mapping[str, type[Settings]] = {"v0": ClusterSettings, "v1": LatentSettings}
PRODUCT = 1  # the kind of a choice; 0 is padding
VIEWED = "viewed, the oldest first:"
WORLDS_KEPT = 4  # of a process: opening one plays all its users
#: Arguments of the simulators that a place cannot have: arms must meet the same users, and time decides nothing here.
WITHOUT = ("stream", "quirks", "normal_time")


@dataclass(frozen=True, kw_only=True)
class Users:
    """How many users there are: those to learn from, and after them those to be tested with."""

    users: Annotated[int, COUNT] = 4000
    test_users: Annotated[int, COUNT] = 1000


@dataclass
class Recommendation:
    """What came of one: 1 for a click. ``reward_parts`` has the product's click probability, which no agent sees."""

    reward: float = 0.0
    done: bool = False
    reward_parts: dict[str, float] = field(default_factory=dict)


class RecoGymSession:
    """One recommendation. A user's recommendations between two visits to the shop have one ``url``: nothing differs."""

    def __init__(self, task: RecoGym, number: int, goal: Mapping[str, Any], max_steps: int, choices: int):
        self.task, self.number, self.goal = task, number, goal
        self.max_steps, self.choices = max_steps, choices
        self.run = task.timelines.run_of(number)
        self.steps, self.done = 0, False

    @property
    def truncated(self) -> bool:
        """Whether nothing was recommended in time."""
        return self.steps >= self.max_steps and not self.done

    @property
    def url(self) -> str:
        """The user and the views so far."""
        return self.goal["instruction_text"]

    @property
    def observation(self) -> str:
        """The state in one line."""
        return " | ".join(self.decision.state)

    @property
    def decision(self) -> Decision:
        """The user's views, and every product."""
        return self.task.decision(self.run, 0 if self.done or self.truncated else self.choices)

    def choose(self, index: int) -> Recommendation:
        """Recommend the product at ``index``."""
        within = 0 <= index < len(self.decision.choices)
        self.steps += 1
        if not within:
            return Recommendation()
        self.done = True
        clicked, probability = self.task.timelines.show(self.number, index)
        return Recommendation(float(clicked), True, {"click_probability": probability})


def most_seen(session: RecoGymSession) -> int:
    """The product that the user viewed most often so far; of equal ones the first."""
    seen = np.bincount(session.task.timelines.viewed(session.run), minlength=session.choices)
    return int(seen[: session.choices].argmax())


def anything(session: RecoGymSession) -> int:
    """Any product, drawn by the goal alone."""
    return random.Random(session.number).randrange(session.choices)


def truth(session: RecoGymSession) -> int:
    """The product most likely to be clicked, read from the simulator: the most that can be reached."""
    return int(session.task.timelines.click_probabilities(session.run)[: session.choices].argmax())


def next_view(session: RecoGymSession) -> int:
    """The product that the user views at the next visit; the last one viewed where there is none.

    An agent that imitates it learns to foretell views.
    """
    timelines = session.task.timelines
    product = timelines.next_view(session.run)
    return min(int(timelines.viewed(session.run)[-1]) if product is None else product, session.choices - 1)


class RecoGym(Task):
    """RecoGym's users, one recommendation an episode; a success is a click, so success is the click rate.

    The place names the simulator and its arguments, as in "v1,num_products=100,number_of_flips=50,users=4000"; see
    docs/worlds/recogym.md. The users are those of the paired stream who click nothing else.
    """

    name = "recogym"
    kinds = ("padding", "product")
    reward_parts = {"click_probability": "probability of a click"}
    max_steps = 1
    baselines = {
        "most-seen": Baseline(most_seen, 1),
        "random": Baseline(anything, 1),
        "truth": Baseline(truth, 1),
    }
    demonstrator = Baseline(next_view, 1)
    words = ReportWords(agents="recommenders", world="RecoGym", cluster="user", ended="recommendations made")

    def __init__(self, simulator: str, settings: Settings, users: Users):
        self._simulator, self.settings, self._users = simulator, settings, users
        self.timelines = Timelines.play(settings, users.users + users.test_users)
        self._products = tuple(
            Choice(f"recommend {product}", f"product {product}", PRODUCT) for product in range(settings.num_products)
        )
        self.decision = lru_cache(maxsize=4096)(self._decision)
        first = int(self.timelines.users.searchsorted(users.users))
        self._trained = int(self.timelines.starts[first])
        if not 0 < self._trained < self.timelines.recommendations:
            raise TaskError(f"{self.spec}: all users of a split leave before any recommendation: ask for more users")

    @classmethod
    def open(cls, place: str) -> RecoGym:
        """Raises ``TaskError`` for a place of another form, which says what there is."""
        return _opened(place)

    @classmethod
    def read(cls, place: str) -> RecoGym:
        """The same, played anew."""
        simulator, *given = place.split(",")
        if simulator not in SIMULATORS:
            raise TaskError(f"recogym:{place}: write recogym:v1 or recogym:v0, then arguments as ,num_products=100")
        kind = SIMULATORS[simulator]
        hints = {**get_type_hints(kind, include_extras=True), **get_type_hints(Users, include_extras=True)}
        known = [name for name in (*_names(kind), *_names(Users)) if name not in WITHOUT]
        values: dict[str, Any] = {}
        for argument in given:
            name, separator, value = argument.partition("=")
            if not separator or name not in known:
                names = ", ".join(known)
                raise TaskError(f"recogym:{place}: no argument {name!r}; write NAME=VALUE with one of {names}")
            try:
                values[name] = declared(hints[name], json.loads(value), name)
            except (FieldError, ValueError) as error:
                raise TaskError(f"recogym:{place}: {name}={value}: {error}") from None
        users = Users(**{name: values.pop(name) for name in _names(Users) if name in values})
        if values.get("change_omega_for_bandits"):
            raise TaskError(f"recogym:{place}: with change_omega_for_bandits tastes drift within a run; leave it out")
        return cls(simulator, kind(**values), users)

    @property
    def spec(self) -> str:
        """With the arguments that are not the default."""
        settings = {**asdict(self.settings), **asdict(self._users)}
        usual = {**asdict(type(self.settings)()), **asdict(Users())}
        given = [f",{name}={json.dumps(value)}" for name, value in settings.items() if value != usual[name]]
        return f"recogym:{self._simulator}{''.join(given)}"

    @property
    def fingerprint(self) -> str:
        """Of all arguments."""
        text = json.dumps([self._simulator, asdict(self.settings), asdict(self._users)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def split(self, name: str) -> range:
        """ "train": the recommendations of the first users, "test": those of the others."""
        if name == "train":
            return range(self._trained)
        if name == "test":
            return range(self._trained, self.timelines.recommendations)
        raise TaskError(f"recogym has no split {name!r}; there are train and test")

    def goal(self, index: int) -> dict[str, Any]:
        """The user, and which of the user's recommendations it is, from 0 on."""
        index = int(index)
        if not 0 <= index < self.timelines.recommendations:
            raise TaskError(f"recogym has no goal {index}: there are {self.timelines.recommendations}")
        run = self.timelines.run_of(index)
        user = int(self.timelines.users[run])
        return {"instruction_text": self._words(run), "user": user, "recommendation": index - self._first_of(user)}

    def session(
        self, goal: int | Any, *, max_steps: int | None = None, max_choices: int | None = None, **options: Any
    ) -> RecoGymSession:
        """A recommendation by its number, or as ``goal`` gives it."""
        mapping = goal if isinstance(goal, Mapping) else self.goal(goal)
        number = self._number(mapping) if isinstance(goal, Mapping) else int(goal)
        choices = min(len(self._products), max_choices or len(self._products))
        return RecoGymSession(self, number, mapping, max_steps or self.max_steps, choices)

    def cluster(self, goal: int) -> str:
        """The user."""
        return f"user {self.timelines.users[self.timelines.run_of(goal)]}"

    def _number(self, goal: Mapping[str, Any]) -> int:
        found = goal.get("user"), goal.get("recommendation")
        if all(isinstance(number, int) and number >= 0 for number in found):
            number = self._first_of(found[0]) + found[1]
            if number < self.timelines.recommendations and self.goal(number) == goal:
                return number
        raise TaskError(f"recogym: no recommendation {found[1]!r} of user {found[0]!r} in {self.spec}")

    def _first_of(self, user: int) -> int:
        return int(self.timelines.starts[self.timelines.users.searchsorted(user)])

    def _words(self, run: int) -> str:
        views = self.timelines.ends[run] - self.timelines.firsts[run]
        return f"user {self.timelines.users[run]} after {views} views"

    def _decision(self, run: int, choices: int) -> Decision:
        viewed = f"{VIEWED} {' '.join(map(str, self.timelines.viewed(run).tolist()))}"
        dropped = len(self._products) - choices if choices else 0
        return Decision((self._words(run), viewed), self._products[:choices], dropped)


def _names(kind: type) -> list[str]:
    return [each.name for each in fields(kind)]


@lru_cache(maxsize=WORLDS_KEPT)
def _opened(place: str) -> RecoGym:
    return RecoGym.read(place)
