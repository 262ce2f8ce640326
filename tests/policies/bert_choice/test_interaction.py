"""The head against its formula, a pair at a time; and where it computes, which may be where no number can be read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from policies.base import load_policy
from policies.bert_choice.config import ChoiceConfig
from policies.bert_choice.interaction import Interaction, best_of_each, mean_over
from policies.bert_choice.text_encoder import Encoded
from rl_recsys.core.text_encoding import EncodingShape

HIDDEN, WIDTH, KINDS = 12, 8, 3


def head() -> Interaction:
    torch.manual_seed(0)
    config = ChoiceConfig({}, 1, 1, 2, "plain", EncodingShape(20, 6, 8), WIDTH, "toy", KINDS)
    return Interaction(HIDDEN, config).double()


def encoded(lengths: list[int], generator: torch.Generator) -> Encoded:
    tokens = torch.randn(sum(lengths), HIDDEN, dtype=torch.float64, generator=generator).requires_grad_()
    return Encoded.of(tokens, np.array(lengths))


def logit(model: Interaction, state, state_mean, regions, action, action_mean, position: int, kind: int):
    """The formula of one pair, with loops over what it compares."""
    cosine = F.normalize(action, dim=-1) @ F.normalize(state, dim=-1).T
    found = (cosine * model.sharpness).softmax(-1) @ model.project(state)
    mine = model.project(action)
    compared = F.gelu(model.compare(torch.cat([mine, found, mine * found, (mine - found).abs()], -1)))
    inner = cosine[1:-1]
    means, least, covered = [], [], []
    for region in regions:
        if not region.any():  # nothing is like it
            best = shown = torch.full((len(inner),), -1.0, dtype=torch.float64)
            covers = torch.tensor(-1.0, dtype=torch.float64)
        else:
            best = inner[:, region].amax(-1)
            shown = inner.amax(0) if len(inner) else torch.full((len(state),), -1.0, dtype=torch.float64)
            covers = shown[region].mean()
        means.append(best.sum() / max(1, len(inner)))
        least.append(torch.cat([best, best.new_ones(1)]).min())
        covered.append(covers)
    whole = F.cosine_similarity(state_mean, action_mean, dim=-1, eps=1e-6)
    features = [
        compared.mean(0), model.match(action_mean * state_mean), model.state(state_mean),
        model.position.weight[position], model.kind.weight[kind],
        *(torch.stack(each) for each in (means, least, covered)), whole.unsqueeze(0),
    ]  # fmt: skip
    return model.output(torch.cat(features)).squeeze()


pages = st.lists(
    st.tuples(st.integers(3, 20), st.integers(0, 20), st.lists(st.integers(2, 8), max_size=6)), min_size=1, max_size=6
).filter(lambda states: any(actions for *_, actions in states))


@settings(max_examples=60)
@given(pages, st.booleans())
def test_logits_and_gradients_are_the_formulas(states, learning):
    """Of states with a length, where its instruction ends, and their actions' lengths."""
    model, draws = head(), torch.Generator().manual_seed(1)
    numbers = np.random.default_rng(2)
    rows = np.repeat(np.arange(len(states)), [len(actions) for *_, actions in states])
    columns = np.concatenate([np.arange(len(actions)) for *_, actions in states])
    kinds = numbers.integers(0, KINDS, len(rows))
    of_states = encoded([length for length, *_ in states], draws)
    of_actions = encoded([length for *_, actions in states for length in actions], draws)
    places, ends = np.arange(20), np.array([[end] for _, end, _ in states])
    content = (places > 0) & (places < np.array([[length - 1] for length, *_ in states]))
    regions = np.stack([content & (places < ends), content & (places >= ends)], 1)
    with torch.set_grad_enabled(learning):
        found = model(of_states, regions, of_actions, rows, columns, kinds)

    def texts(of: Encoded, number: int):
        start, length = of.starts[number], of.lengths[number]
        return of.tokens[start : start + length], of.means[number]

    expected = torch.stack([
        logit(
            model, *texts(of_states, row), torch.as_tensor(regions[row, :, : of_states.lengths[row]]),
            *texts(of_actions, pair), int(columns[pair]), int(kinds[pair]),
        )
        for pair, row in enumerate(rows)
    ])  # fmt: skip
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-7)
    if learning:
        weights = torch.randn(len(rows), dtype=torch.float64, generator=draws)
        learnt = [of_states.tokens, of_actions.tokens, *model.parameters()]
        mine, its = (
            torch.autograd.grad((each * weights).sum(), learnt, retain_graph=True, materialize_grads=True)
            for each in (found, expected)
        )
        for one, other in zip(mine, its, strict=True):
            torch.testing.assert_close(one, other, atol=1e-8, rtol=1e-5)


def test_what_an_action_covers_of_a_state_is_the_best_match_of_each_of_its_tokens():
    torch.manual_seed(0)
    cosine, owner = torch.rand(7, 5), torch.tensor([0, 0, 0, 2, 2, 2, 2])  # action 1 has no words
    found = best_of_each(cosine, owner, 3)
    torch.testing.assert_close(found, torch.stack([cosine[:3].amax(0), torch.full((5,), -1.0), cosine[3:].amax(0)]))
    regions = torch.tensor([[True, False, True, False, False], [False] * 5]).expand(3, 2, 5)
    means = mean_over(regions, regions.sum(-1), found)
    torch.testing.assert_close(means, torch.stack([found[:, [0, 2]].mean(-1), torch.full((3,), -1.0)], 1))


@pytest.mark.parametrize("learning", [True, False])
def test_nothing_is_read_from_the_device_that_computes(policy_folder, observation, learning, without_autocast):
    """Of a tensor on the meta device no number can be read, and it mixes with none of the host's: as on a GPU that is
    not to be waited for."""
    model = load_policy(policy_folder).to("meta")
    model.encoder.forget()
    if not learning:
        model.freeze(model.layers)
        model.encoder._segments = model.encoder._texts = _Unkept()
    with torch.set_grad_enabled(learning):
        logits, pooled = model(observation)
    assert logits.device.type == pooled.device.type == "meta" and logits.shape == observation["mask"].shape
    if learning:
        (logits.sum() + model.value(pooled).sum()).backward()
        assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


class _Unkept:
    """What is kept goes by the weights' values, which are read once they were written."""

    def get(self, keys, compute, precision):
        return compute(range(len(keys)))
