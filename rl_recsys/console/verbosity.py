"""Whether a job shows all that libraries say, or leaves out what no user can act on."""

from __future__ import annotations

import os
import warnings

#: Set for the jobs that a job starts and, by Ray, for its workers.
SHOW_ALL = "RL_RECSYS_SHOW_ALL"
WARNINGS = "PYTHONWARNINGS"


def show_everything() -> None:
    """Leave nothing out in this process and in those that it starts; Python's deprecation warnings are shown too."""
    os.environ[SHOW_ALL] = "1"
    os.environ.setdefault(WARNINGS, "default")
    warnings.simplefilter("default")


def shows_everything() -> bool:
    """Whether nothing is left out."""
    return bool(os.environ.get(SHOW_ALL))


def variables() -> dict[str, str]:
    """What a process elsewhere needs to show as much."""
    return {name: os.environ[name] for name in (SHOW_ALL, WARNINGS) if name in os.environ} if shows_everything() else {}
