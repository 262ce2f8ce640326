"""Which step is given which advantage, and which steps are learnt from, of episodes that can be counted by hand."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch
from ray.rllib.core.columns import Columns

from algorithms.common.reference import Reference
from algorithms.grpo.steps import (
    REFERENCE_LOGP,
    advantages_by_episode,
    advantages_by_state,
    columns_of,
    rows_to_learn,
)
from policies.base import fresh_policy
from policies.play import SampledEpisode, sampled_episodes
from rl_recsys.core.preferences import earn_differently
from rl_recsys.core.task import open_task
from rl_recsys.core.trajectory import Step, Trajectory


def episode(reward: float, *urls: str, choices: int = 2) -> Trajectory:
    """An episode that was at these places."""
    words = tuple(map(str, range(choices)))
    steps = [Step(url, "", ("wish",), words, words, (1,) * choices, 0) for url in urls]
    return Trajectory({"instruction_text": "wish"}, 0, "policy", "x", 0, tuple(steps), reward, True)


#: Of two goals: the first is met once by three episodes of 2, 2 and 3 steps, the second earns 0.25 and 0.75.
GROUPS = [
    [episode(1.0, "start", "a"), episode(0.0, "start", "b"), episode(0.0, "start", "a", "c")],
    [episode(0.25, "start"), episode(0.75, "start", "a")],
]


def test_each_step_has_the_advantage_of_its_episode():
    found = advantages_by_episode(GROUPS, standardise=False)
    thirds = [2 / 3] * 2 + [-1 / 3] * 5
    np.testing.assert_allclose(found, [*thirds, -0.25, 0.25, 0.25])
    # of (1, 0, 0) the sample's deviation is sqrt(1/3), of (1/4, 3/4) it is sqrt(1/8)
    scaled = [*(each * sqrt(3) for each in thirds), -0.25 * sqrt(8), 0.25 * sqrt(8), 0.25 * sqrt(8)]
    np.testing.assert_allclose(advantages_by_episode(GROUPS, standardise=True), scaled)


def test_gigpo_compares_steps_that_left_one_state_of_one_goal():
    found = advantages_by_state(GROUPS, discount=0.5, step_weight=2.0, standardise=False)
    # From "start" they earned 0.5, 0, 0; from "a" 1 and 0; b and c have nobody beside them. Of the second goal 0.25
    # and 0.375 from its own "start"; its "a" is another state than the first goal's.
    states = [1 / 3, 0.5, -1 / 6, 0.0, -1 / 6, -0.5, 0.0, -0.0625, 0.0625, 0.0]
    np.testing.assert_allclose(found - advantages_by_episode(GROUPS, standardise=False), 2 * np.array(states))
    alone = advantages_by_state(GROUPS, discount=0.5, step_weight=0.0, standardise=True)
    np.testing.assert_allclose(alone, advantages_by_episode(GROUPS, standardise=True))


def test_groups_in_which_all_earn_alike_are_told():
    assert [earn_differently(group) for group in GROUPS] == [True, True]
    assert not earn_differently([episode(0.5, "start"), episode(0.5, "other", "a")])


def sampled(likeliest: list[float], **changes) -> SampledEpisode:
    trajectory = episode(0.0, *"abcdefg"[: len(likeliest)], **changes)
    return SampledEpisode(trajectory, np.log(likeliest), np.array(likeliest))


def test_what_was_no_choice_or_in_no_doubt_is_not_learnt_from():
    episodes = [sampled([1.0, 1.0], choices=1), sampled([0.5, 0.995]), sampled([0.98])]
    assert rows_to_learn(episodes, doubt=0.0).tolist() == [2, 3, 4]
    assert rows_to_learn(episodes, doubt=0.01).tolist() == [2, 4]


@pytest.fixture(scope="module")
def played():
    task = open_task("menu:60")
    torch.manual_seed(0)
    policy = fresh_policy("linear", task, {"choices": 12}).eval()
    with torch.no_grad():
        policy.weights.weight[:] = torch.tensor([3.0, 3.0, 1.0, 0.0])  # a fresh one is in like doubt at any temperature
    draws = range(3)
    found = [
        list(sampled_episodes(policy, task, [40] * 3, author="x", draws=draws, seed=1, temperature=temperature))
        for temperature in (1.0, 2.0)
    ]
    return policy, found


def log_probability(policy, step: Step, temperature: float) -> torch.Tensor:
    """Of all actions of a step, computed apart."""
    observation = policy.decision_encoder.encode_all([step.decision])
    with torch.no_grad():
        logits, _ = policy({name: torch.as_tensor(array) for name, array in observation.items()})
    return (logits[0, : len(step.choices)].double() / temperature).log_softmax(0)


def test_episodes_come_with_the_probabilities_that_they_were_sampled_with(played):
    policy, found = played
    for temperature, episodes in zip((1.0, 2.0), found, strict=True):
        for each in episodes:
            steps = each.trajectory.steps
            rows = [log_probability(policy, step, temperature) for step in steps]
            expected = [row[step.chosen].item() for row, step in zip(rows, steps, strict=True)]
            np.testing.assert_allclose(each.log_probabilities, expected, atol=1e-5)
            np.testing.assert_allclose(each.likeliest, [row.max().exp().item() for row in rows], atol=1e-5)
    usual, warmer = (episodes[0].likeliest[0] for episodes in found)
    assert 0 < warmer < usual - 0.05


def test_the_rows_of_a_train_batch_are_of_the_steps_that_were_asked_for(played):
    policy, (_, episodes) = played
    steps = [step for each in episodes for step in each.trajectory.steps]
    recorded = np.concatenate([each.log_probabilities for each in episodes])
    rows, advantages = np.array([4, 0, 2, 0]), np.arange(len(steps)) / 10
    columns = columns_of(
        episodes, rows, advantages, policy.decision_encoder, temperature=2.0, reference=Reference(policy)
    )
    assert columns[Columns.ACTIONS].tolist() == [steps[row].chosen for row in rows]
    np.testing.assert_allclose(columns[Columns.ADVANTAGES], [0.4, 0.0, 0.2, 0.0])
    np.testing.assert_allclose(columns[Columns.ACTION_LOGP], recorded[rows], rtol=1e-6)
    # The reference is the policy that played here.
    np.testing.assert_allclose(columns[REFERENCE_LOGP], recorded[rows], atol=1e-5)
    assert len(columns[Columns.OBS]["mask"]) == 4
