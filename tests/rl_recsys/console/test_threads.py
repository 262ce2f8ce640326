"""A job's threads wait asleep, as its user has not said otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rl_recsys.console.threads import WAITING, variables

JOB = f"""
import os, sys
from rl_recsys.console import command

def main(given):
    assert "torch" not in sys.modules
    print("waits", os.environ[{WAITING!r}])

command.run_job(main, command.Flags, "A job.")
"""


@pytest.mark.parametrize(("set_by_user", "waiting"), [({}, "PASSIVE"), ({WAITING: "ACTIVE"}, "ACTIVE")])
def test_threads_sleep_while_they_wait_unless_the_user_set_it(tmp_path, set_by_user, waiting):
    job = tmp_path / "job.py"
    job.write_text(JOB)
    environment = {name: value for name, value in os.environ.items() if name != WAITING} | set_by_user
    done = subprocess.run([sys.executable, job], env=environment, capture_output=True, text=True, check=True)
    assert f"waits {waiting}" in done.stdout


def test_processes_elsewhere_wait_alike(monkeypatch):
    monkeypatch.delenv(WAITING, raising=False)
    assert variables() == {}
    monkeypatch.setenv(WAITING, "PASSIVE")
    assert variables() == {WAITING: "PASSIVE"}
