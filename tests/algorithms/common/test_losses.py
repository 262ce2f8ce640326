"""Imitation's and PPO's losses against numbers worked out by hand."""

from __future__ import annotations

from math import log

import pytest
import torch

from algorithms.common.losses import imitation_loss, kl_divergence
from algorithms.ppo.losses import ppo_loss


def test_imitation_is_the_cross_entropy_over_the_available_actions():
    # softmax of (0, log 3) is (1/4, 3/4); the third action is not there
    logits = torch.tensor([[0.0, log(3), -1e9], [0.0, log(3), -1e9]])
    loss = imitation_loss(logits, torch.tensor([1, 0]))
    assert loss.item() == pytest.approx(-(log(3 / 4) + log(1 / 4)) / 2)


def test_the_divergence_from_a_reference_by_hand():
    # pi = (1/4, 3/4), pi_ref = (1/2, 1/2); the third action is not there
    logits = torch.tensor([[0.0, log(3), -1e9]], requires_grad=True)
    found = kl_divergence(logits, torch.tensor([[5.0, 5.0, -1e9]]))
    assert found.shape == (1,) and found.item() == pytest.approx(0.25 * log(0.5) + 0.75 * log(1.5))
    assert kl_divergence(logits, logits).item() == pytest.approx(0.0, abs=1e-6)
    found.backward()
    assert torch.isfinite(logits.grad).all() and logits.grad[0, 1] > 0 > logits.grad[0, 0]


def terms(**changes):
    values = {
        "logits": torch.tensor([[0.0, log(3.0)]]),  # probabilities 1/4, 3/4
        "actions": torch.tensor([1]),
        "old_log_probability": torch.tensor([log(0.5)]),  # ratio 1.5
        "advantages": torch.tensor([2.0]),
    } | changes
    return ppo_loss(**values, clip=0.2, entropy_weight=0.1)


def test_ppo_by_hand():
    found = terms()
    entropy = -(0.25 * log(0.25) + 0.75 * log(0.75))
    assert found.policy.item() == pytest.approx(-1.2 * 2)  # the ratio 1.5 is clipped to 1.2
    assert found.entropy.item() == pytest.approx(entropy)
    assert found.total.item() == pytest.approx(-2.4 - 0.1 * entropy)
    assert found.clipped.item() == 1.0


def test_ppo_does_not_clip_what_makes_a_bad_action_likelier():
    assert terms(advantages=torch.tensor([-2.0])).policy.item() == pytest.approx(1.5 * 2)


def test_the_clipped_ratio_has_no_gradient():
    logits = torch.tensor([[0.0, log(3.0)]], requires_grad=True)
    terms(logits=logits).policy.backward()
    assert logits.grad.abs().max().item() == 0.0


def test_unavailable_actions_add_nothing_to_the_entropy():
    masked = terms(logits=torch.tensor([[0.0, log(3.0), -1e9]]))
    assert masked.entropy.item() == pytest.approx(terms().entropy.item())
