"""The floors of the house: an import only points down."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
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
#: The floors within two of the rooms, from the ground up: an import points to the same floor or down.
INNER = {
    "rl_recsys": (
        ("checkout", "errors", "console"), ("storage",), ("runs",), ("core",),
        ("evaluation", "webshop", "replay"), ("recogym", "virtual_taobao"),
    ),
    "algorithms": (
        ("common", "cluster"), ("rollouts",), ("imitation",), ("dpo", "ppo", "grpo"), ("runs", "registration"),
        ("tuning", "experiments", "services"), ("benchmarks",),
    ),
}  # fmt: skip
#: Names of WebShop's world, and of the BERT choice model: what does not know them can serve another.
WEBSHOP = {"Shop", "shared_shop", "Goal", "Product", "ChoiceSession", "ChoiceKind", "GoalVariations", "REWARD_PARTS"}
WEBSHOP |= {"asin", "goal_options", "heuristic_shopper", "rule_shopper", "scripted_shopper", "search_candidates"}
BERT_CHOICE = {"BertChoice", "ChoiceConfig", "TextEncoder", "EncodingCache"}
#: The rooms of each, and the one door to them that the package opens for everybody.
WEBSHOP_ROOMS = ("rl_recsys/webshop/", "envs/webshop_", "rl_recsys/__init__.py", "rl_recsys/replay.py")
WEBSHOP_ROOMS += ("algorithms/services/site/",)  # WebShop's pages, drawn for people: another world has other pages
BERT_CHOICE_ROOMS = ("policies/bert_choice/",)


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


@pytest.mark.parametrize("room", sorted(INNER))
def test_imports_point_down_within_a_room(room):
    floors = {name: level for level, names in enumerate(INNER[room]) for name in names}
    packages = {
        path.name for path in (ROOT / room).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert {name.removesuffix(".py") for name in packages} - {"__init__"} == set(floors)
    for path in (ROOT / room).rglob("*.py"):
        own = path.relative_to(ROOT / room).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            module = node.module.split(".") if isinstance(node, ast.ImportFrom) else [""]
            if module[0] == room and len(module) > 1 and own != "__init__":
                assert floors[module[1]] <= floors[own], f"{path} imports {node.module}"


def names_of(path: Path) -> set[str]:
    """The names, attributes and imported modules of a file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(alias.name for alias in node.names)}
    return names


@pytest.mark.parametrize(
    "words, package, rooms",
    [(WEBSHOP, "rl_recsys.webshop", WEBSHOP_ROOMS), (BERT_CHOICE, "policies.bert_choice", BERT_CHOICE_ROOMS)],
)
def test_a_world_and_a_policy_are_known_in_their_own_rooms_only(words, package, rooms):
    knowing = {}
    for room in ("rl_recsys", "envs", "policies", "algorithms"):
        for path in (ROOT / room).rglob("*.py"):
            name = str(path.relative_to(ROOT))
            said = {each for each in names_of(path) if each in words or each.startswith(package)}
            if said and not name.startswith(rooms):
                knowing[name] = said
    assert not knowing


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


def test_a_job_is_short_and_defines_no_class_but_its_flags():
    too_long, with_classes = set(), set()
    for path in (ROOT / "jobs").glob("*.py"):
        text = path.read_text()
        if len(text.splitlines()) > 120:
            too_long.add(path.stem)
        classes = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)}
        if classes - {"Arguments"}:
            with_classes.add(path.stem)
    assert not too_long and not with_classes


def test_no_two_test_files_have_one_name():
    """Folders of tests are no packages: pytest refuses the second file of a name, where it runs both at once."""
    counts = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert not [name for name, count in counts.items() if count > 1]
