"""What figures were made with: the machine, the packages, the version of the code."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import psutil

_PROCESSORS = Path("/proc/cpuinfo")


def machine() -> str:
    """The processor, cores, memory, system and Python of this machine in one line."""
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{_processor()}, {psutil.cpu_count()} cores, {memory:.0f} GiB, {system}"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Package -> installed version. Raises PackageNotFoundError for one that is not."""
    return {name: version(name) for name in packages}


def commit() -> str:
    """The commit of the code that runs, this package's, and whether that was changed since; "unknown" where it lies in
    no git repository."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        found = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found + (" with changes" if changed.strip() else "")


def _processor() -> str:
    try:
        lines = _PROCESSORS.read_text().splitlines()
    except OSError:  # there is none, or it is not shown
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
