"""Pictures of what there is, also where that is nothing."""

from __future__ import annotations

import warnings

import pytest

from rl_recsys.evaluation.plots import running_means


@pytest.mark.parametrize("points", [[], [(10, 0.5), (20, 0.25)]])
def test_running_means_are_drawn_without_a_warning(tmp_path, points):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        running_means({("dpo", 0): points}, tmp_path / "score.png", "score", "Running score")
    assert (tmp_path / "score.png").stat().st_size > 1000
    header, *rows = (tmp_path / "score.csv").read_text().splitlines()
    assert header == "arm,run,rollout,score" and len(rows) == len(points)
