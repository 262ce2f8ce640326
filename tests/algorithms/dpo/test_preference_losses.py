"""Each preference loss: by hand, beside TRL's, and what must hold for any pairs."""

from __future__ import annotations

import json
from dataclasses import replace
from math import exp, log
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from algorithms.dpo import losses
from algorithms.dpo.losses import dpo_loss, ipo_loss, kto_loss, simpo_loss
from algorithms.dpo.pairs import Pairs

TRL = json.loads(Path(__file__).with_name("trl_losses.json").read_text())
SETTINGS = {
    dpo_loss: {"beta": 0.5, "label_smoothing": 0.0},
    ipo_loss: {"beta": 0.5, "label_smoothing": 0.0},
    kto_loss: {"beta": 0.5, "lambda_d": 1.2, "lambda_u": 0.7},
    simpo_loss: {"beta": 2.0, "gamma": 1.0, "label_smoothing": 0.0},
}


def sigma(x: float) -> float:
    return 1 / (1 + exp(-x))


def pairs_of(policy, reference=None, lengths=None, divergence=None) -> Pairs:
    """Pairs from lists of (preferred, rejected), in double precision; by default at a reference of zeros, one long."""
    policy = torch.tensor(policy, dtype=torch.float64)
    others = (
        default if values is None else torch.tensor(values, dtype=torch.float64)
        for values, default in (
            (reference, torch.zeros_like(policy)),
            (lengths, torch.ones_like(policy)),
            (divergence, torch.zeros_like(policy)),
        )
    )
    return Pairs(policy, *others)


def gradient(loss, pairs: Pairs, **changes) -> torch.Tensor:
    """d loss / d log pi [B, 2]."""
    leaf = pairs.policy.clone().requires_grad_()
    loss(replace(pairs, policy=leaf), **SETTINGS[loss] | changes).backward()
    return leaf.grad


@pytest.mark.parametrize("case", TRL["cases"], ids=lambda case: f"{case['loss']}-{case['settings']['beta']}")
def test_values_and_gradients_are_those_of_trl(case):
    """trl_losses.json was written by make_trl_losses.py, which ran TRL's functions."""
    pairs, loss = pairs_of(**TRL["pairs"]), getattr(losses, f"{case['loss']}_loss")
    assert loss(pairs, **case["settings"]).item() == pytest.approx(case["value"], rel=1e-9)
    expected = torch.tensor(case["gradient"], dtype=torch.float64)
    torch.testing.assert_close(gradient(loss, pairs, **case["settings"]), expected, rtol=1e-9, atol=1e-12)


def test_trl_was_asked_for_every_loss_and_for_sides_of_unequal_length():
    assert {case["loss"] for case in TRL["cases"]} == {"dpo", "ipo", "kto", "simpo"}
    assert any(preferred != rejected for preferred, rejected in TRL["pairs"]["lengths"])


def test_dpo_at_the_reference_is_log_two_whatever_beta():
    pairs = pairs_of([[1.5, 0.0], [-2.0, 0.0]], [[1.5, 0.0], [0.0, 2.0]])
    for beta in (0.05, 0.5):
        assert dpo_loss(pairs, beta=beta, label_smoothing=0.0).item() == pytest.approx(log(2))


def test_dpo_by_hand():
    # beta h = 0.5 * ((2 - 0) - (1 - 0)) = 0.5 -> -log sigma(0.5) = log(1 + e^-0.5)
    pairs = pairs_of([[2.0, 0.0]], [[1.0, 0.0]])
    assert dpo_loss(pairs, beta=0.5, label_smoothing=0.0).item() == pytest.approx(log(1 + exp(-0.5)))
    smoothed = dpo_loss(pairs, beta=0.5, label_smoothing=0.2)
    assert smoothed.item() == pytest.approx(0.8 * log(1 + exp(-0.5)) + 0.2 * log(1 + exp(0.5)))


def test_the_gradient_of_dpo_falls_as_the_pair_is_learnt():
    # d loss / d margin = -beta sigma(-beta h)
    found = gradient(dpo_loss, pairs_of([[0.0, 0.0], [10.0, 0.0]]), beta=0.2)
    expected = [-0.2 * 0.5 / 2, -0.2 / (1 + exp(2.0)) / 2]
    assert found[:, 0].tolist() == pytest.approx(expected)


def test_ipo_by_hand():
    # h = (2 - 0) - (1 - 0) = 1, 1 / (2 beta) = 2 -> (1 - 2)^2 = 1, and (1 + 2)^2 = 9 for the doubted pair
    pairs = pairs_of([[2.0, 0.0]], [[1.0, 0.0]])
    assert ipo_loss(pairs, beta=0.25, label_smoothing=0.0).item() == pytest.approx(1.0)
    assert ipo_loss(pairs, beta=0.25, label_smoothing=0.2).item() == pytest.approx(0.8 * 1 + 0.2 * 9)


@pytest.mark.parametrize("beta, doubt", [(0.1, 0.0), (1.0, 0.0), (1.0, 0.2), (3.0, 0.4)])
def test_ipo_is_least_where_its_closed_form_says(beta, doubt):
    """The margin over the reference's is drawn to (1 - 2 e) / (2 beta), from either side; that of DPO has no end."""
    best, settings = (1 - 2 * doubt) / (2 * beta), {"beta": beta, "label_smoothing": doubt}
    reference = [[0.5, 0.0], [-0.5, 0.0]]

    def pairs(apart: float) -> Pairs:
        return pairs_of([[margin + best + apart, 0.0] for margin, _ in reference], reference)

    assert gradient(ipo_loss, pairs(0.0), **settings).abs().max().item() == pytest.approx(0.0, abs=1e-12)
    least = ipo_loss(pairs(0.0), **settings).item()
    assert all(ipo_loss(pairs(apart), **settings).item() > least for apart in (-0.3, 0.3))
    assert least == pytest.approx(doubt * (1 - doubt) / beta**2)


def test_kto_by_hand():
    # z0 = (0.1 + 0.3 + 0.2 + 0.2) / 4 = 0.2; r(w) = 1, 0; r(l) = -1, 0.5
    pairs = pairs_of([[2.0, -2.0], [0.0, 0.0]], [[1.0, -1.0], [0.0, -0.5]], divergence=[[0.1, 0.3], [0.2, 0.2]])
    expected = 2 * (1 - sigma(0.5 * 0.8)) + 2 * (1 - sigma(0.5 * -0.2))  # the desirable sides, lambda_d = 2
    expected += 3 * (1 - sigma(0.5 * 1.2)) + 3 * (1 - sigma(0.5 * -0.3))  # the undesirable ones, lambda_u = 3
    assert kto_loss(pairs, beta=0.5, lambda_d=2.0, lambda_u=3.0).item() == pytest.approx(expected / 4)


def test_the_reference_point_of_kto_has_no_gradient():
    pairs = pairs_of([[1.0, -1.0]])
    divergence = torch.full((1, 2), 0.3, dtype=torch.float64, requires_grad=True)
    leaf = pairs.policy.clone().requires_grad_()
    kto_loss(replace(pairs, policy=leaf, divergence=divergence), **SETTINGS[kto_loss]).backward()
    assert divergence.grad is None and leaf.grad.abs().min() > 0


def test_simpo_by_hand():
    # means -1 and -2; u = 2 * (-1 - -2) - 0.5 = 1.5
    pairs = pairs_of([[-3.0, -4.0]], lengths=[[3.0, 2.0]])
    assert simpo_loss(pairs, beta=2.0, gamma=0.5, label_smoothing=0.0).item() == pytest.approx(log(1 + exp(-1.5)))
    smoothed = simpo_loss(pairs, beta=2.0, gamma=0.5, label_smoothing=0.1).item()
    assert smoothed == pytest.approx(0.9 * log(1 + exp(-1.5)) + 0.1 * log(1 + exp(1.5)))


def test_simpo_takes_a_side_without_decisions_for_certain():
    found = gradient(simpo_loss, pairs_of([[-3.0, 0.0]], lengths=[[3.0, 0.0]]))
    assert torch.isfinite(found).all() and found[0, 0] < 0


NUMBER = st.floats(-20, 20)
TWO = st.tuples(NUMBER, NUMBER)
PAIR = st.fixed_dictionaries(
    {
        "policy": TWO,
        "reference": TWO,
        "lengths": st.tuples(st.integers(1, 15), st.integers(1, 15)),
        "divergence": st.tuples(st.floats(0, 5), st.floats(0, 5)),
    }
)
BATCH = st.lists(PAIR, min_size=1, max_size=5).map(
    lambda rows: pairs_of(**{name: [row[name] for row in rows] for name in rows[0]})
)
ALL = pytest.mark.parametrize("loss", SETTINGS, ids=lambda loss: loss.__name__)


def value(loss, pairs: Pairs, **changes) -> float:
    return loss(pairs, **SETTINGS[loss] | changes).item()


@ALL
@given(pairs=BATCH)
def test_a_step_makes_the_preferred_likelier_and_the_rejected_less_likely(loss, pairs):
    found = gradient(loss, pairs)
    if loss is ipo_loss:  # only below its target; beyond it pulls back
        short = pairs.margin - pairs.reference_margin < 1 / (2 * SETTINGS[loss]["beta"])
        found = torch.where(short.unsqueeze(1), found, -found)
    assert (found[:, 0] <= 0).all() and (found[:, 1] >= 0).all()
    assert torch.isfinite(found).all()


@ALL
@given(pairs=BATCH)
def test_the_order_of_pairs_does_not_matter(loss, pairs):
    turned = Pairs(*(each.flip(0) for each in (pairs.policy, pairs.reference, pairs.lengths, pairs.divergence)))
    assert value(loss, turned) == pytest.approx(value(loss, pairs), rel=1e-9)


@pytest.mark.parametrize("loss", [dpo_loss, ipo_loss, simpo_loss], ids=lambda loss: loss.__name__)
@given(pairs=BATCH, shift=NUMBER)
def test_what_both_actions_of_a_page_have_in_common_cancels(loss, pairs, shift):
    """As a softmax's normaliser: over two actions or over all, the loss is the same."""
    pairs = replace(pairs, lengths=torch.ones_like(pairs.lengths))
    shifted = value(loss, replace(pairs, policy=pairs.policy + shift))
    assert shifted == pytest.approx(value(loss, pairs), rel=1e-6, abs=1e-9)


def test_it_does_not_cancel_in_kto():
    """With both sides twice as likely no margin has changed; here the side with the larger weight decides."""
    settings = {"beta": 0.5, "lambda_d": 2.0, "lambda_u": 1.0}
    s = 2**0.5 / (1 + 2**0.5)  # sigma(log(2) / 2)
    for shift, expected in ((0.0, 0.75), (log(2.0), (2 * (1 - s) + s) / 2), (-log(2.0), (2 * s + (1 - s)) / 2)):
        assert kto_loss(pairs_of([[shift, shift]]), **settings).item() == pytest.approx(expected)


@given(pairs=BATCH, apart=TWO)
def test_simpo_knows_no_reference(pairs, apart):
    other = replace(pairs, reference=pairs.reference + torch.tensor(apart, dtype=torch.float64))
    assert value(simpo_loss, other) == value(simpo_loss, pairs)


@given(pairs=BATCH, times=st.integers(2, 9))
def test_simpo_does_not_care_for_length(pairs, times):
    longer = replace(pairs, policy=pairs.policy * times, lengths=pairs.lengths * times)
    assert value(simpo_loss, longer) == pytest.approx(value(simpo_loss, pairs), rel=1e-9, abs=1e-12)


@given(pairs=BATCH)
def test_simpo_of_actions_without_a_margin_is_dpo_without_a_reference(pairs):
    pairs = replace(pairs, lengths=torch.ones_like(pairs.lengths), reference=torch.zeros_like(pairs.reference))
    same = {"beta": 0.7, "label_smoothing": 0.1}
    assert value(simpo_loss, pairs, gamma=0.0, **same) == pytest.approx(value(dpo_loss, pairs, **same))


@given(pairs=BATCH, more=st.floats(0, 3))
def test_a_larger_margin_of_simpo_is_harder_to_reach(pairs, more):
    assert value(simpo_loss, pairs, gamma=1.0 + more) >= value(simpo_loss, pairs, gamma=1.0)


@given(pairs=BATCH)
def test_kto_lies_between_nothing_and_the_mean_of_its_weights(pairs):
    assert 0 <= value(kto_loss, pairs) <= (1.2 + 0.7) / 2
    learnt = replace(pairs, policy=pairs.reference + torch.tensor([200.0, -200.0]))
    assert value(kto_loss, learnt) == pytest.approx(0.0, abs=1e-12)
    at_reference = replace(pairs, policy=pairs.reference, divergence=torch.zeros_like(pairs.divergence))
    assert value(kto_loss, at_reference) == pytest.approx((1.2 + 0.7) / 4)


@given(pairs=BATCH)
def test_kto_takes_the_sides_as_examples_of_their_own(pairs):
    """Which rejected side stands beside which preferred one changes nothing; of a margin it would."""
    crossed = [torch.stack([each[:, 0], each[:, 1].flip(0)], 1) for each in (pairs.policy, pairs.reference)]
    assert value(kto_loss, replace(pairs, policy=crossed[0], reference=crossed[1])) == pytest.approx(
        value(kto_loss, pairs)
    )
