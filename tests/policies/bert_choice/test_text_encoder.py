from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertModel

from policies.bert.encoder_folder import EncoderError
from policies.bert.pretrained import load_encoder
from policies.bert_choice.encoding_cache import KEPT_TOKENS
from policies.bert_choice.model import BertChoice
from policies.bert_choice.text_encoder import TextEncoder

BEGIN, END = 2, 3
SEGMENTS = st.lists(st.lists(st.integers(5, 60), min_size=1, max_size=12), min_size=1, max_size=4)


def padded(texts: list[list[list[int]]]) -> torch.Tensor:
    """Texts given as segments, as a state's ids."""
    rows = [[BEGIN, *(token for segment in text for token in (*segment, END))] for text in texts]
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int16)
    for row, tokens in zip(ids, rows, strict=True):
        row[: len(tokens)] = torch.tensor(tokens)
    return ids


def encoder(encoder_folder, apart_layers: int) -> TextEncoder:
    found = TextEncoder(load_encoder(encoder_folder), apart_layers=apart_layers, begin=BEGIN, end=END).eval()
    found.precision = torch.float32  # whatever is fastest here
    return found


def rows_of(encoded, row: int) -> torch.Tensor:
    start = int(encoded.starts[row])
    return encoded.tokens[start : start + int(encoded.lengths[row])]


@settings(max_examples=20)
@given(texts=st.lists(SEGMENTS, min_size=1, max_size=4), apart=st.integers(0, 2))
def test_a_text_is_encoded_alike_alone_in_a_batch_and_from_what_is_kept(encoder_folder, texts, apart):
    reads = encoder(encoder_folder, apart)
    trained = reads(padded(texts))
    with torch.no_grad():
        reads(padded(texts[::-1]))
        kept = reads(padded(texts))
        alone = [encoder(encoder_folder, apart)(padded([text])) for text in texts]
    for row, text in enumerate(texts):
        assert len(rows_of(trained, row)) == sum(map(len, text)) + len(text) + 1
        for other in (rows_of(kept, row), rows_of(alone[row], 0)):
            torch.testing.assert_close(rows_of(trained, row), other, atol=1e-5, rtol=1e-4)


@settings(max_examples=10)
@given(texts=st.lists(SEGMENTS, min_size=2, max_size=6), tokens=st.integers(1, 40))
def test_texts_are_encoded_alike_however_many_at_a_time(encoder_folder, texts, tokens):
    whole = encoder(encoder_folder, 1)(padded(texts)).tokens
    with mock.patch("policies.bert.bert.BATCH_TOKENS", tokens):
        torch.testing.assert_close(encoder(encoder_folder, 1)(padded(texts)).tokens, whole, atol=1e-5, rtol=1e-4)


def test_nothing_is_kept_of_a_model_that_moved(encoder_folder):
    reads, ids = encoder(encoder_folder, 1), padded([[[7, 8], [9]]])
    with torch.no_grad():
        assert reads(ids).tokens.dtype is torch.float32
        assert reads.double()(ids).tokens.dtype is torch.float64


def test_one_segment_alone_is_what_bert_makes_of_it(encoder_folder):
    bert = BertModel.from_pretrained(encoder_folder).eval()
    ids = padded([[[7, 8, 9, 10]]])
    expected = bert(input_ids=ids.long()).last_hidden_state[0].detach()
    for apart in range(3):
        torch.testing.assert_close(encoder(encoder_folder, apart)(ids).tokens, expected, atol=1e-5, rtol=1e-4)


def test_segments_are_apart_in_the_lower_layers_only(encoder_folder):
    """With all layers apart a segment is what it is alone, wherever it stands; with one it is read with the rest."""
    text, alone = padded([[[7, 8, 9], [20, 21], [30]]]), padded([[[20, 21]]])
    for apart in range(3):
        reads = encoder(encoder_folder, apart)
        within, by_itself = rows_of(reads(text), 0)[5:8], rows_of(reads(alone), 0)[1:]
        assert torch.allclose(within, by_itself, atol=1e-5) == (apart == 2)


@pytest.fixture
def counted(encoder_folder, monkeypatch):
    """An encoder, and how many segments its lower layers have read."""
    reads = encoder(encoder_folder, 1)
    with torch.no_grad():  # weights that no encoder of another test has
        reads.bert.embeddings.word_embeddings.weight.add_(torch.rand(()))
    read = []
    embed = reads.bert.embeddings.forward
    monkeypatch.setattr(
        reads.bert.embeddings,
        "forward",
        lambda ids, positions: read.extend((positions == 0).nonzero()) or embed(ids, positions),
    )
    return reads, read


def test_a_segment_is_read_once_for_all_texts_it_stands_in(counted):
    reads, read = counted
    with torch.no_grad():
        reads(padded([[[7, 8], [9]], [[7, 8], [10]]]))
        assert len(read) == 3
        reads(padded([[[7, 8], [9], [10]], [[10], [9]]]))
        assert len(read) == 3  # [CLS] 10 [SEP] is the same segment wherever it stands


def test_segments_outlast_updates_of_the_upper_layers_and_weights_that_are_loaded_again(counted):
    reads, read = counted
    text = padded([[[7, 8], [9]]])
    for parameter in (*reads.bert.embeddings.parameters(), *reads.bert.layers[0].parameters()):
        parameter.requires_grad_(False)
    upper = reads.bert.layers[1].output.LayerNorm.weight
    before = reads(text).tokens
    before.sum().backward()
    assert upper.grad is not None and len(read) == 2
    with torch.no_grad():
        upper.mul_(2)
        weights = {name: tensor.clone() for name, tensor in reads.state_dict().items()}
        reads.load_state_dict(weights)
        changed = reads(text).tokens
        assert len(read) == 2 and not torch.allclose(changed, before)
        reads.bert.layers[0].output.LayerNorm.bias.add_(torch.arange(32.0))
        assert not torch.allclose(reads(text).tokens, changed)
    assert len(read) == 4


def test_encoders_with_equal_lower_layers_read_a_segment_once(counted, encoder_folder):
    reads, read = counted
    text = padded([[[7, 8], [9]]])
    other, unlike = encoder(encoder_folder, 1), encoder(encoder_folder, 1)
    with torch.no_grad():
        other.load_state_dict(reads.state_dict())
        other.bert.layers[1].output.LayerNorm.weight.mul_(2)
        unlike.bert.layers[0].output.LayerNorm.weight.mul_(2)
        expected = other(text).tokens
        other(text)
        assert not torch.allclose(reads(text).tokens, expected) and not read  # the other had read the segments
        reads.forget()
        assert torch.allclose(other(text).tokens, expected)  # and keeps them
        reads.share()
        other.forget()
        reads(text)
        assert not read  # they were handed over
        unlike(text)
        reads.forget()
        reads(text)
        assert len(read) == 2  # nobody kept them


def test_frozen_and_trained_lower_layers_give_the_upper_ones_the_same_gradient(encoder_folder):
    ids = padded([[[7, 8, 9], [20, 21]], [[20, 21]]])
    gradients = []
    for trained in (True, False):
        reads = encoder(encoder_folder, 1)
        for parameter in (*reads.bert.embeddings.parameters(), *reads.bert.layers[0].parameters()):
            parameter.requires_grad_(trained)
        reads(ids).tokens.square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in reads.bert.layers[1].parameters()]))
        assert (reads.bert.embeddings.word_embeddings.weight.grad is not None) == trained
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)


def test_what_was_asked_for_last_is_kept_within_the_limit(encoder_folder, monkeypatch):
    monkeypatch.setattr("policies.bert_choice.encoding_cache.KEPT_TOKENS", 12)
    assert KEPT_TOKENS > 12
    reads = encoder(encoder_folder, 1)
    with torch.no_grad():
        for number in range(5, 15):
            reads(padded([[[number, 60], [5, 60]]]))
    store = reads._segments.join(reads._precision)
    kept = {np.frombuffer(key, np.int32)[1] for key in store.tensors}
    assert kept == {5, 13, 14} and store.tokens == 12


def test_layers_that_there_are_not(encoder_folder, task):
    with pytest.raises(EncoderError, match="apart_layers is 3; the encoder has 2 layers"):
        BertChoice.fresh(task, encoder=str(encoder_folder), apart_layers=3)
