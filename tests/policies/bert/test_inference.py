"""BERT's layers for play beside those that are trained."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.base import load_policy
from policies.bert.bert import through
from policies.bert.inference import InferenceLayers
from policies.bert.pretrained import load_encoder
from policies.play import policy_episodes
from policies.torch_compat import can_pack

TEXTS = st.lists(st.lists(st.integers(5, 60), min_size=1, max_size=40), min_size=1, max_size=6)
PRECISIONS = [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.skipif(not can_pack(), reason="no oneDNN"))]
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 0.05}


def encoded(bert, layers, texts, **how):
    with torch.no_grad():
        return through(layers, list(map(len, texts)), lambda rows: bert.embed([texts[row] for row in rows]), **how)


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("precision", PRECISIONS)
@settings(max_examples=15)
@given(texts=TEXTS)
def test_encodings_are_those_of_the_layers_that_are_trained(encoder_folder, precision, onednn, texts):
    bert = load_encoder(encoder_folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("policies.bert.inference.onednn_pays", lambda: onednn)
        layers = InferenceLayers(bert.layers).current(precision)
    for ours, plain in zip(encoded(bert, layers, texts, equal=True), encoded(bert, bert.layers, texts), strict=True):
        assert ours.dtype is torch.float32
        torch.testing.assert_close(ours, plain, atol=TOLERANCE[precision], rtol=TOLERANCE[precision])


@pytest.mark.parametrize("precision", PRECISIONS)
@settings(max_examples=25)
@given(texts=TEXTS, others=TEXTS)
def test_a_text_gives_bit_for_bit_the_same_among_any_others(encoder_folder, precision, texts, others):
    bert = load_encoder(encoder_folder)
    layers = InferenceLayers(bert.layers).current(precision)
    together = encoded(bert, layers, texts + others, equal=True)[: len(texts)]
    for text, among in zip(texts, together, strict=True):
        (alone,) = encoded(bert, layers, [text], equal=True)
        assert torch.equal(alone, among)


def test_they_follow_the_weights(encoder_folder):
    bert = load_encoder(encoder_folder)
    layers = InferenceLayers(bert.layers)
    first = layers.current(torch.float32)
    before = encoded(bert, first, [[5, 6, 7]], equal=True)
    assert layers.current(torch.float32) is first
    with torch.no_grad():
        bert.layers[0].intermediate["dense"].bias.add_(1.0)
    changed = encoded(bert, layers.current(torch.float32), [[5, 6, 7]], equal=True)
    torch.testing.assert_close(changed, encoded(bert, bert.layers, [[5, 6, 7]]), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(changed[0], before[0])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_copy_has_layers_of_its_own(encoder_folder, copied):
    bert = load_encoder(encoder_folder)
    layers = InferenceLayers(bert.layers)
    layers.current(torch.float32)
    other = copied(layers)
    torch.testing.assert_close(
        encoded(bert, other.current(torch.float32), [[5, 6]]),
        encoded(bert, bert.layers, [[5, 6]]),
        atol=1e-5,
        rtol=1e-4,
    )


def test_a_policy_that_forgets_keeps_no_copies_and_plays_as_before(policy_folder, task):
    policy = load_policy(policy_folder)
    goals = task.split("train")[:2]
    before = list(policy_episodes(policy, task, goals, greedy=True))
    assert all(layers._copies for layers in policy.encoder._for_inference)
    policy.forget_encodings()
    assert not any(layers._copies for layers in policy.encoder._for_inference)
    assert list(policy_episodes(policy, task, goals, greedy=True)) == before
