"""GRPO's loss: by hand, and beside TRL's."""

from __future__ import annotations

import json
from math import exp, log
from pathlib import Path

import pytest
import torch

from algorithms.grpo.losses import grpo_loss

TRL = json.loads(Path(__file__).with_name("trl_losses.json").read_text())


def rows(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("case", TRL["cases"], ids=lambda case: str(case["settings"]["kl_weight"]))
def test_values_and_gradients_are_those_of_trl(case):
    """trl_losses.json was written by make_trl_losses.py, which ran TRL's trainer's own loss."""
    logits = rows(TRL["logits"]).requires_grad_()
    terms = grpo_loss(
        logits, torch.tensor(TRL["actions"]), rows(case["old_log_probability"]), rows(TRL["advantages"]),
        reference_log_probability=rows(case["reference_log_probability"]), **case["settings"],
    )  # fmt: skip
    assert terms.total.item() == pytest.approx(case["value"], rel=1e-9)
    terms.total.backward()
    torch.testing.assert_close(logits.grad, rows(case["gradient"]), rtol=1e-9, atol=1e-12)
    assert 0 < terms.clipped < 1


def test_every_term_by_hand():
    # at temperature 2 the logits (0, 2 log 3) are probabilities (1/4, 3/4): a ratio of 1.5, which the clip makes 1.2
    terms = grpo_loss(
        rows([[0.0, 2 * log(3)]]), torch.tensor([1]), rows([log(0.5)]), rows([2.0]), clip=0.2, temperature=2.0,
        entropy_weight=0.1, kl_weight=0.5, reference_log_probability=rows([log(0.6)]),
    )  # fmt: skip
    spread = -(0.25 * log(0.25) + 0.75 * log(0.75))
    k3 = 0.8 - log(0.8) - 1
    assert (terms.policy.item(), terms.clipped.item()) == (pytest.approx(-2.4), 1.0)
    assert terms.entropy.item() == pytest.approx(spread) and terms.divergence.item() == pytest.approx(k3)
    assert terms.total.item() == pytest.approx(-2.4 - 0.1 * spread + 0.5 * k3)


def test_the_divergence_is_that_of_the_paper_on_average():
    """k3 of one action is an estimate; weighted by pi over all actions it is KL(pi || pi_ref)."""
    logits, reference = rows([0.3, -1.0, 2.0]), rows([1.0, 0.5, -0.2])
    logp, reference = logits.log_softmax(0), reference.log_softmax(0)
    estimates = [
        grpo_loss(
            logits.unsqueeze(0), torch.tensor([action]), logp[[action]], rows([0.0]), clip=0.2, kl_weight=1.0,
            reference_log_probability=reference[[action]],
        ).divergence.item()
        for action in range(3)
    ]  # fmt: skip
    assert min(estimates) >= 0
    exact = sum(exp(p) * (p - q) for p, q in zip(logp.tolist(), reference.tolist(), strict=True))
    assert sum(exp(p) * k3 for p, k3 in zip(logp.tolist(), estimates, strict=True)) == pytest.approx(exact)
