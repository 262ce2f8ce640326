from __future__ import annotations

import threading

import pytest

from rl_recsys.console import progress as module
from rl_recsys.console.progress import phase, progress


class Said:
    """What was printed so far, in lines, and a wait for the next that has some words."""

    def __init__(self, monkeypatch):
        self.lines: list[str] = []
        self._more = threading.Condition()
        monkeypatch.setattr(module, "LINE_INTERVAL", 0.01)
        monkeypatch.setattr(module, "say", self._add)

    def _add(self, line: str) -> None:
        with self._more:
            self.lines.append(line)
            self._more.notify_all()

    def wait_for(self, words: str, times: int = 1) -> None:
        with self._more:
            assert self._more.wait_for(lambda: sum(words in line for line in self.lines) >= times, timeout=30)


@pytest.fixture
def said(monkeypatch):
    return Said(monkeypatch)


def test_a_phase_is_said_at_once_and_while_it_lasts(said):
    threads = threading.active_count()
    with phase("starting Ray"):
        assert said.lines[0] == "starting Ray"
        said.wait_for(" so far", times=2)
    assert all(line.startswith("starting Ray: ") for line in said.lines[1:])
    with pytest.raises(RuntimeError, match="no room"), phase("loading"):
        raise RuntimeError("no room")
    assert threading.active_count() == threads


def test_work_that_does_not_advance_says_that_it_lasts(said):
    """A first iteration may take minutes: nothing was said before its end."""
    with progress("PPO", 10) as task:
        assert said.lines[0] == "PPO: begun"
        said.wait_for("PPO: 0 of 10, ", times=2)
        task.resume(4)
        said.wait_for("PPO: 4 of 10, ")
        task.update(6, "score 91.0")
        said.wait_for("PPO: 6 of 10, ")
    assert "so far" in said.lines[1] and "left  score 91.0" in said.lines[-2]
    assert said.lines[-1].startswith("PPO: 6 in ")
