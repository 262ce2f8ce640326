"""Every field of an evaluation's episodes, damaged: read as it was, or the file is named."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from rl_recsys.core.outcome import Outcome
from rl_recsys.errors import UserError
from rl_recsys.evaluation.claims import read_episodes
from tests.damage import damaged

#: Values that are right in these places, though not what was written: a file without checksums cannot tell.
RIGHT = (0, -0.5, 10**30, -1, True)


def test_episodes(tmp_path):
    path = tmp_path / "a-0-greedy.jsonl"
    lines = [{"goals": [3, 5], "products": ["P", "Q"], "seed": 0, "shop": "s"}]
    lines += [asdict(Outcome(goal, 0.5, 4, True, {"type": 1.0, "price": True})) for goal in (3, 5)]
    free = ("products", "seed", "shop")  # compared with what is asked for, or with another arm's
    for one in damaged(lines):
        if not one.path:
            continue
        path.write_text("".join(json.dumps(line) + "\n" for line in one.value))
        try:
            asked, played = read_episodes(path, "play again")
        except UserError as error:
            assert str(path) in str(error) and "\n" not in str(error), (one, error)
            continue
        same = (asked["goals"], played) == (lines[0]["goals"], lines[1:])
        assert same or one.now in RIGHT or one.path[1] in free or (one.path[1] == "parts" and one.now in ({}, ...)), one
    for parts in ("x", None, [1], {"type": None}, {"type": "x"}, {"type": [1]}, {"type": float("nan")}):
        path.write_text("".join(json.dumps(line) + "\n" for line in (lines[0], lines[1] | {"parts": parts}, lines[2])))
        with pytest.raises(UserError, match=r"a-0-greedy\.jsonl, line 2: damaged \(parts"):
            read_episodes(path, "play again")
