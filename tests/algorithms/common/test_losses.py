"""Each loss against numbers worked out by hand."""

from __future__ import annotations

from math import exp, log

import pytest
import torch

from algorithms.common.losses import imitation_loss
from algorithms.dpo.losses import dpo_loss, ipo_loss
from algorithms.ppo.losses import kl_divergence, ppo_loss


def test_imitation_is_the_cross_entropy_over_the_available_actions():
    # softmax of (0, log 3) is (1/4, 3/4); the third action is not there
    logits = torch.tensor([[0.0, log(3), -1e9], [0.0, log(3), -1e9]])
    loss = imitation_loss(logits, torch.tensor([1, 0]))
    assert loss.item() == pytest.approx(-(log(3 / 4) + log(1 / 4)) / 2)


def test_dpo_at_the_reference_is_log_two_whatever_beta():
    margin = torch.tensor([1.5, -2.0])
    for beta in (0.05, 0.5):
        assert dpo_loss(margin, margin, beta).item() == pytest.approx(log(2))


def test_dpo_by_hand():
    # beta h = 0.5 * ((2 - 0) - (1 - 0)) = 0.5 -> -log sigma(0.5) = log(1 + e^-0.5)
    loss = dpo_loss(torch.tensor([2.0]), torch.tensor([1.0]), beta=0.5)
    assert loss.item() == pytest.approx(log(1 + exp(-0.5)))
    smoothed = dpo_loss(torch.tensor([2.0]), torch.tensor([1.0]), beta=0.5, label_smoothing=0.2)
    assert smoothed.item() == pytest.approx(0.8 * log(1 + exp(-0.5)) + 0.2 * log(1 + exp(0.5)))


def test_the_gradient_of_dpo_falls_as_the_pair_is_learnt():
    # d loss / d margin = -beta sigma(-beta h)
    margin = torch.tensor([0.0, 10.0], requires_grad=True)
    dpo_loss(margin, torch.zeros(2), beta=0.2).backward()
    expected = [-0.2 * 0.5 / 2, -0.2 / (1 + exp(2.0)) / 2]
    assert margin.grad.tolist() == pytest.approx(expected)


def test_ipo_by_hand():
    # h = (2 - 0) - (1 - 0) = 1, 1 / (2 beta) = 2 -> (1 - 2)^2 = 1, and (1 + 2)^2 = 9 for the doubted pair
    margin, reference = torch.tensor([2.0]), torch.tensor([1.0])
    assert ipo_loss(margin, reference, beta=0.25).item() == pytest.approx(1.0)
    assert ipo_loss(margin, reference, beta=0.25, label_smoothing=0.2).item() == pytest.approx(0.8 * 1 + 0.2 * 9)


@pytest.mark.parametrize("beta, doubt", [(0.1, 0.0), (1.0, 0.0), (1.0, 0.2), (3.0, 0.4)])
def test_ipo_is_least_where_its_closed_form_says(beta, doubt):
    """The margin over the reference's is drawn to (1 - 2 e) / (2 beta), from either side; that of DPO has no end."""
    reference = torch.tensor([0.5, -0.5])
    best = (1 - 2 * doubt) / (2 * beta)
    margin = (reference + best).requires_grad_()
    ipo_loss(margin, reference, beta, doubt).backward()
    assert margin.grad.tolist() == pytest.approx([0.0, 0.0], abs=1e-5)
    least = ipo_loss(margin, reference, beta, doubt).item()
    assert all(ipo_loss(margin + apart, reference, beta, doubt).item() > least for apart in (-0.3, 0.3))
    assert least == pytest.approx(doubt * (1 - doubt) / beta**2, abs=1e-6)


def test_a_margin_of_logits_is_the_margin_of_log_probabilities():
    logits = torch.tensor([[0.3, -1.2, 2.0, 0.1]])
    log_probabilities = logits.log_softmax(-1)
    assert (logits[0, 2] - logits[0, 1]).item() == pytest.approx(
        (log_probabilities[0, 2] - log_probabilities[0, 1]).item()
    )


def test_the_divergence_from_a_reference_by_hand():
    # pi = (1/4, 3/4), pi_ref = (1/2, 1/2); the third action is not there
    logits = torch.tensor([[0.0, log(3), -1e9]], requires_grad=True)
    found = kl_divergence(logits, torch.tensor([[5.0, 5.0, -1e9]]))
    assert found.item() == pytest.approx(0.25 * log(0.5) + 0.75 * log(1.5))
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
