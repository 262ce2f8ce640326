"""Whether a world keeps the contract of ``rl_recsys.core.task``: play it, and name the first rule that is broken.

python -m rl_recsys.core.check menu:60
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from rl_recsys.console.terminal import say
from rl_recsys.core.registry import TASKS, RegistryError, registered
from rl_recsys.core.task import Session, Task, TaskError, open_task
from rl_recsys.errors import UserError, plain_errors

GOALS = 5  # of each split
NO_SPLIT = "no-such-split"


def check_task(task: str | Task) -> int:
    """Play some goals of a task in several ways; how many episodes were played. Raises ``TaskError`` with the rule."""
    task = open_task(task)
    _check_class(task)
    episodes = 0
    for split in ("train", "test"):
        goals = list(task.split(split))[:GOALS]
        _require(goals, f"split({split!r}) must have goals")
        for goal in goals:
            _check_goal(task, goal)
            episodes += sum(1 for _ in _episodes(task, goal))
    try:
        task.split(NO_SPLIT)
    except UserError:
        return episodes
    except Exception as error:
        raise TaskError(f"{task.name}: split of an unknown name must raise TaskError, not {error!r}") from error
    raise TaskError(f"{task.name}: split of an unknown name must raise TaskError; it gave something")


def _require(holds: object, rule: str) -> None:
    if not holds:
        raise TaskError(rule)


def _check_class(task: Task) -> None:
    name = task.name
    _require(name in registered(TASKS), f"{name}: its entry point must have the name of the class, {name!r}")
    try:
        again = open_task(task.spec)
    except (UserError, RegistryError) as error:
        raise TaskError(f"{name}: open_task({task.spec!r}), its spec, must open it again: {error}") from error
    _require(again.fingerprint == task.fingerprint, f"{name}: opened again by its spec it has another fingerprint")
    _require(len(task.kinds) > 1, f"{name}: kinds must have padding first and one kind at least")


def _check_goal(task: Task, index: int) -> None:
    goal = task.goal(index)
    words = goal.get("instruction_text") if hasattr(goal, "get") else None
    _require(isinstance(words, str) and words, f'{task.name}: goal {index} must have "instruction_text", a text')
    try:
        json.dumps(goal)
    except TypeError as error:
        raise TaskError(f"{task.name}: goal {index} must be what JSON can hold ({error})") from error
    _require(task.goal(index) == goal, f"{task.name}: goal {index} must be the same whenever it is asked for")
    _require(isinstance(task.cluster(index), str), f"{task.name}: cluster({index}) must be a text")


def _episodes(task: Task, goal: int) -> Iterator[None]:
    """At random, twice alike, of the goal as a mapping, with caps; of the demonstrator and of every baseline."""
    actions, seen = _random_episode(task, task.session(goal), goal, task.max_steps)
    yield
    _, again = _random_episode(task, task.session(goal), goal, task.max_steps, actions)
    _require(again == seen, f"{task.name}: goal {goal} must go on alike where the same is chosen")
    yield
    _, mapped = _random_episode(task, task.session(task.goal(goal)), goal, task.max_steps, actions)
    alike = [each[1:] for each in mapped] == [each[1:] for each in seen]  # a url may name the session
    _require(alike, f"{task.name}: session must take goal {goal} as a mapping too, and go on alike")
    yield
    most = max(1, len(task.session(goal).decision.choices) - 1)
    _random_episode(task, task.session(goal, max_steps=2, max_choices=most), goal, 2, most=most)
    yield
    for name, agent in {"the demonstrator": task.demonstrator, **task.baselines}.items():
        session, played = task.session(goal, **agent.options), 0
        while not (session.done or session.truncated):
            played += 1
            _require(played <= task.max_steps, f"{task.name}: after {task.max_steps} steps a session must be truncated")
            chosen = agent.choose(session)
            within = 0 <= chosen < len(session.decision.choices)
            _require(within, f"{task.name}: {name} chose {chosen} of {len(session.decision.choices)} choices")
            session.choose(chosen)
        yield


def _random_episode(
    task: Task, session: Session, goal: int, steps: int, actions: Sequence[int] = (), *, most: int | None = None
) -> tuple[list[int], list[Any]]:
    """Play ``actions``, or any; what was chosen and what was seen."""
    rng, name, seen, chosen = random.Random(goal), task.name, [], []
    while not (session.done or session.truncated):
        decision = session.decision
        _check_decision(task, session, most)
        if not seen:
            before = session.steps, decision
            try:
                result = session.choose(len(decision.choices))
            except Exception as error:
                raise TaskError(f"{name}: an index where there is no choice must count as a step: {error!r}") from error
            counted = session.steps == before[0] + 1 and result.reward == 0
            _require(counted, f"{name}: an index where there is no choice must count as a step, and change nothing")
            if session.truncated:
                break
            same = session.decision.choices == decision.choices
            _require(same, f"{name}: an index where there is no choice must change nothing")
        index = actions[len(chosen)] if len(chosen) < len(actions) else rng.randrange(len(decision.choices))
        chosen.append(index)
        result = session.choose(index)
        _require(0 <= result.reward <= 1, f"{name}: the reward is {result.reward}; rewards are in [0, 1]")
        _require(result.done or not result.reward, f"{name}: a reward is paid at the end, not before")
        numbers = all(isinstance(part, (int, float)) or part is None for part in result.reward_parts.values())
        _require(numbers, f"{name}: reward_parts must be numbers")
        seen.append((session.url, session.decision, result.reward, result.done))
        _require(len(chosen) <= steps, f"{name}: after {steps} steps a session must be truncated")
    return chosen, seen


def _check_decision(task: Task, session: Session, most: int | None) -> None:
    name, decision = task.name, session.decision
    _require(isinstance(session.url, str), f"{name}: url must be a text")
    _require(isinstance(session.observation, str), f"{name}: observation must be a text")
    words = session.goal["instruction_text"]
    _require(decision.state[:1] == (words,), f"{name}: a state must begin with the whole instruction, {words!r}")
    _require(decision.choices, f"{name}: before the end there must be something to choose")
    kinds = {choice.kind for choice in decision.choices}
    wrong = [kind for kind in kinds if not 0 < kind < len(task.kinds)]
    _require(not wrong, f"{name}: a choice has kind {wrong[:1]}, the task has kinds 1 to {len(task.kinds) - 1}")
    actions = [choice.action for choice in decision.choices]
    _require(len(set(actions)) == len(actions), f"{name}: two choices of a decision have the same action")
    kept = most is None or len(decision.choices) <= most
    _require(kept, f"{name}: session must honour max_choices={most}; it has {len(decision.choices)} choices")


if __name__ == "__main__":
    with plain_errors():
        for spec in sys.argv[1:]:
            say(f"{spec}: {check_task(spec)} episodes keep the contract")
