"""Figures that benchmarks print, and how they are measured: each in a fresh process that has loaded nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

import psutil

from rl_recsys.runs.processes import on_one_core

MEGABYTE = 1e6  # bytes


@dataclass(frozen=True)
class Figure:
    """One measured number. ``target`` is what it should be at most, or at least where ``at_least``."""

    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


def command(module: str, function: str, *arguments: object) -> list[str]:
    """A command that calls a module's function with JSON arguments and prints what it returns as JSON."""
    code = (
        f"import json, sys; from importlib import import_module; module = import_module({module!r}); "
        f"print(json.dumps(module.{function}(*json.loads(sys.argv[1]))))"
    )
    return [sys.executable, "-c", code, json.dumps(arguments)]


def in_child(module: str, function: str, *arguments: object, one_core: bool = False) -> dict:
    """What the function returns in a process of its own. Raises RuntimeError where that fails."""
    with child(command(module, function, *arguments), one_core=one_core) as run:
        printed = run.stdout.read()
    if run.returncode:
        raise RuntimeError(f"{function} ended with exit status {run.returncode}; its traceback is above")
    return json.loads(printed.splitlines()[-1])


def child(arguments: list[str], *, one_core: bool = False) -> subprocess.Popen:
    """Start a command with pipes, on one core where the system can."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(on_one_core(arguments) if one_core else arguments, text=True, **pipes)


def own_memory(process: psutil.Process) -> int:
    """The bytes behind no file (on Linux).

    Unlike the unique set size they stay the same when processes come and go whose libraries this one shares.
    """
    return sum(mapping.anonymous + mapping.swap for mapping in process.memory_maps())
