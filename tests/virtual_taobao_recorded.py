"""What was recorded from the original Virtual-Taobao, and the networks that it had."""

from __future__ import annotations

import json
from functools import lru_cache

import numpy as np
import pytest

from rl_recsys.virtual_taobao.weights import Weights
from tests.conftest import SHARED

FOLDER = SHARED / "virtual-taobao"


@lru_cache
def _read():
    return json.loads((FOLDER / "golden.json").read_text())


def recorded(part):
    """A part of what was recorded; the test is skipped where it is not."""
    if not (FOLDER / "golden.json").is_file():
        pytest.skip("the recorded Virtual-Taobao traces are not here")
    return _read()[part]


@lru_cache
def published():
    """The published networks; the test is skipped where they are not."""
    if not (FOLDER / "virtualtb-v0.npz").is_file():
        pytest.skip("Virtual-Taobao's networks are not here")
    return Weights("published", dict(np.load(FOLDER / "virtualtb-v0.npz")))
