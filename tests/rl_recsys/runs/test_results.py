"""What an experiment came to, as it is left in a folder."""

from __future__ import annotations

import json

from rl_recsys.console.table import Table
from rl_recsys.runs.provenance import MADE_WITH, maker
from rl_recsys.runs.results import write_results


def test_results_say_how_they_were_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["jobs/evaluate.py", "--out", "a folder"])
    table = Table("2 goals", ("arm", "score"), [("dpo", "50.0")])
    write_results(table, {"arms": [{"score": 50.0}]}, page=tmp_path / "table.md", data=tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text()) == {
        "command": "jobs/evaluate.py --out 'a folder'",
        "title": "2 goals",
        MADE_WITH: [maker()],
        "arms": [{"score": 50.0}],
    }
    assert (tmp_path / "table.md").read_text() == table.to_markdown()
    assert "50.0" in capsys.readouterr().out
