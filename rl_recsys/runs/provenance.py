"""What figures were made with: the machine, the packages, the version of the code."""

from __future__ import annotations

import platform
import subprocess
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from rl_recsys.storage.files import read_json, write_json

PROJECT = "rl-recsys"
#: What decides what a run comes to.
PACKAGES = ("ray", "torch", "transformers", "tokenizers", "pyserini", "gymnasium", "numpy", "pyarrow")
MADE_WITH = "made_with"  # in what is made: its makers, one or, where several went on with it, more
MAKERS = "made_with.json"  # in the folder of a run
GIT_PATIENCE_S = 5.0
_PROCESSORS = Path("/proc/cpuinfo")


def machine() -> str:
    """The processor, cores, memory, system and Python of this machine in one line."""
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{_processor()}, {psutil.cpu_count()} cores, {memory:.0f} GiB, {system}"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Package -> installed version. Raises PackageNotFoundError for one that is not."""
    return {name: version(name) for name in packages}


def maker() -> dict[str, Any]:
    """What makes something now: {"version", "commit", "packages", "machine"} of this project, as JSON has it."""
    return deepcopy(_maker())


@cache
def _maker() -> dict[str, Any]:
    return {"version": project_version(), "commit": commit(), "packages": installed(PACKAGES), "machine": machine()}


def note_maker(folder: Path) -> list[dict[str, Any]]:
    """All makers of a folder that several processes work on one after the other, this one included, the first first.

    They are kept in a file of their own, which no settings are compared with: another version may go on.
    """
    found = read_json(folder / MAKERS)
    makers = found if are_makers(found) else []
    if maker() not in makers:
        makers.append(maker())
        write_json(folder / MAKERS, makers)
    return makers


def are_makers(value: object) -> bool:
    """Whether a value of a file is what ``note_maker`` returns."""
    return isinstance(value, list) and all(
        isinstance(one, dict) and isinstance(one.get("packages"), dict) for one in value
    )


def made_by(makers: Mapping[str, Sequence[Mapping]]) -> str:
    """What a page says of the makers of its parts, by the names of these; several at once are a mixture.

    A part without any is of a version that did not say.
    """
    parts: dict[str, list[str]] = {}
    for name, found in makers.items():
        for one in found or [{}]:
            parts.setdefault(_described(one), []).append(name)
    if len(parts) == 1:
        return next(iter(parts))
    return "A MIXTURE. " + "; ".join(f"{', '.join(names)}: {described}" for described, names in parts.items())


def _described(one: Mapping) -> str:
    if not one:
        return "not known"
    packages = ", ".join(f"{name} {found}" for name, found in one.get("packages", {}).items())
    return f"version {one.get('version')}, commit {one.get('commit')}, {packages}, on {one.get('machine')}"


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Package -> version, of those that are there."""
    found = {}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def project_version() -> str:
    """This project's version: a checkout's own, else the installed one's; "unknown" where neither says it."""
    try:
        return tomllib.loads((_root() / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    except (OSError, ValueError, KeyError):
        return installed([PROJECT]).get(PROJECT, "unknown")


def commit() -> str:
    """The commit of the checkout that runs, and whether it was changed since, where git is there to say so.

    "unknown" where it is no checkout: a repository that an installed package lies in by chance is another's.
    """
    found = _head(_root() / ".git")
    if not found:
        return "unknown"
    git = ["git", "-C", str(_root()), "status", "--porcelain"]
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(git, capture_output=True, text=True, check=True, timeout=GIT_PATIENCE_S)
        return found + (" with changes" if done.stdout.strip() else "")
    return found


def _root() -> Path:
    """What holds this package: in a checkout the repository."""
    return Path(__file__).resolve().parents[2]


def _head(git: Path) -> str:
    """The commit that is checked out in a repository, read from its files; "" where there is none."""
    try:
        if git.is_file():  # of a further worktree
            git = git.parent / git.read_text().partition("gitdir: ")[2].strip()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        common = git / (git / "commondir").read_text().strip() if (git / "commondir").is_file() else git
        for place in (git, common):
            if (place / name).is_file():
                return (place / name).read_text().strip()
        packed = (line.split() for line in (common / "packed-refs").read_text().splitlines())
        return next((words[0] for words in packed if words[1:] == [name]), "")
    except OSError:
        return ""


def _processor() -> str:
    try:
        lines = _PROCESSORS.read_text().splitlines()
    except OSError:  # there is none, or it is not shown
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
