"""Branches of a policy's episode."""

from __future__ import annotations

import numpy as np
import pytest

from policies.base import load_policy
from policies.branches import DOUBT, branched_episodes
from policies.play import play_together, policy_trajectories
from rl_recsys.webshop import StepResult


@pytest.fixture(scope="module")
def policy(policy_folder):
    return load_policy(policy_folder)


def branches(policy, task, goal, size, seed=0):
    return list(branched_episodes(policy, task, goal, size=size, author="me", seed=seed))


def parted(trunk, branch) -> int:
    return next(
        place
        for place, (one, other) in enumerate(zip(trunk.steps, branch.steps, strict=False))
        if one.chosen != other.chosen
    )


def test_a_branch_is_the_episode_up_to_one_other_action_and_greedy_after_it(policy, task):
    for goal in (3, 4, 5):
        trunk, *others = branches(policy, task, goal, 6)
        assert trunk == next(policy_trajectories(policy, task, [goal], author="me", greedy=True))
        assert len(others) == 5  # a policy of random weights is in doubt everywhere
        seen = set()
        for branch in others:
            place = parted(trunk, branch)
            assert branch.steps[:place] == trunk.steps[:place]
            assert branch.steps[place].state == trunk.steps[place].state
            seen.add((place, branch.steps[place].chosen))
            beginning = [step.chosen for step in branch.steps[: place + 1]]
            ((episode, _),) = play_together(
                policy, task, [goal], [0], greedy=True, recording=True, beginnings=[beginning]
            )
            assert tuple(episode.steps) == branch.steps
        assert len(seen) == 5
        assert branches(policy, task, goal, 6) == [trunk, *others]
    drawn = {tuple(len(one.steps) for one in branches(policy, task, 3, 6, seed)) for seed in range(6)}
    assert len(drawn) > 1


def test_a_branch_that_ends_with_its_other_action_is_played_no_further(policy, task):
    goal = 3
    ((trunk, _),) = play_together(policy, task, [goal], [0], greedy=True, recording=True)
    last = [step.chosen for step in trunk.steps]
    ((episode, result),) = play_together(policy, task, [goal], [0], greedy=True, recording=True, beginnings=[last])
    assert [step.chosen for step in episode.steps] == last and not episode.logits
    assert result.done or episode.session.truncated


def test_of_an_episode_that_earned_everything_only_what_was_in_doubt_is_tried(policy, monkeypatch, task):
    model = policy

    def tried(sharpness: float, earns: float) -> list:
        """Branches of a policy with so much sharper logits, whose every purchase earns ``earns``."""

        def played(*args, **kwargs):
            for episode, result in play_together(*args, **kwargs):
                episode.logits = [logits * sharpness for logits in episode.logits]
                yield episode, StepResult(page=result.page, reward=earns, done=True)

        monkeypatch.setattr("policies.branches.play_together", played)
        return list(branched_episodes(model, task, 3, size=5, author="me"))

    assert len(tried(1.0, 1.0)) > 1
    assert len(tried(1e6, 1.0)) == 1, f"no other action is {DOUBT} likely"
    assert len(tried(1e6, 0.5)) == 5, "where there is something to win, anything is tried"


def test_likely_actions_are_tried_before_others(policy, monkeypatch, task):
    tried, likelier = 0, 0
    logits_of: list = []

    def played(*args, **kwargs):
        for episode, result in play_together(*args, **kwargs):
            episode.logits = [logits * 50 for logits in episode.logits]
            logits_of.append(episode.logits)
            yield episode, result

    monkeypatch.setattr("policies.branches.play_together", played)
    for goal in range(3, 11):
        logits_of.clear()
        trunk, branch = branches(policy, task, goal, 2)
        place = parted(trunk, branch)
        log_likely = [one - np.logaddexp.reduce(one) for one in logits_of[0]]
        others = np.concatenate(
            [np.delete(one, step.chosen) for one, step in zip(log_likely, trunk.steps, strict=True)]
        )
        tried += 1
        likelier += log_likely[place][branch.steps[place].chosen] >= np.quantile(others, 0.8)
    assert likelier >= 0.9 * tried
