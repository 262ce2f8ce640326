"""A job's threads wait awake for a moment only, where its user has not said otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rl_recsys.console.threads import MOMENT, POLICY, TURNS, variables

JOB = """
import os, sys
from rl_recsys.console import command, threads

def main(given):
    assert "torch" not in sys.modules
    print("waits", threads.variables())

command.run_job(main, command.Flags, "A job.")
"""


@pytest.mark.parametrize(
    ("set_by_user", "waiting"),
    [({}, {TURNS: MOMENT}), ({POLICY: "ACTIVE"}, {POLICY: "ACTIVE"}), ({TURNS: "7"}, {TURNS: "7"})],
)
def test_threads_wait_awake_for_a_moment_unless_the_user_set_it(tmp_path, set_by_user, waiting):
    job = tmp_path / "job.py"
    job.write_text(JOB)
    environment = {name: value for name, value in os.environ.items() if name not in (POLICY, TURNS)} | set_by_user
    done = subprocess.run([sys.executable, job], env=environment, capture_output=True, text=True, check=True)
    assert f"waits {waiting}" in done.stdout


def test_processes_elsewhere_wait_alike(monkeypatch):
    for name in (POLICY, TURNS):
        monkeypatch.delenv(name, raising=False)
    assert variables() == {}
    monkeypatch.setenv(TURNS, MOMENT)
    assert variables() == {TURNS: MOMENT}
