"""A pool of rollout workers: what they play is the same wherever it is played, and none runs far ahead."""

from __future__ import annotations

import itertools
import threading
import time

import numpy as np
import pytest
import ray

from algorithms.cluster.connection import ClusterError
from algorithms.rollouts import pool as rollouts
from algorithms.rollouts.goal_sampler import GoalsInTurn
from algorithms.rollouts.pool import RolloutPool
from policies.base import load_policy
from policies.module_state import module_state
from policies.play import policy_episodes
from rl_recsys.errors import UserError

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def pool(ray_session, task):
    """Two workers for all tests here: one takes longer to start than a test does."""
    with RolloutPool(task, num_workers=2) as pool:
        yield pool


def test_outcomes_do_not_depend_on_where_a_goal_is_played(pool, policy_folder, task):
    goals = list(range(40))
    model = load_policy(policy_folder)
    alone = [next(policy_episodes(model, task, [goal], greedy=False, seed=3)) for goal in goals[:10]]
    counted = []
    spread = pool.play(policy_folder, goals, greedy=False, seed=3, progress=counted.append)
    assert [outcome.goal for outcome in spread] == goals and sum(counted) == 40
    assert spread[:10] == alone
    assert {outcome.steps for outcome in pool.play("rule", goals)} == {3}
    assert len({outcome.steps for outcome in pool.play("heuristic", goals)}) > 1
    mixed = [("rule", 5, 0), (policy_folder, 7, 0), ("rule", 6, 0), (policy_folder, 7, 1), (policy_folder, 8, 0)]
    each = pool.play_each(mixed, greedy=False, seed=3)
    assert [outcome.goal for outcome in each] == [5, 7, 6, 7, 8]
    assert [each[1], each[4]] == spread[7:9] and each[0].steps == each[2].steps == 3
    pairs = [(goal, draw) for goal in range(9) for draw in range(5)]
    episodes = list(pool.trajectories(policy_folder, pairs, seed=3))
    assert [episode.goal_index for episode in episodes] == [goal for goal, _ in pairs]
    assert [episode.reward for episode in episodes[::5]] == [outcome.reward for outcome in spread[:9]]
    assert len({episode.steps for episode in episodes[:5]}) > 1
    # Begun anywhere, they are the same: what a job that was killed goes on with.
    assert list(pool.trajectories(policy_folder, pairs[7:], seed=3)) == episodes[7:]
    # Weights are told apart among all that are published, by whatever groups.
    changed = {name: 1.5 * value for name, value in module_state(model).items()}
    played = []
    for state in (changed, module_state(model)):
        groups = pool.groups(policy_folder, GoalsInTurn(range(9), 3), size=8, seed=3)
        groups.publish(state)
        played.append(next(groups))
        groups.close()
    pairs = [(played[0][0].goal_index, draw) for draw in range(8)]
    assert played[1] == list(pool.trajectories(policy_folder, pairs, seed=3)) != played[0]
    # With the probabilities that they were sampled with they are the same episodes.
    groups = pool.sampled_groups(policy_folder, GoalsInTurn(range(9), 3), size=8, temperature=1.0, seed=3)
    groups.publish(module_state(model))
    first, _ = groups.of_now(2)
    assert [each.trajectory for each in first] == played[1] and not groups.get_state()["asked"]
    assert all((each.log_probabilities <= np.log(each.likeliest) + 1e-9).all() for each in first)
    with pytest.raises(ClusterError, match=r"CPU: 99 needed"):
        RolloutPool(task, num_workers=99)
    with pytest.raises(UserError, match="0 rollout workers"):
        RolloutPool(task, num_workers=0)


def test_a_worker_that_hangs_lets_the_others_play_only_so_far_ahead(pool, policy_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(rollouts, "CHUNK", 1)
    monkeypatch.setattr(rollouts, "TASKS_AHEAD", 3)
    asked = []
    endless = (asked.append(place) or (place % 9, 0) for place in itertools.count())
    gate = tmp_path / "gate"
    slow, fast = pool._workers

    def hang_at_the_next_search(worker):
        import time

        hits = worker._task.shop.hits

        def late(query):
            while not gate.exists():
                time.sleep(0.05)
            return hits(query)

        worker._task.shop.hits = late

    # The first task goes to the last worker.
    ray.get([slow.__ray_call__.remote(lambda worker: None), fast.__ray_call__.remote(hang_at_the_next_search)])
    episodes = pool.trajectories(policy_folder, endless, seed=3)
    first = threading.Thread(target=next, args=(episodes,))
    first.start()
    deadline = time.monotonic() + 60
    while len(asked) < 6:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    ray.get([slow.__ray_call__.remote(lambda worker: None)] * 5)  # what it was given is played
    assert len(asked) == 6
    gate.touch()
    first.join()
    assert [next(episodes).goal_index for _ in range(12)] == [place % 9 for place in range(1, 13)]
