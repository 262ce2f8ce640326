"""What an iteration of PPO learns from, and who played it."""

from __future__ import annotations

import sys
from collections import defaultdict

import numpy as np
import pytest
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns

from algorithms.common.learner import FROZEN_LAYERS, PRECISION
from algorithms.ppo import PPOConfig
from algorithms.runs.training_run import flatten
from envs import CHOICE_ID
from policies.base import load_policy
from policies.module_state import load_module_state


def built(policy_folder, shop_folder, workers=1, **training):
    task = {"task": f"webshop:{shop_folder}", "policy": str(policy_folder)}
    config = PPOConfig().environment(CHOICE_ID, env_config=task)
    config.training(policy=str(policy_folder), train_batch_size_per_learner=32, minibatch_size=8, num_epochs=1)
    config.training(lr=1e-3, doubt=0.0, **training)
    config.learners(learner_config_dict={FROZEN_LAYERS: 0, PRECISION: "float32"})
    config.env_runners(num_env_runners=workers, num_envs_per_env_runner=2)
    return config.debugging(seed=0, log_level="ERROR").build_algo()


def weights(algorithm):
    return algorithm.learner_group.foreach_learner(lambda learner: learner.module[DEFAULT_MODULE_ID].get_state())


def logits_of(policy, episode):
    """Of the decisions of an episode, by a policy; and those that were kept when it was played."""
    observations = {row: episode.get_observations(row) for row in range(len(episode))}
    rows = [row for row, each in observations.items() if each["mask"].sum() > 1]
    stacked = {
        name: torch.as_tensor(np.stack([observations[row][name] for row in rows])) for name in observations[rows[0]]
    }
    kept = [episode.get_extra_model_outputs(Columns.ACTION_DIST_INPUTS, row) for row in rows]
    with torch.no_grad():
        return policy(stacked)[0], torch.as_tensor(np.stack(kept))


@pytest.fixture(scope="module")
def ahead(ray_session, policy_folder, shop_folder):
    algorithm = built(policy_folder, shop_folder, sample_ahead=True)
    yield algorithm
    algorithm.stop()


def test_what_is_sampled_ahead_is_played_by_the_policy_before_the_last_update(ahead, policy_folder):
    ahead.train()
    (before,) = (result.get() for result in weights(ahead))
    result = ahead.train()
    assert result["env_runners"]["num_env_steps_sampled"] in (32, 33)
    assert ahead._ahead.done()  # nobody samples between two iterations
    (now,) = (result.get() for result in weights(ahead))
    older, newer = (load_policy(policy_folder) for _ in range(2))
    load_module_state(older, before)
    load_module_state(newer, now)
    older.precision = newer.precision = torch.float32
    episodes, _ = ahead._ahead.result()
    found, kept = logits_of(older, episodes[0])
    torch.testing.assert_close(found, kept, atol=1e-3, rtol=1e-3)
    assert not torch.allclose(logits_of(newer, episodes[0])[0], kept, atol=1e-3, rtol=1e-3)


def test_a_rollout_worker_is_repeatable_and_imports_no_compiler(ahead):
    """70 MB and 1.4 s in each: RLlib's way to a repeatable process imports it."""

    def look(runner):
        return torch.get_deterministic_debug_mode(), {"torch._dynamo", "torch._inductor", "sympy"} & sys.modules.keys()

    ahead.train()
    assert ahead.env_runner_group.foreach_env_runner(look, local_env_runner=False) == [(2, set())]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_figures_are_of_all_episodes_that_ended_in_the_iteration(ray_session, policy_folder, shop_folder, workers):
    """RLlib's own are means of the workers' means, of the last hundred, and know only the last part of an episode."""
    algorithm = built(policy_folder, shop_folder, workers)
    sampled, sample = [], algorithm._sample

    def kept():
        episodes, metrics = sample()  # the learner adds a step to each, and ends those that go on
        sampled.extend((each.id_, bool(each.is_done), each.get_return(), len(each)) for each in episodes)
        return episodes, metrics

    algorithm._sample = kept
    parts = defaultdict(list)
    try:
        for _ in range(3):
            row = flatten(algorithm.train())
            ended = []
            while sampled:
                name, done, *part = sampled.pop(0)
                parts[name].append(part)
                if done:
                    ended.append([sum(each) for each in zip(*parts.pop(name), strict=True)])
            rewards, steps = zip(*ended, strict=True)
            assert row["rollouts/num_episodes"] == len(ended) > 0
            assert row["rollouts/success"] == pytest.approx(np.mean([reward == 1 for reward in rewards]))
            assert row["rollouts/score"] == pytest.approx(100 * np.mean(rewards))
            assert row["rollouts/steps"] == pytest.approx(np.mean(steps))
            assert not [name for name in row if "episode_" in name or "global_norm" in name or "timer" in name]
    finally:
        algorithm.stop()


def test_who_goes_back_to_a_state_plays_and_learns_on_from_it(ray_session, policy_folder, shop_folder, tmp_path):
    """RLlib's learner and runners keep weights whose number is above that of those that they are given."""
    algorithm = built(policy_folder, shop_folder)

    def both():
        (learners,) = (result.get() for result in weights(algorithm))
        (runners,) = algorithm.env_runner_group.foreach_env_runner(
            lambda runner: runner.module.get_state(), local_env_runner=False
        )
        return [{name: torch.as_tensor(value) for name, value in each.items()} for each in (learners, runners)]

    def equal(some, others):
        return all(torch.equal(value, others[name]) for name, value in some.items())

    try:
        algorithm.train()
        state, then = algorithm.get_state(), both()
        path = algorithm.save_to_path(str(tmp_path / "checkpoint"))
        for back in (lambda: algorithm.set_state(state), lambda: algorithm.restore_from_path(path)):
            for _ in range(3):
                algorithm.train()
            assert not equal(then[0], both()[0])
            back()
            now = both()
            assert equal(then[0], now[0]) and equal(now[1], now[0])
            algorithm.train()
            now = both()
            assert not equal(then[0], now[0]) and equal(now[1], now[0])
    finally:
        algorithm.stop()


def test_a_state_that_is_set_does_not_learn_from_what_others_played(ahead):
    ahead.train()
    assert ahead._ahead is not None
    ahead.set_state(ahead.get_state())
    assert ahead._ahead is None
    assert ahead.train()["env_runners"]["num_env_steps_sampled"] in (32, 33)


def test_without_it_nothing_is_sampled_ahead(ray_session, policy_folder, shop_folder):
    algorithm = built(policy_folder, shop_folder)
    try:
        assert algorithm.train()["env_runners"]["num_env_steps_sampled"] in (32, 33)
        assert algorithm._ahead is None
    finally:
        algorithm.stop()
