"""The two-tower policy on RecoGym's users."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from policies.base import PolicyError, load_policy
from policies.play import policy_episodes
from policies.two_tower import TwoTower
from rl_recsys.core.play import baseline_episodes
from rl_recsys.core.task import open_task
from rl_recsys.core.trajectory import read_trajectories
from tests.jobs.test_jobs import main_of

PLACE = "recogym:v1,num_products=20,number_of_flips=10,sigma_mu_organic=0.1,users=400,test_users=40"


@pytest.fixture(scope="module")
def world():
    return open_task(PLACE)


def expected_rate(outcomes) -> float:
    return float(np.mean([outcome.parts["click_probability"] for outcome in outcomes]))


def test_a_fresh_one_recommends_what_was_seen_most(world):
    goals = list(world.split("test"))[::10]
    policy = TwoTower.fresh(world)
    played = list(policy_episodes(policy.eval(), world, goals, greedy=True))
    assert expected_rate(played) == pytest.approx(expected_rate(baseline_episodes(world, goals, "most-seen")))


def test_columns_and_all_of_them_are_alike(world):
    policy = TwoTower.fresh(world, width=3)
    torch.nn.init.normal_(policy.products.weight)
    encoder = policy.decision_encoder
    arrays = encoder.encode_all([world.session(goal).decision for goal in (0, 50, 99)])
    whole, states = policy({name: torch.as_tensor(array) for name, array in arrays.items()})
    columns = np.array([[3, 1], [0, 19], [7, 8]])
    chosen = encoder.select(arrays, columns)
    some, _ = policy({name: torch.as_tensor(array) for name, array in chosen.items()})
    assert torch.equal(some, whole.gather(1, torch.as_tensor(columns))) and states.shape == (3, 3)


def test_its_folder_is_read_again_and_a_damaged_one_named(world, tmp_path):
    policy = TwoTower.fresh(world)
    policy.save_pretrained(tmp_path / "policy")
    again = load_policy(tmp_path / "policy")
    assert again.config == policy.config and again.decision_encoder.reads == ("recogym", 1)
    with pytest.raises(PolicyError, match="two_tower' has no setting 'depth'; it has width"):
        from policies.base import fresh_policy

        fresh_policy("two_tower", world, {"depth": 2})


def test_it_learns_from_views_and_then_from_clicks(world, tmp_path, capsys, ray_session):
    """By the jobs as they are: imitation of what is viewed next, then DPO of clicked against unclicked."""
    flags = "--task", PLACE, "--num-workers", 1, "--evaluate-every", 0, "--head-rate", 1, "--frozen-layers", 0
    main_of("demonstrate", capsys)("--task", PLACE, "--trajectories", 600, "--out", tmp_path / "views")
    assert len(list(read_trajectories(tmp_path / "views"))) == 600
    main_of("imitate", capsys)(
        *flags, "--trajectories", tmp_path / "views", "--minimum-reward", 0, "--policy-type", "two_tower",
        "--iterations", 2, "--updates", 60, "--batch", 64, "--learning-rate", 0.003, "--out", tmp_path / "imitation",
    )  # fmt: skip
    main_of("dpo", capsys)(
        *flags, "--policy", tmp_path / "imitation" / "policy", "--preferences", "rollouts", "--group-size", 16,
        "--iterations", 2, "--updates", 10, "--batch", 32, "--learning-rate", 0.003, "--beta", 0.3,
        "--out", tmp_path / "dpo",
    )  # fmt: skip
    goals = world.split("test")
    imitated = load_policy(tmp_path / "imitation" / "policy")
    random = expected_rate(baseline_episodes(world, goals, "random"))
    assert expected_rate(policy_episodes(imitated, world, goals, greedy=True)) > 1.1 * random
    rows = [json.loads(line) for line in (tmp_path / "dpo" / "result.json").read_text().splitlines()]
    assert rows[-1]["learners/preference_accuracy"] > 0.6 and 0.0 < rows[-1]["learners/unequal_share"] < 0.9
    assert load_policy(tmp_path / "dpo" / "policy").seen != imitated.seen
