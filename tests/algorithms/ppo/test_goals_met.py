"""How many different goals a run meets."""

from __future__ import annotations

import pytest
import ray

from algorithms.common.learner import FROZEN_LAYERS
from algorithms.ppo import PPOConfig
from algorithms.ppo.env_runner import WatchedEnvRunner
from algorithms.rollouts.goal_sampler import later_seed
from envs import CHOICE_ID, register_with_ray

EPISODES = 60


def config_of(policy_folder, shop_folder, workers=1, environments=1):
    register_with_ray()  # as a config does that an algorithm is built of: else workers are not told their number
    task_of = {"task": f"webshop:{shop_folder}", "policy": str(policy_folder)}
    config = PPOConfig().environment(CHOICE_ID, env_config=task_of).training(policy=str(policy_folder))
    config.learners(learner_config_dict={FROZEN_LAYERS: 0})
    return config.env_runners(num_env_runners=workers, num_envs_per_env_runner=environments)


def begun(episodes):
    """The goals of those that are not the rest of an earlier sample's."""
    return [episode.get_infos(0)["instruction_text"] for episode in episodes if episode.t_started == 0]


def goals_met(config, worker, workers):
    """Those of the episodes that a rollout worker begins."""
    runner, met = WatchedEnvRunner(config=config, worker_index=worker, num_workers=workers), []
    while len(met) < EPISODES / workers:
        met += begun(runner.sample(num_timesteps=50, random_actions=True))
    runner.stop()
    return met


@pytest.mark.parametrize(("workers", "environments", "least"), [(1, 1, 1.0), (1, 8, 0.95), (3, 1, 1.0), (3, 8, 0.95)])
@pytest.mark.parametrize("done", [0, 5])
def test_most_episodes_are_of_goals_that_were_not_met_before(
    policy_folder, shop_folder, task, workers, environments, least, done
):
    """RLlib seeds the environments of a worker alike but for their number, and again at every restart of a run."""
    config = config_of(policy_folder, shop_folder, workers, environments)
    config.debugging(seed=later_seed(0, done))
    met = [text for worker in range(1, workers + 1) for text in goals_met(config, worker, workers)]
    possible = min(len(met), len(task.split("train")))
    assert len(set(met)) >= least * possible


def test_a_worker_in_the_place_of_a_lost_one_begins_with_other_goals(ray_session, policy_folder, shop_folder):
    """RLlib gives it the lost one's seed."""
    config = config_of(policy_folder, shop_folder).debugging(seed=0)
    worker = ray.remote(WatchedEnvRunner).options(max_restarts=1, max_task_retries=1).remote(
        config=config, worker_index=1, num_workers=1
    )  # fmt: skip
    sample = {"num_timesteps": 60, "random_actions": True}
    first = begun(ray.get(worker.sample.remote(**sample)))
    ray.kill(worker, no_restart=False)
    second = begun(ray.get(worker.sample.remote(**sample)))
    ray.kill(worker)
    assert len(first) > 3 < len(second) and first[:3] != second[:3]
