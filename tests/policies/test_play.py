from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from policies.base import load_policy
from policies.bert_choice.benchmark import measure_play, one_by_one
from policies.play import choice_probabilities, play_together, policy_episodes, policy_trajectories
from rl_recsys.core.policy_folder import PolicyError
from rl_recsys.core.task import TaskError
from rl_recsys.webshop.task import WebShop


def test_the_caches_change_no_choice(policy_folder, task):
    found = measure_play(str(policy_folder), task.spec, 12)
    assert found["different"] == 0
    assert found["steps"] >= 12 * 2 and found["slow"] > 0 and min(found["fast"]) > 0


def test_logits_that_are_no_numbers_are_named_with_their_policy(policy_folder, task):
    model = load_policy(policy_folder)
    with torch.no_grad():
        model.scorer.sharpness.fill_(torch.nan)
    with pytest.raises(PolicyError, match=f"{policy_folder}: the policy gives an action a logit that is no finite"):
        list(policy_episodes(model, task, [3], greedy=True))


class Overpaid(WebShop):
    """A world that pays what is no reward."""

    reward = float("nan")

    def session(self, *arguments, **options):
        session = super().session(*arguments, **options)
        choose = session.choose
        session.choose = lambda index: replace(choose(index), reward=self.reward)
        return session


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), 1.5])
def test_what_is_no_reward_is_no_outcome(policy_folder, shop, reward):
    """A mean of nan would reach ASHA and Optuna, intervals and tables; it passes every comparison."""
    world = Overpaid(shop)
    world.reward = reward
    with pytest.raises(TaskError, match=rf"the world paid a reward of {reward}; rewards are in \[0, 1\]"):
        list(policy_episodes(load_policy(policy_folder), world, [3], greedy=True))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_an_episode_is_the_same_alone_and_among_others_and_with_its_steps(policy_folder, shop, task, precision):
    model = load_policy(policy_folder)
    slow = one_by_one(load_policy(policy_folder))
    model.precision = slow.precision = precision
    goals = [3, 4, 3, 5]
    for greedy in (True, False):
        together = list(policy_episodes(model, task, goals, greedy=greedy))
        alone = list(policy_episodes(slow, task, goals, greedy=greedy, at_once=1))
        assert together == alone and [one.goal for one in together] == goals
        recorded = list(policy_trajectories(model, task, goals, author="me", greedy=greedy))
        assert [(one.goal_index, one.reward, len(one.steps), one.done) for one in recorded] == [
            (one.goal, one.reward, one.steps, one.bought) for one in together
        ]
    first, second = (one for one in recorded if one.goal_index == 3)
    assert first == second
    drawn = list(policy_trajectories(model, task, [3] * 4, author="me", draws=range(4)))
    assert drawn[0] == first and len({one.steps for one in drawn}) > 1
    session = shop.session(4)
    for step in next(one for one in recorded if one.goal_index == 4).steps:
        assert session.page.text_rich == step.observation
        session.step(step.actions[step.chosen])


def test_the_probabilities_of_choices_are_those_that_are_drawn_from(task, policy_folder):
    policy = load_policy(policy_folder)
    goals = list(task.split("test")[:2])
    played = list(play_together(policy, task, goals, [0, 0], greedy=True, recording=True))
    steps = [step for episode, _ in played for step in episode.steps]
    logits = [row for episode, _ in played for row in episode.logits]
    longer = replace(steps[0].decision, choices=steps[0].decision.choices * 100)
    *found, none = choice_probabilities(policy, [*(step.decision for step in steps), longer])
    assert none is None
    for step, row, likely in zip(steps, logits, found, strict=True):
        assert len(likely) == len(step.choices) and likely.sum() == pytest.approx(1)
        assert likely == pytest.approx(np.exp(row) / np.exp(row).sum(), rel=1e-4)
