"""What PPO's learner makes of an iteration's steps."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
import tree

from algorithms.ppo.connectors import KeepDecisions, StartValues
from algorithms.ppo.value_fit import ValueFit
from policies.base import load_policy
from rl_recsys.errors import UserError


class Episode:
    """As much of RLlib's episode as is asked for."""

    def __init__(self, reward: float, choices_left: int):
        self._reward, self._mask = reward, torch.tensor([choices_left > 0, choices_left > 1])

    def get_return(self) -> float:
        return self._reward

    def get_observations(self, index: int) -> dict:
        assert index == -1
        return {"mask": self._mask.numpy()}


@pytest.fixture
def head(policy_folder):
    return load_policy(policy_folder).value_head.requires_grad_(False)


def test_the_first_value_is_the_mean_return_of_the_episodes_that_ended(head):
    values, states = ValueFit(head, seed=0), torch.randn(5, 32)
    start = StartValues(values)
    before = head(states)
    start(batch={}, episodes=[Episode(0.0, 2)])  # cut by the sample's end: nothing is known
    torch.testing.assert_close(head(states), before)
    start(batch={}, episodes=[Episode(1.0, 0), Episode(0.5, 0), Episode(0.0, 1)])
    torch.testing.assert_close(head(states).squeeze(-1), torch.full((5,), 0.75))
    start(batch={}, episodes=[Episode(0.0, 0)])  # the first only
    torch.testing.assert_close(head(states).squeeze(-1), torch.full((5,), 0.75))


def test_values_learn_what_tells_states_apart_and_go_on_from_a_state(head, policy_folder):
    torch.manual_seed(0)
    states = torch.randn(200, 32)
    targets = (states[:, 0] > 0).float()
    values = ValueFit(head, seed=0)
    values.start([0.5])
    for _ in range(40):
        values.learn(states, targets)
    assert values.explained > 0.8 and values.loss < 0.05
    assert not any(parameter.requires_grad for parameter in head.parameters())

    # A run that goes on makes its module first, gives it the weights, and then the state.
    state, weights = pickle.loads(pickle.dumps((values.get_state(), head.state_dict())))
    other = load_policy(policy_folder).value_head.requires_grad_(False)
    again = ValueFit(other, seed=0)
    other.load_state_dict(weights)
    again.set_state(state)
    again.start([0.0])
    again.learn(states, targets)
    assert again.loss < 0.05, "a run that goes on forgot its values"
    moments = again._optimizer.state_dict()["state"][0]
    assert moments["step"] > 40 * 4, "a run that goes on forgot how far its optimizer was"


def test_the_state_is_no_tensor_of_a_device(head):
    values = ValueFit(head, seed=0)
    values.start([1.0])
    values.learn(torch.randn(8, 32), torch.rand(8))
    leaves = tree.flatten(values.get_state())
    assert any(isinstance(leaf, np.ndarray) for leaf in leaves)
    assert not any(isinstance(leaf, torch.Tensor) for leaf in leaves)


def rows(likely: list[float]) -> dict:
    count = len(likely)
    return {
        "default_policy": {
            "obs": {"mask": torch.ones(count, 2), "state": torch.arange(count)[:, None]},
            "advantages": torch.arange(float(count)),
            "action_dist_inputs": torch.stack([torch.tensor(likely), 1 - torch.tensor(likely)], 1).log(),
        }
    }


def test_what_was_in_no_doubt_is_not_learnt_from():
    likely = [0.5, 0.999, 0.98, 0.0001, 0.2]  # of the first of two actions, whichever was drawn
    keep = KeepDecisions(doubt=0.01)
    kept = keep(rl_module=None, batch=rows(likely), episodes=[])["default_policy"]
    order = kept["obs"]["state"].flatten()
    assert sorted(order.tolist()) == [0, 2, 4]
    assert keep.kept_share == pytest.approx(0.6)
    # Advantages are standardised over all decisions, so what is left out changes nothing for those that stay.
    torch.testing.assert_close(kept["advantages"], ((torch.arange(5.0) - 2) / torch.arange(5.0).std())[order])
    everything = KeepDecisions()(rl_module=None, batch=rows(likely), episodes=[])["default_policy"]
    assert len(everything["advantages"]) == 5


def test_what_stays_comes_in_a_drawn_order_with_all_that_belongs_to_it():
    """RLlib makes the first epoch's minibatches of rows as they come, which is the order of the pages."""
    torch.manual_seed(0)
    orders = []
    for _ in range(2):
        kept = KeepDecisions()(rl_module=None, batch=rows([0.5] * 50), episodes=[])["default_policy"]
        orders.append(kept["obs"]["state"].flatten().tolist())
        assert torch.equal(kept["advantages"].argsort(), kept["obs"]["state"].flatten().argsort())
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(50))
    assert orders[0] != orders[1] and list(range(50)) not in orders


def test_a_batch_is_never_smaller_than_asked_while_there_are_rows():
    likely = [0.999, 0.9999, 0.998, 1.0]
    kept = KeepDecisions(doubt=0.01, least=2)(rl_module=None, batch=rows(likely), episodes=[])["default_policy"]
    assert sorted(kept["obs"]["state"].flatten().tolist()) == [0, 2]
    kept = KeepDecisions(doubt=0.01, least=9)(rl_module=None, batch=rows(likely), episodes=[])["default_policy"]
    assert len(kept["advantages"]) == 4
    nothing = rows([0.5])
    nothing["default_policy"]["obs"]["mask"][:] = 0
    with pytest.raises(UserError, match="no step of this iteration was a choice"):
        KeepDecisions(doubt=0.01)(rl_module=None, batch=nothing, episodes=[])
