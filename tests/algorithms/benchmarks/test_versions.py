"""This checkout measured beside another."""

from __future__ import annotations

import pytest

from algorithms.benchmarks import versions
from algorithms.benchmarks.flags import VersionsBenchmarkFlags
from algorithms.benchmarks.versions import HERE, version_figures
from rl_recsys.errors import UserError


def flags(tmp_path, **given) -> VersionsBenchmarkFlags:
    paths = {name: tmp_path / name for name in ("policy", "shop", "trajectories")}
    return VersionsBenchmarkFlags(**{"against": HERE, "parts": ("help",), "repeats": 1} | paths | given)


def test_both_checkouts_are_measured_and_compared(tmp_path):
    ours, theirs, ratio = version_figures(flags(tmp_path), tmp_path)
    assert ours.value > 0 and theirs.name.endswith(HERE.name)
    assert ratio.value == pytest.approx(theirs.value / ours.value) and ratio.at_least


def test_a_trainings_iterations_are_read_from_what_it_wrote(tmp_path, shop_folder, encoder_folder, scripted):
    trajectories = scripted(12)
    words = (
        "--shop",
        shop_folder,
        "--trajectories",
        trajectories,
        "--encoder",
        encoder_folder,
        "--updates",
        1,
        "--frozen-layers",
        0,
    )
    here = versions.Checkout(HERE, tmp_path, trajectories)
    seconds = versions.iteration(here, tmp_path / "run", "imitate.py", 2, *words)
    assert 0 < seconds < 60
    assert len(versions._seconds(tmp_path / "run")) == versions.WARM + 2


def test_a_job_that_fails_is_named_with_what_it_said(tmp_path):
    with pytest.raises(UserError, match=r"jobs/imitate.py ended with exit status 1:(.|\n)*no shop here"):
        list(version_figures(flags(tmp_path, parts=("imitation",)), tmp_path))


@pytest.mark.parametrize(
    ("has", "target"), [({"amx_tile": True, "avx512_bf16": True}, 3.0), ({"avx512_bf16": True}, 1.8), ({}, 1.3)]
)
def test_the_aim_of_play_goes_by_the_processor(monkeypatch, has, target):
    monkeypatch.setattr(versions.torch.cpu, "get_capabilities", lambda: has)
    assert versions.play_target() == target
