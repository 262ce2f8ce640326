"""How a job's threads wait for each other: awake for a moment, then asleep, so that other work has its share."""

from __future__ import annotations

import os

#: OpenMP's own setting, which stays where a user has set it, and how many turns GNU's OpenMP waits awake. Both are read
#: once, when torch is loaded. By default threads wait awake for milliseconds: beside another process on a core they
#: do so while that one runs, and a training of two threads does a third of what it does with this. Asleep at once,
#: it needs 1.4 times as long where nothing else runs.
POLICY, TURNS = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"
MOMENT = "10000"  # some tens of microseconds: longer than from one operation to the next


def wait_briefly() -> None:
    """Have this process's threads wait awake for a moment only, and those of what it starts.

    To be called before torch is loaded.
    """
    if POLICY not in os.environ:
        os.environ.setdefault(TURNS, MOMENT)


def variables() -> dict[str, str]:
    """What a process elsewhere needs to wait alike."""
    return {name: os.environ[name] for name in (POLICY, TURNS) if name in os.environ}
