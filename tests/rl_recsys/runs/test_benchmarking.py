"""What a benchmark says and leaves while it measures."""

from __future__ import annotations

import json

import pytest

from rl_recsys.runs.benchmarking import run_benchmark
from rl_recsys.runs.measurement import Figure
from rl_recsys.runs.provenance import machine


def test_a_figure_is_said_and_written_as_soon_as_it_is_measured(tmp_path, capsys):
    def measure():
        yield Figure("walk", 3_210.4, "steps/s", 2_800, at_least=True, note="of 5 walks")
        assert "  walk: 3,210 steps/s" in capsys.readouterr().out
        (figure,) = json.loads((tmp_path / "shop.json").read_text())["figures"]
        assert (figure["value"], figure["met"]) == (3_210.4, True)
        yield Figure("open | close", 0.51234, "s", 0.5)
        raise RuntimeError("a worker failed")

    with pytest.raises(RuntimeError, match="a worker failed"):
        run_benchmark("shop", measure(), tmp_path)
    written = json.loads((tmp_path / "shop.json").read_text())
    assert [figure["met"] for figure in written["figures"]] == [True, False]
    assert written["machine"] == machine() and "torch" in written["packages"] and written["command"]
    said = (tmp_path / "shop.md").read_text()
    assert "| walk | 3,210 steps/s | at least 2,800 | yes | of 5 walks |" in said
    assert "| open \\| close | 0.512 s | at most 0.5 | no |  |" in said


def test_without_a_folder_there_is_a_table_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = run_benchmark("policy", iter([Figure("episodes", 12.0, "")]), None)
    assert table.title == machine() and table.rows == [("episodes", "12 ", "", "", "")]
    assert not list(tmp_path.iterdir())
