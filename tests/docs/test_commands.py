"""Every command of a job that README and docs show has flags that the job takes."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from rl_recsys.console.command import read_flags

ROOT = Path(__file__).parents[2]
LOG = ROOT / "docs" / "log"  # says how things were
PAGES = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").rglob("*.md") if LOG not in page.parents)]
COMMAND = re.compile(r"python jobs/(\w+)\.py((?: \\\n|[^\n#`])*)")
#: What ends a command, or stands for more of it.
ENDS = {"&", "&&", "|", "..."}


def commands(page: Path) -> list[tuple[str, list[str]]]:
    """The jobs' names and flags."""
    found = []
    for name, flags in COMMAND.findall(page.read_text()):
        words = shlex.split(re.sub(r"\{(\d),[^}]*\}", r"\1", flags.replace("\\\n", " ")))
        if not ENDS.intersection(words) and words not in ([], ["--help"]):
            found.append((name, words))
    return found


SHOWN = [(page, *command) for page in PAGES for command in commands(page)]


@pytest.mark.parametrize(
    "page,name,words", SHOWN, ids=[f"{page.stem}-{name}-{at}" for at, (page, name, _) in enumerate(SHOWN)]
)
def test_a_command_that_is_shown_can_be_given(page, name, words):
    job = import_module(f"jobs.{name}")
    read_flags(getattr(job, "KINDS", None) or job.Arguments, "", words)


def test_there_are_commands():
    assert len(SHOWN) > 30
