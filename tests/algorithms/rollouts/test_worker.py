"""Real and simulated workers are called alike."""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap
from typing import Any, get_type_hints

import pytest

from algorithms.benchmarks.simulated_workers import SimulatedWorker
from algorithms.rollouts import pool
from algorithms.rollouts.worker import GroupWorker


def interface(method: Callable) -> tuple[Any, ...]:
    """Arguments, defaults and types as they are written; Ray adds an argument of its own to what ``inspect`` says."""
    code = method.__code__
    return code.co_varnames[: code.co_argcount], method.__defaults__, get_type_hints(method)


@pytest.mark.parametrize("actor", [pool._RolloutWorker, SimulatedWorker])
def test_every_worker_takes_what_groups_ask_with(actor):
    assert interface(unwrap(actor.trajectories)) == interface(GroupWorker.trajectories)
