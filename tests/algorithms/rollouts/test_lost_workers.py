"""Rollout workers that die or hang: others take their place and play the same, with the right weights."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
import ray

from algorithms.rollouts.goal_sampler import GoalsInTurn
from algorithms.rollouts.pool import RolloutPool
from policies.base import load_policy
from policies.module_state import module_state
from rl_recsys.webshop import shared_shop
from tests.algorithms.runs.test_training_run import ppo

pytestmark = pytest.mark.usefixtures("ray_session")
HANG_S = 20.0  # Java starts within it on a loaded machine


# What runs in a worker is defined inside functions: a worker cannot import this file.


def test_ppos_workers_are_replaced_and_get_the_learners_weights(policy_folder, shop_folder):
    def weights_of(module) -> np.ndarray:
        return np.concatenate([tensor.numpy().ravel() for tensor in module.model.encoder.state_dict().values()])

    def weights_of_runner(runner):
        return os.getpid(), weights_of(runner.module)

    algorithm = ppo(policy_folder, shop_folder).training(hang_s=HANG_S).build_algo()
    try:
        algorithm.train()
        runners = algorithm.env_runner_group
        before = set(runners.foreach_env_runner(lambda runner: os.getpid(), local_env_runner=False))
        os.kill(min(before), signal.SIGKILL)

        def hang_at_the_next_search(runner):
            if os.getpid() != min(before):
                shared_shop(str(shop_folder)).hits = lambda query: time.sleep(1e6)

        runners.foreach_env_runner(hang_at_the_next_search, local_env_runner=False)
        deadline = time.monotonic() + 240
        while True:
            assert time.monotonic() < deadline, "the workers were not replaced"
            algorithm.train()
            found = runners.foreach_env_runner(weights_of_runner, local_env_runner=False)
            if len(found) == 2 and not before & {pid for pid, _ in found}:
                break
        learnt = algorithm.learner_group._learner.module["default_policy"].unwrapped()
        for _, weights in found:
            np.testing.assert_array_equal(weights, weights_of(learnt))
    finally:
        algorithm.stop()


def test_a_pools_lost_and_hanging_workers_play_the_same_episodes(policy_folder, task):
    goals = [(goal, draw) for goal in range(20) for draw in range(4)]
    changed = module_state(load_policy(policy_folder))
    changed = {name: 1.1 * value for name, value in changed.items()}
    with RolloutPool(task, num_workers=2, hang_s=HANG_S) as pool:
        expected = list(pool.trajectories(policy_folder, goals, seed=3))
        groups = pool.groups(policy_folder, GoalsInTurn(range(20), 3), size=4, seed=3)
        groups.publish(changed)
        played = [next(groups) for _ in range(8)]
        groups.close()
        first, second = pool._workers

        def hang_at_the_next_search(worker):
            worker._task.shop.hits = lambda query: time.sleep(1e6)

        os.kill(ray.get(first.__ray_call__.remote(lambda worker: os.getpid())), signal.SIGKILL)
        ray.get(second.__ray_call__.remote(hang_at_the_next_search))
        assert list(pool.trajectories(policy_folder, goals, seed=3)) == expected
        # A worker that was started again has the weights of the task, not those of the folder.
        groups = pool.groups(policy_folder, GoalsInTurn(range(20), 3), size=4, seed=3)
        groups.publish(changed)
        os.kill(ray.get(second.__ray_call__.remote(lambda worker: os.getpid())), signal.SIGKILL)
        assert [next(groups) for _ in range(8)] == played
        groups.close()
    assert [episode.reward for group in played for episode in group] != [episode.reward for episode in expected[:32]]
