"""GRPO and GiGPO in a small world: what they reach, what they learn from, and that a run can be gone on with."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from algorithms.common.learner import FROZEN_LAYERS, HEAD_RATE, PRECISION
from algorithms.grpo import GiGPOConfig, GRPOConfig, algorithm
from algorithms.runs.training_run import current_policy, flatten
from policies.base import fresh_policy, load_policy
from policies.play import policy_episodes
from rl_recsys.core.task import open_task
from rl_recsys.errors import UserError

MENU = "menu:60"


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A policy that knows nothing."""
    torch.manual_seed(0)
    policy = fresh_policy("linear", open_task(MENU), {"choices": 12})
    policy.save_pretrained(tmp_path_factory.mktemp("start") / "policy", training={})
    return policy


@pytest.fixture
def built(tmp_path, start):
    """Makes an algorithm that starts from a policy, by default from one that knows nothing."""
    made = []

    def build(kind=GRPOConfig, policy=start, num_learners=0, **training):
        folder = tmp_path / f"policy-{len(made)}"
        policy.save_pretrained(folder, training={})
        config = kind().training(policy=str(folder), task=MENU, rollout_workers=0, lr=0.05)
        config.training(**{"groups": 6, "group_size": 6, "minibatch_size": 16} | training)
        settings = {FROZEN_LAYERS: 0, PRECISION: "float32", HEAD_RATE: 1.0}
        config.learners(num_learners=num_learners, learner_config_dict=settings)
        made.append(config.debugging(seed=0, log_level="ERROR").build_algo())
        return made[-1]

    yield build
    for each in made:
        each.stop()


def weights(algorithm) -> np.ndarray:
    (state,) = algorithm.learner_group.get_weights().values()
    return np.concatenate([np.ravel(state[name]) for name in sorted(state)])


def reward(policy, **options) -> float:
    task = open_task(MENU)
    return float(np.mean([each.reward for each in policy_episodes(policy, task, task.split("test"), **options)]))


@pytest.mark.parametrize("kind", [GRPOConfig, GiGPOConfig])
def test_the_policy_gets_better(built, start, kind):
    algorithm = built(kind, groups=8, group_size=8)
    rows = [flatten(algorithm.train()) for _ in range(8)]
    learnt = current_policy(algorithm)
    assert reward(start, greedy=False) < 0.25 and reward(learnt, greedy=False) > 0.5
    assert rows[-1]["rollouts/score"] > rows[0]["rollouts/score"] + 30
    assert rows[-1]["rollouts/num_episodes"] == 64 and rows[-1]["learners/skipped_updates"] == 0
    assert type(algorithm).__name__ == kind.__name__.removesuffix("Config")


def test_gigpo_learns_otherwise_by_its_weight_alone(built):
    found = [built(GRPOConfig), built(GiGPOConfig, step_weight=0.0), built(GiGPOConfig)]
    for each in found:
        each.train()
    grpo, unweighted, gigpo = map(weights, found)
    np.testing.assert_array_equal(grpo, unweighted)
    assert not np.allclose(grpo, gigpo)


def test_groups_in_which_all_earn_alike_drop_out(built, start, monkeypatch):
    never_orders = fresh_policy("linear", open_task(MENU), {"choices": 12})
    never_orders.load_state_dict(start.state_dict())
    with torch.no_grad():
        never_orders.weights.weight[0, 2] = -50.0  # of what is of the last kind: to order
    monkeypatch.setattr(algorithm, "BARREN_GROUPS", 13)
    grpo = built(policy=never_orders, group_size=2, kl_weight=1.0)
    before = weights(grpo)
    for _ in range(2):
        row = flatten(grpo.train())
        assert row["learners/unequal_share"] == 0 and row["rollouts/num_episodes"] == 12
        assert row["rollouts/score"] == 0 and "learners/updates" not in row
    np.testing.assert_array_equal(weights(grpo), before)
    with pytest.raises(UserError, match="in 18 groups one after the other all episodes earned alike"):
        grpo.train()


def test_an_iteration_without_a_difference_reports_no_loss_and_the_next_goes_on(built):
    """What was logged before and is not in an iteration is nan to RLlib, and a loss of nan ends runs."""
    grpo = built(groups=12, group_size=3)
    learnt = grpo.learner_group.get_weights()
    assert "learners/policy_loss" in flatten(grpo.train())
    ((module, state),) = learnt.items()
    never_orders = {name: np.array(array) for name, array in state.items()}
    never_orders["model.weights.weight"][0, 2] = -50.0
    grpo.learner_group.set_weights({module: never_orders})
    grpo._publish()
    row = flatten(grpo.train())
    assert row["learners/unequal_share"] == 0 and not [name for name in row if name.endswith("_loss")]
    assert not [name for name, value in row.items() if math.isnan(value)]
    grpo.learner_group.set_weights(learnt)
    grpo._publish()
    assert flatten(grpo.train())["learners/updates"] > 0


def test_a_part_of_the_groups_is_learnt_from(built, monkeypatch):
    """What is handed to the advantages are the groups that differ, and all of their steps."""
    grpo, seen = built(groups=12, group_size=3), []
    advantages = grpo.advantages
    monkeypatch.setattr(grpo, "advantages", lambda groups: seen.append(groups) or advantages(groups))
    row = flatten(grpo.train())
    (groups,) = seen
    assert 0 < len(groups) < 12 and row["learners/unequal_share"] == pytest.approx(len(groups) / 12)
    assert all(len({each.reward for each in group}) > 1 for group in groups)
    steps = sum(len(step.choices) > 1 for group in groups for each in group for step in each.steps)
    assert row["learners/updates"] == -(-2 * steps // 16)  # two epochs, of which no page is in no doubt


def test_an_iteration_after_a_restore_is_the_one_that_would_have_been(built, tmp_path):
    first = built(GiGPOConfig, kl_weight=0.1, entropy_coeff=0.01)
    first.train()
    state, path = first.get_state(), first.save_to_path(str(tmp_path / "checkpoint"))
    first.train()
    expected = weights(first)
    second = built(GiGPOConfig, kl_weight=0.1, entropy_coeff=0.01)
    second.restore_from_path(path)
    second.train()
    np.testing.assert_array_equal(weights(second), expected)
    first.train()
    first.set_state(state)  # and back
    row = flatten(first.train())
    np.testing.assert_array_equal(weights(first), expected)
    assert row["learners/kl"] > 0 and row["learners/kept_share"] == 1


def test_workers_play_what_this_process_would(built, ray_session):
    local, remote = built(), built(rollout_workers=2)
    for _ in range(2):  # in the second with the weights that were learnt in the first
        rows = [flatten(each.train()) for each in (local, remote)]
        np.testing.assert_allclose(weights(local), weights(remote), atol=1e-6)
        assert rows[0]["rollouts/score"] == rows[1]["rollouts/score"] and rows[0]["rollouts/num_episodes"] == 36


def test_updates_end_the_learning(built):
    grpo = built()
    grpo.learner_group.foreach_learner(lambda learner: setattr(learner, "_last_update", 3))
    grpo.train()
    assert flatten(grpo.train())["learners/updates"] == 3


def test_a_config_says_what_is_missing(start, tmp_path):
    folder = tmp_path / "policy"
    start.save_pretrained(folder, training={})
    with pytest.raises(ValueError, match="policy is not set"):
        GRPOConfig().validate()
    with pytest.raises(ValueError, match="task is not set"):
        GRPOConfig().training(policy=str(folder)).learners(learner_config_dict={FROZEN_LAYERS: 0}).validate()
    for given in ({"groups": 0}, {"temperature": 0.0}, {"group_size": 1}, {"step_weight": -1.0}):
        with pytest.raises(ValueError, match=next(iter(given))):
            GiGPOConfig().training(**given)
    assert load_policy(folder).policy_type == "linear"
