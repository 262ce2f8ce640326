"""An algorithm's state as data: what is written comes back, and what is no data is refused."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from algorithms.runs.state_file import ARRAYS_FILE, TREE_FILE, StateError, read_state, write_state

DTYPES = st.one_of(
    arrays.boolean_dtypes(), arrays.integer_dtypes(), arrays.unsigned_integer_dtypes(), arrays.floating_dtypes(),
    arrays.complex_number_dtypes(), arrays.unicode_string_dtypes(min_len=1), arrays.byte_string_dtypes(min_len=1),
    arrays.datetime64_dtypes(max_period="s"),
)  # fmt: skip
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
ARRAYS = st.builds(
    lambda array, how: how(array),
    arrays.arrays(DTYPES, SHAPES),
    st.sampled_from([lambda array: array, np.asfortranarray, lambda array: array[..., ::2] if array.ndim else array]),
)
TENSORS = st.builds(
    lambda array, dtype, turned: torch.tensor(array).to(dtype).T if turned else torch.tensor(array).to(dtype),
    arrays.arrays(np.float64, arrays.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=3)),
    st.sampled_from([torch.bfloat16, torch.float16, torch.float32, torch.int64, torch.bool, torch.uint8]),
    st.booleans(),
)
SCALARS = st.builds(lambda array: array.flat[0], arrays.arrays(DTYPES, (1,)))
KEYS = st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.tuples(st.integers(), st.text()))
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), ARRAYS, TENSORS, SCALARS,
    st.just(torch.tensor(1.5, dtype=torch.bfloat16)),
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(KEYS, inner)),
    max_leaves=12,
)


def assert_same(one, other) -> None:
    """Equal in values, kinds, and the order of keys."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert [*map(repr, one)] == [*map(repr, other)]
        for value, another in zip(one.values(), other.values(), strict=True):
            assert_same(value, another)
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for value, another in zip(one, other, strict=True):
            assert_same(value, another)
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and torch.equal(one.nan_to_num(), other.nan_to_num())
    elif isinstance(one, (np.ndarray, np.generic)):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other, strict=True)
    else:
        assert repr(one) == repr(other)


@given(TREES)
def test_what_is_written_comes_back(tree):
    with tempfile.TemporaryDirectory() as folder:
        write_state(Path(folder), tree)
        assert_same(read_state(Path(folder)), tree)


class Anything:
    """No data."""


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"a": [1, Anything()]}, r"state\['a'\]\[1\]: .*Anything cannot be written as data"),
        ({"a": {1: np.array([None])}}, r"state\['a'\]\[1\]: an array of Python objects"),
        ({"a": print}, r"state\['a'\]: builtins.builtin_function_or_method"),
        ({"a": {1, 2}}, r"state\['a'\]: builtins.set"),
        ({Anything: 1}, "state key .*Anything.*: builtins.type"),
        ([torch.zeros(2).to_sparse()], r"state\[0\]: torch.Tensor"),
        ([torch.zeros(2).to(torch.float8_e5m2)], r"state\[0\]: a tensor of torch.float8_e5m2"),
    ],
)
def test_what_is_no_data_is_refused_with_its_place(tmp_path, tree, said):
    with pytest.raises(StateError, match=said):
        write_state(tmp_path, tree)


def test_a_damaged_file_is_named(tmp_path):
    write_state(tmp_path, {"weights": np.arange(10)})
    whole = {name: (tmp_path / name).read_bytes() for name in (TREE_FILE, ARRAYS_FILE)}
    for name, content in (
        (TREE_FILE, b"{"),
        (TREE_FILE, b"[]"),
        (ARRAYS_FILE, b""),
        (ARRAYS_FILE, whole[ARRAYS_FILE][:-30]),
        (TREE_FILE, json.dumps({"state": {"array": "array-7"}}).encode()),
        (TREE_FILE, json.dumps({"state": {"unknown": 1}}).encode()),
    ):
        for each in whole:
            (tmp_path / each).write_bytes(content if each == name else whole[each])
        with pytest.raises(StateError, match=f"{TREE_FILE}|{ARRAYS_FILE}"):
            read_state(tmp_path)
