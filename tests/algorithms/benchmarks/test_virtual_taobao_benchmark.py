from __future__ import annotations

import sys
from pathlib import Path

import pytest

from algorithms.benchmarks import virtual_taobao
from algorithms.benchmarks.beside_original import OriginalError
from algorithms.benchmarks.flags import VirtualTaobaoBenchmarkFlags
from rl_recsys.errors import UserError


def test_each_way_to_play_is_measured():
    for stream in ("original", "paired"):
        assert virtual_taobao.one_by_one(stream, "stand-in:0", 100) > 0
    assert virtual_taobao.at_once(16, "stand-in:0", 10) > 0


@pytest.mark.parametrize("python", [Path("/nowhere/python"), Path(sys.executable)])
def test_a_python_without_the_original_is_named(python, tmp_path):
    with pytest.raises(OriginalError, match=f"{python.name}.*checkout of"):
        virtual_taobao.original_rate(python, tmp_path, 1000)


def test_the_original_needs_a_python_and_a_checkout(tmp_path):
    with pytest.raises(UserError, match="name both"):
        VirtualTaobaoBenchmarkFlags(checkout=tmp_path).validate()
