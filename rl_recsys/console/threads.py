"""How a job's threads wait for each other: asleep, so that other work on the cores holds a training up by its share."""

from __future__ import annotations

import os

#: OpenMP's, read once, when torch is loaded. By default threads spin while they wait. Where another process is on a
#: core they spin on while that one runs: a training of two threads then does a tenth of what it does with this.
WAITING = "OMP_WAIT_POLICY"


def wait_asleep() -> None:
    """Have this process's threads sleep while they wait, and those of what it starts; a user's own setting stays.

    To be called before torch is loaded.
    """
    os.environ.setdefault(WAITING, "PASSIVE")


def variables() -> dict[str, str]:
    """What a process elsewhere needs to wait alike."""
    return {WAITING: os.environ[WAITING]} if WAITING in os.environ else {}
