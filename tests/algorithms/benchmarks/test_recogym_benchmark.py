from __future__ import annotations

import sys
from pathlib import Path

import pytest

import envs
from algorithms.benchmarks import recogym
from algorithms.benchmarks.beside_original import OriginalError


@pytest.mark.parametrize("name", envs.RECOGYM_IDS)
def test_each_way_to_play_is_measured(name):
    for stream in ("original", "paired"):
        assert recogym.one_by_one(stream, name, 4, 100) > 0
    assert recogym.at_once(16, name, 4, 10) > 0


@pytest.mark.parametrize("python", [Path("/nowhere/python"), Path(sys.executable)])
def test_a_python_without_the_original_is_named(python):
    with pytest.raises(OriginalError, match=f"{python.name}.*install recogym"):
        recogym.original_rate(python, "RecoGym-v1", 10, 1000)
