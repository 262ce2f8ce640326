"""What is met 5,000 times in a batch is learnt from 5,000 times in bfloat16 too: nothing is added up in it.

bfloat16 has eight bits for a number's digits, so 256 + 1 is 256. Where torch adds the gradient of ``table[ids]`` on a
CPU one by one in it, the 257th meeting of a row and all after it are lost.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from unittest import mock

import pytest
import torch
from ray.rllib.core.columns import Columns
from torch import Tensor

from algorithms.common.losses import imitation_loss
from algorithms.common.reference import REFERENCE_LOGITS
from algorithms.dpo.columns import PAIR, SIGN
from algorithms.dpo.pairs import episode_pairs
from policies.base import load_policy
from policies.bert_choice.model import BertChoice
from policies.module_state import module_state
from policies.rllib import PolicyModule, module_spec

MEETINGS, AT_ONCE = 5_000, 200
BEGIN, END = 2, 3
TOKEN = 7  # met nowhere else
DIFFERENT = list(itertools.islice(itertools.product(range(10, 28), repeat=3), MEETINGS))  # texts, none twice
ROUGHLY = 0.03  # the share of a gradient that bfloat16's products may move; of 5,000 meetings 256 are a twentieth


def padded(rows: list[list[int]]) -> Tensor:
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int16)
    for place, row in zip(ids, rows, strict=True):
        place[: len(row)] = torch.tensor(row)
    return ids


def of_one_token(policy: BertChoice, meetings: slice) -> Tensor:
    texts = padded([[BEGIN, TOKEN, *words, END] for words in DIFFERENT[meetings]])
    encoded = policy.encoder(texts)
    return (encoded.tokens[torch.as_tensor(encoded.starts) + 1] @ direction(policy)).sum()


def of_one_product(policy: BertChoice, meetings: slice) -> Tensor:
    """Its title stands on every page: the lower layers read it once, and each page takes it from there."""
    states = padded([[BEGIN, *words, END, TOKEN, END] for words in DIFFERENT[meetings]])
    encoded = policy.encoder(states)
    return (encoded.tokens[torch.as_tensor(encoded.starts) + states.shape[1] - 2] @ direction(policy)).sum()


def of_one_action(policy: BertChoice, meetings: slice) -> Tensor:
    """It stands on every page, and is encoded once for all."""
    states = padded([[BEGIN, *words, END] for words in DIFFERENT[meetings]])
    observation = {
        "state": states,
        "actions": padded([[BEGIN, TOKEN, END]]).expand(len(states), 1, 3),
        "kinds": torch.ones(len(states), 1, dtype=torch.int8),
        "mask": torch.ones(len(states), 1, dtype=torch.int8),
    }
    return policy(observation)[0].sum()


def direction(policy: BertChoice) -> Tensor:
    return torch.randn(policy.state_size, generator=torch.Generator().manual_seed(0))


Scalar = Callable[[BertChoice, slice], Tensor]


def gradients(policy: BertChoice, scalar: Scalar, meetings: slice) -> dict[str, Tensor]:
    policy.zero_grad()
    with mock.patch("policies.bert.bert.BATCH_TOKENS", 10**6):  # all at once, as on a machine with more memory
        scalar(policy, meetings).backward()
    found = {name: one.grad for name, one in policy.named_parameters() if one.grad is not None}
    assert all(one.dtype is torch.float32 for one in found.values())
    words = "encoder.bert.embeddings.word_embeddings.weight"
    return found | {words: found[words][TOKEN]}


@pytest.mark.parametrize("scalar", [of_one_token, of_one_product, of_one_action])
def test_what_is_met_often_is_learnt_from_as_often(policy_folder, scalar):
    policy = load_policy(policy_folder).train()
    expected: dict[str, Tensor] = {}  # what few meetings at a time give, in float32, added up in float64
    for start in range(0, MEETINGS, AT_ONCE):
        for name, gradient in gradients(policy, scalar, slice(start, start + AT_ONCE)).items():
            expected[name] = expected.get(name, 0.0) + gradient.double()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gradients(policy, scalar, slice(None))
    assert found.keys() == expected.keys()
    largest = max(gradient.norm() for gradient in expected.values())
    for name, gradient in expected.items():
        if gradient.norm() > 1e-4 * largest:  # else it is what rounding leaves of zero
            assert (found[name] - gradient).norm() < ROUGHLY * gradient.norm(), name


def test_the_mean_of_a_long_text_is_that_of_its_tokens(policy_folder):
    policy = load_policy(policy_folder)
    text = padded([[BEGIN, *[TOKEN] * 250, END]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        encoded = policy.encoder(text)
    assert encoded.means.dtype is encoded.tokens.dtype is torch.float32
    expected = encoded.tokens[1:-1].double().mean(0)
    torch.testing.assert_close(encoded.means[0].double(), expected, atol=1e-6, rtol=1e-5)


def test_the_decisions_of_a_long_episode_are_added_in_float32(policy_folder):
    policy = load_policy(policy_folder)
    module = PolicyModule(model_config=module_spec(policy.architecture()).model_config)
    module.set_state(module_state(policy))
    module.precision = torch.bfloat16  # as the learner sets it for --precision bfloat16
    observation = {
        "state": padded([[BEGIN, TOKEN, END]] * MEETINGS),
        "actions": padded([[BEGIN, 20, END], [BEGIN, 21, END]] * MEETINGS).view(MEETINGS, 2, 3),
        "kinds": torch.ones(MEETINGS, 2, dtype=torch.int8),
        "mask": torch.ones(MEETINGS, 2, dtype=torch.int8),
    }
    logits = module.forward_train({Columns.OBS: observation})[Columns.ACTION_DIST_INPUTS]
    taken = torch.zeros(MEETINGS, dtype=torch.int64)
    likely = logits.double().log_softmax(-1)[:, 0]
    one_pair = {
        PAIR: torch.zeros(MEETINGS, dtype=torch.int64),
        SIGN: torch.ones(MEETINGS),
        REFERENCE_LOGITS: logits.float().detach(),
        Columns.ACTIONS: taken,
    }
    pairs = episode_pairs(logits, one_pair)
    for sums in (pairs.policy, pairs.reference):
        assert sums[0, 0].item() == pytest.approx(likely.sum().item(), rel=1e-3)
    assert pairs.lengths[0].tolist() == [MEETINGS, 0]
    assert imitation_loss(logits, taken).item() == pytest.approx(-likely.mean().item(), rel=1e-5)
