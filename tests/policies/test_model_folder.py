"""Weights are written row by row, however they lie in memory: a folder and a checkpoint hold the values, not bytes."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy
import torch
from torch import Tensor

from algorithms.runs.state_file import read_state, write_state
from policies.base import load_policy
from policies.bert_choice.model import BertChoice
from policies.module_state import load_module_state, module_state

#: As what a library gives may lie: eigenvectors, columns chosen from a wider table, a part of a longer one.
LAYOUTS = {
    "column by column": lambda tensor: tensor.t().contiguous().t(),
    "every other column": lambda tensor: torch.stack([tensor, -tensor], -1).flatten(-2)[..., ::2],
    "rows of a longer table": lambda tensor: torch.cat([-tensor, tensor])[len(tensor) :],
}


@pytest.fixture(params=LAYOUTS)
def laid_out(request, policy_folder) -> tuple[BertChoice, dict[str, Tensor]]:
    """A policy whose tables lie otherwise, and its values."""
    policy = load_policy(policy_folder)
    values = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.dim() == 2:
                parameter.data = LAYOUTS[request.param](parameter.data)
    assert all(torch.equal(tensor, values[name]) for name, tensor in policy.state_dict().items())
    return policy, values


def test_a_policys_folder_has_its_values(laid_out, tmp_path):
    policy, values = laid_out
    policy.save_pretrained(tmp_path / "policy")
    written = safetensors.numpy.load_file(tmp_path / "policy" / "model.safetensors")  # by another reader
    loaded = load_policy(tmp_path / "policy").state_dict()
    assert written.keys() == loaded.keys() == values.keys()
    for name, value in values.items():
        assert torch.equal(loaded[name], value) and np.array_equal(written[name], value), name


def test_a_checkpoint_has_them(laid_out, policy_folder, tmp_path):
    policy, values = laid_out
    write_state(tmp_path, module_state(policy))
    other = load_policy(policy_folder)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    load_module_state(other, read_state(tmp_path))
    assert all(torch.equal(tensor, values[name]) for name, tensor in other.state_dict().items())
