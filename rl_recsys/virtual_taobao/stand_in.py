"""Networks drawn by chance, of the same form as the published ones, for where those are not: they describe nobody."""

from __future__ import annotations

import numpy as np

from rl_recsys.virtual_taobao.networks import CLICKS, FEATURES, LAYERS, LEAVES, SHAPES

#: Chosen by trial, for worlds like the published one: some eight pages a customer, few clicks by chance, many to find.
_PAGES, _FEW_CLICKS, _JAGGED = 8.0, 12.0, 4.0


def stand_in_arrays(seed: int) -> dict[str, np.ndarray]:
    """The arrays of ``SHAPES`` (float32), by a seed."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in SHAPES.items():
        scale = np.sqrt(2 / shape[1]) if len(shape) == 2 else 0.1
        arrays[name] = rng.normal(0.0, scale, shape)
    # Attributes: tables of their own, which the noise changes little.
    arrays["generator.2.weight"] *= 0.1
    arrays["generator.2.bias"] *= 10
    # The later the page, the fewer leave there; how fast they do hangs on the customer.
    page = np.arange(LEAVES)
    tilt = arrays["leave.4.weight"][0]
    arrays["leave.4.weight"] = arrays["leave.4.weight"] * 0.2 + page[:, None] / _PAGES * tilt * 0.2
    arrays["leave.4.bias"] += -page / _PAGES
    # A customer has 11 features that are 1, and a page's weights have a variance of about a third.
    first = arrays["action.0.weight"]
    first[:, :FEATURES] = rng.normal(0.0, 1.5 / np.sqrt(11), (len(first), FEATURES))
    first[:, FEATURES] = rng.normal(0.0, 0.01, len(first))
    first[:, FEATURES + 1 :] *= np.sqrt(LAYERS["action"][0] / 27 * 3)
    arrays["action.4.weight"] *= _JAGGED
    arrays["action.4.bias"][0] += _FEW_CLICKS
    arrays["action.4.bias"][1:CLICKS] -= np.arange(1, CLICKS) * 0.8
    return {name: array.astype(np.float32) for name, array in arrays.items()}
