"""Which episodes an agent from elsewhere is scored on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal, get_args

from rl_recsys.errors import UserError
from rl_recsys.evaluation.agent_evaluation import Plan, Planned
from rl_recsys.webshop.goals.verl_validation import FIRST, VALIDATION_GOALS, training_goals, validation_goals
from rl_recsys.webshop.goals.winning import BestPurchase
from rl_recsys.webshop.shop import Shop

Protocol = Literal["test", "verl-128"]
TEST, VERL_128 = get_args(Protocol)
#: At which an agent samples that is not told otherwise; 0 takes the likeliest action, 0.4 is in verl-agent's scripts.
_TEMPERATURES = {TEST: 0.0, VERL_128: 0.4}


def temperature_of(protocol: Protocol, given: float | None) -> float:
    """The temperature at which an agent samples: the given one, else the protocol's."""
    return _TEMPERATURES[protocol] if given is None else given


def plan_of(protocol: Protocol, shop: Shop, *, goals: int, validations: int, max_steps: int, seed: int) -> Plan:
    """What a protocol plays in a shop. ``goals`` are of "test"; ``validations`` and ``seed`` of "verl-128"."""
    if protocol == TEST:
        return plan_of_test(shop, goals, max_steps=max_steps)
    return plan_of_verl(shop, validations, max_steps=max_steps, seed=seed)


def plan_of_test(shop: Shop, goals: int, *, max_steps: int) -> Plan:
    """The first ``goals`` test goals of the shop's split, each once, in its order."""
    chosen = list(shop.split("test"))[:goals]
    episodes = [Planned(number, goal) for number, goal in enumerate(chosen)]
    details = {"split": "test", "goals": len(chosen), "rules": asdict(shop.rules)}
    return Plan(TEST, episodes, max_steps, details, _ceiling(shop, chosen))


def plan_of_verl(shop: Shop, validations: int, *, max_steps: int, seed: int) -> Plan:
    """The goals of verl-agent's first ``validations``; see ``validation_goals``. Raises ``UserError``."""
    if shop.goal_count <= FIRST:
        raise UserError(f"{shop.folder}: {shop.goal_count} goals; the protocol {VERL_128} needs more than {FIRST}")
    drawn = validation_goals(shop.goal_count, validations, seed=seed)
    goals, episodes, before = [], [], Counter()
    for validation, drawn_goals in enumerate(drawn):
        for goal in drawn_goals:
            episodes.append(Planned(len(goals), goal, validation, draw=before[goal]))
            goals.append(goal)
            before[goal] += 1
    train, verl_train = set(shop.split("train")), training_goals(shop.goal_count, seed=seed)
    details = {
        "goals": VALIDATION_GOALS,
        "validations": validations,
        "env_seed": seed,
        "distinct_goals": len(set(goals)),
        "training_goals": sum(goal in train for goal in goals) / len(goals),
        "verl_training_goals": sum(goal in verl_train for goal in goals) / len(goals),
        "rules": asdict(shop.rules),
    }
    return Plan(VERL_128, episodes, max_steps, details, _ceiling(shop, goals))


def _ceiling(shop: Shop, goals: Sequence[int]) -> tuple[float, float]:
    """The success and the score of buying each goal's own product with the options that pay most."""
    best: dict[int, float] = {}
    products: dict[str, BestPurchase] = {}
    for index in dict.fromkeys(goals):
        goal = shop.goal(index)
        if goal.asin not in products:
            products[goal.asin] = BestPurchase(shop.product(goal.asin))
        best[index] = products[goal.asin].reward(goal, shop.goal_nouns(goal), shop.rules.reward)
    rewards = [best[goal] for goal in goals]
    return sum(reward == 1.0 for reward in rewards) / len(rewards), 100 * sum(rewards) / len(rewards)
