"""What was recorded from the original RecoGym."""

from __future__ import annotations

import json
from functools import lru_cache

import pytest

from rl_recsys.recogym import ClusterSettings, LatentSettings
from tests.conftest import SHARED

GOLDEN = SHARED / "recogym" / "golden.json"
SETTINGS = {"v0": ClusterSettings, "v1": LatentSettings}


@lru_cache
def _read():
    return json.loads(GOLDEN.read_text())


def recorded(part):
    """The "traces", "logs" or "test_agent" results; the test is skipped where they are not."""
    if not GOLDEN.is_file():
        pytest.skip("the recorded RecoGym traces are not here")
    return _read()[part]


def original_settings(record):
    """Of a trace, a log or an evaluation, in the original's stream with all its accidents."""
    return SETTINGS[record["env"]](**record["args"], stream="original")
