"""The floors of the house: an import only points down."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Each room, and what it may import of the project and of the libraries that the floors keep apart.
MAY_IMPORT = {
    "rl_recsys": {"rl_recsys"},
    "envs": {"envs", "rl_recsys"},
    "policies": {"policies", "rl_recsys"},
    "algorithms": {"algorithms", "policies", "envs", "rl_recsys"},
    "jobs": {"algorithms", "policies", "envs", "rl_recsys"},
}
LIBRARIES = {"rl_recsys": {"ray", "torch", "transformers", "gymnasium"}, "envs": {"torch", "transformers"}}
ROOMS = set(MAY_IMPORT)


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides its floor"
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_imports_point_down(room):
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        names = imported(path)
        assert names & ROOMS <= MAY_IMPORT[room], path
        assert not names & LIBRARIES.get(room, set()), path


def test_ray_meets_the_environments_and_policies_only_where_it_must():
    """The environments and the model work without Ray; only these two files are for RLlib."""
    users = {
        str(path.relative_to(ROOT))
        for room in ("envs", "policies")
        for path in (ROOT / room).rglob("*.py")
        if "ray" in imported(path)
    }
    assert users == {"envs/__init__.py", "policies/rllib.py"}


def test_what_every_ray_worker_imports_is_light():
    """Ray starts idle workers by the number of cores, and each runs the setup hook: RLlib and torch take seconds."""
    code = (
        "import sys, algorithms.cluster.connection; print({'torch', 'transformers', 'ray.rllib'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"


def test_only_the_terminals_place_prints():
    """What is printed elsewhere would reach the terminal as data has it: markup, escape sequences, line breaks."""
    printing = set()
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
            if {call.id for call in calls if isinstance(call, ast.Name)} & {"print", "Console"}:
                printing.add(str(path.relative_to(ROOT)))
    assert printing == {
        "rl_recsys/console/terminal.py",
        "rl_recsys/webshop/benchmark.py",
    }  # the other tells a parent process
