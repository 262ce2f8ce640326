"""A policy of nan chooses nothing, whatever else is imported: each place that chooses by it says so by itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.models.torch.torch_distributions import TorchCategorical
from torch.distributions import Distribution

from algorithms.common.reference import Reference
from policies.base import Policy, load_policy
from policies.bert_choice.model import BertChoice
from policies.branches import branched_episodes
from policies.logits import require_finite
from policies.module_state import module_state
from policies.play import choice_probabilities, policy_episodes
from policies.recommender import recommend
from policies.rllib import PolicyModule, module_spec
from rl_recsys.core.decision import Decision
from rl_recsys.core.policy_folder import PolicyError
from rl_recsys.core.trajectory import Step
from rl_recsys.webshop.task import WebShop

NO_CHOICE = "the policy gives an action a logit that is no finite number"


@pytest.fixture(autouse=True)
def unchecked_distributions():
    """As importing torchrl leaves the process: no distribution of torch looks at its parameters."""
    Distribution.set_default_validate_args(False)
    yield
    Distribution.set_default_validate_args(__debug__)


@pytest.fixture(params=[torch.nan, torch.inf])
def broken(request, policy_folder) -> BertChoice:
    policy = load_policy(policy_folder)
    with torch.no_grad():
        policy.scorer.output[-1].bias.fill_(request.param)
    return policy


@pytest.fixture
def decision(task) -> Decision:
    session = task.session(0)
    session.choose(0)
    assert len(session.decision.choices) > 1
    return session.decision


PLAYERS: dict[str, Callable[[Policy, WebShop, Decision], object]] = {
    "the best action": lambda policy, task, _: list(policy_episodes(policy, task, [3], greedy=True)),
    "a drawn action": lambda policy, task, _: list(policy_episodes(policy, task, [3], greedy=False)),
    "branches": lambda policy, task, _: list(branched_episodes(policy, task, 3, size=2, author="me")),
    "a recommendation": lambda policy, task, _: list(recommend(policy, task, ["a red shirt"], episodes=2)),
    "probabilities": lambda policy, _, decision: choice_probabilities(policy, [decision]),
}


@pytest.mark.parametrize("player", PLAYERS)
def test_nothing_is_played_by_a_policy_of_nan(broken, task, decision, player):
    with pytest.raises(PolicyError, match=f"{broken.name}: {NO_CHOICE}.*copy it again, or train"):
        PLAYERS[player](broken, task, decision)


def rows_of(policy: Policy, decision: Decision) -> dict[str, torch.Tensor]:
    return {name: torch.as_tensor(array)[None] for name, array in policy.decision_encoder.encode(decision).items()}


@pytest.mark.parametrize("forward", ["forward_inference", "forward_exploration"])
def test_rllib_is_given_no_logits_of_nan(broken, decision, forward):
    spec = module_spec(broken.architecture())
    module = PolicyModule(model_config=spec.model_config)
    module.set_state(module_state(broken))
    with pytest.raises(PolicyError, match=f"the policy in training: {NO_CHOICE}"):
        getattr(module, forward)({Columns.OBS: rows_of(broken, decision)})
    # Without that, RLlib takes an action, and says nothing:
    likely = TorchCategorical.from_logits(torch.full((1, 4), torch.nan)).to_deterministic()
    assert likely.sample().tolist() == [0]


def test_no_preference_is_drawn_from_a_reference_of_nan(broken, decision):
    choices = decision.choices
    step = Step(
        "", "", decision.state, tuple(one.action for one in choices), tuple(one.text for one in choices),
        tuple(one.kind for one in choices), 0,
    )  # fmt: skip
    with pytest.raises(PolicyError, match=f"{broken.name}: {NO_CHOICE}"):
        Reference(broken).logits([step])


def test_a_good_policy_is_not_kept_from_choosing(policy_folder, task):
    played = list(policy_episodes(load_policy(policy_folder), task, [3], greedy=True))
    assert len(played) == 1
    logits = torch.tensor([[0.0, -1e9], [np.finfo(np.float32).max, 1.0]])
    assert require_finite(logits, "mine") is logits
