"""Arrays of decisions as a server sends them, however they lie in memory."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from envs.wire import from_array, to_array

DTYPES = st.one_of(
    arrays.boolean_dtypes(), arrays.integer_dtypes(), arrays.unsigned_integer_dtypes(), arrays.floating_dtypes()
)
#: Views whose memory is not their rows one after the other, and what numpy makes column by column.
LAID_OUT = st.sampled_from(
    [
        lambda array: array,
        np.asfortranarray,
        lambda array: array.T,
        lambda array: array[..., ::2] if array.ndim else array,
        lambda array: array[..., [0]] if array.ndim and array.shape[-1] else array,
        lambda array: np.broadcast_to(array, (2, *array.shape)),
    ]
)


@given(arrays.arrays(DTYPES, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)), LAID_OUT)
def test_an_array_is_sent_row_by_row_whatever_its_layout(array, laid_out):
    given_array = laid_out(array)
    received = to_array(json.loads(json.dumps(from_array(given_array))))
    assert received.shape == given_array.shape and received.dtype == given_array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(received, given_array)
