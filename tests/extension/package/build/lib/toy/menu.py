"""A world: a menu of ten dishes, and a guest who says half of what he likes."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from typing import Any

from rl_recsys.core.decision import Choice, Decision
from rl_recsys.core.task import Baseline, Task, TaskError

TASTES = ("spicy", "mild", "sweet", "sour", "warm", "cold", "crisp", "soft", "green", "red")
DISHES = tuple(f"{first} {second} dish" for first, second in zip(TASTES, TASTES[3:] + TASTES[:3], strict=True))
LEAVE, TASTE, ORDER = 1, 2, 3  # kinds of choices; 0 is padding


@dataclass
class Result:
    """What came of a step."""

    reward: float = 0.0
    done: bool = False
    reward_parts: dict[str, float] = field(default_factory=dict)


class Table:
    """A session: taste dishes, which tells what is missing, and order one."""

    def __init__(self, goal: dict[str, Any], max_steps: int, max_choices: int):
        self.goal, self.max_steps, self.max_choices = goal, max_steps, max_choices
        self.steps, self.done, self.tasted = 0, False, []

    @property
    def truncated(self) -> bool:
        return self.steps >= self.max_steps and not self.done

    @property
    def url(self) -> str:
        return "menu/" + "/".join(map(str, sorted(self.tasted)))

    @property
    def observation(self) -> str:
        return " | ".join(self.decision.state)

    @property
    def decision(self) -> Decision:
        if self.done or self.truncated:
            return Decision((self.goal["instruction_text"],), ())
        hints = tuple(f"{DISHES[dish]}: {self.liking(dish):.1f}" for dish in self.tasted)
        choices = [Choice(f"taste {dish}", f"taste {name}", TASTE) for dish, name in enumerate(DISHES)]
        choices = [choice for dish, choice in enumerate(choices) if dish not in self.tasted]
        choices += [Choice(f"order {dish}", f"order {DISHES[dish]}", ORDER) for dish in self.tasted]
        choices.append(Choice("leave", "leave", LEAVE))
        return Decision((self.goal["instruction_text"], *hints), tuple(choices[: self.max_choices]))

    def liking(self, dish: int) -> float:
        return sum(taste in DISHES[dish] for taste in self.goal["likes"]) / len(self.goal["likes"])

    def choose(self, index: int) -> Result:
        choices = self.decision.choices
        self.steps += 1
        if not 0 <= index < len(choices):
            return Result()
        verb, _, dish = choices[index].action.partition(" ")
        if verb == "taste":
            self.tasted.append(int(dish))
            return Result()
        self.done = True
        liking = self.liking(int(dish)) if dish else 0.0
        return Result(liking, True, {"liking": liking})


def first_dish(table: Table) -> int:
    """Tastes the first dish and orders it."""
    return next((i for i, c in enumerate(table.decision.choices) if c.kind == ORDER), 0)


def regular(table: Table) -> int:
    """Knows what the guest likes: tastes the best dish and orders it."""
    best = max(range(len(DISHES)), key=table.liking)
    actions = [choice.action for choice in table.decision.choices]
    return actions.index(f"order {best}") if f"order {best}" in actions else actions.index(f"taste {best}")


class Menu(Task):
    """Guests at a menu; the place is the number of guests, as in "menu:200"."""

    name = "menu"
    kinds = ("padding", "leave", "taste", "order")
    reward_parts = {"liking": "liking"}
    max_steps = 6
    baselines = {"first-dish": Baseline(first_dish, 1)}
    demonstrator = Baseline(regular, 1)

    def __init__(self, guests: int):
        self.guests = guests

    @classmethod
    def open(cls, place: str) -> Menu:
        if not place.isdigit() or int(place) < 10:
            raise TaskError(f"menu:{place}: write menu:N with N guests, 10 or more")
        return cls(int(place))

    @property
    def spec(self) -> str:
        return f"menu:{self.guests}"

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.spec.encode()).hexdigest()[:16]

    def split(self, name: str) -> range:
        if name not in ("train", "test"):
            raise TaskError(f"menu: no split {name!r}; there are train and test")
        half = self.guests // 2
        return range(half, self.guests) if name == "train" else range(half)

    def goal(self, index: int) -> dict[str, Any]:
        dish = random.Random(index).choice(DISHES).split()
        return {"instruction_text": f"something {dish[0]} please", "likes": dish[:2]}

    def session(self, goal: Any, *, max_steps: int | None = None, max_choices: int | None = None) -> Table:
        goal = self.goal(int(goal)) if not isinstance(goal, dict) else goal
        return Table(goal, max_steps or self.max_steps, max_choices or len(DISHES) + 1)

    def cluster(self, goal: int) -> str:
        return "-".join(self.goal(goal)["likes"])
