"""What figures say they were made with."""

import json
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version

import pytest

from rl_recsys.runs import provenance as machine


def test_a_machine_is_named_with_its_cores_and_python(monkeypatch, tmp_path):
    said = machine.machine()
    assert re.search(r"\S, \d+ cores, \d+ GiB, ", said) and said.endswith(f"Python {platform.python_version()}")
    known = tmp_path / "cpuinfo"
    known.write_text("processor\t: 0\nmodel name\t: Abacus 9: wooden\nmodel name\t: Abacus 9: wooden\n")
    for path, name in ((known, "Abacus 9: wooden, "), (tmp_path / "none", platform.processor() or platform.machine())):
        monkeypatch.setattr(machine, "_PROCESSORS", path)
        assert machine.machine().startswith(name)


def test_packages_are_named_with_their_versions():
    assert machine.versions(["numpy"]) == {"numpy": version("numpy")}
    with pytest.raises(PackageNotFoundError):
        machine.versions(["no-such-package"])


@pytest.fixture
def checkout(monkeypatch, tmp_path):
    """The package in a folder of its own, and git in it."""
    place = tmp_path / "checkout"
    monkeypatch.setattr(machine, "__file__", str(place / "rl_recsys" / "runs" / "provenance.py"))
    place.mkdir()

    def git(*arguments):
        author = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(place), *author, *arguments], check=True, capture_output=True)

    machine._maker.cache_clear()
    yield place, git
    machine._maker.cache_clear()


def test_a_commit_is_named_where_there_is_one(monkeypatch, checkout):
    place, git = checkout
    assert machine.commit() == "unknown"
    git("init")
    assert machine.commit() == "unknown"
    git("commit", "--allow-empty", "-m", "first")
    first = machine.commit()
    assert re.fullmatch("[0-9a-f]{40}", first)
    (place / "new.py").touch()
    assert machine.commit() == first + " with changes"
    git("pack-refs", "--all")
    monkeypatch.setenv("PATH", "")
    assert machine.commit() == first  # git is not needed


def test_a_commit_is_named_in_a_worktree_and_where_no_branch_is(monkeypatch, checkout):
    place, git = checkout
    git("init")
    git("commit", "--allow-empty", "-m", "first")
    first = machine.commit()
    git("worktree", "add", "-b", "other", "../other")
    git("checkout", "--detach")
    assert machine.commit() == first
    monkeypatch.setattr(machine, "__file__", str(place.parent / "other" / "rl_recsys" / "runs" / "provenance.py"))
    assert machine.commit() == first


def test_a_repository_that_a_package_is_installed_into_is_not_its_own(monkeypatch, checkout):
    place, git = checkout
    git("init")
    git("commit", "--allow-empty", "-m", "first")
    inside = place / ".venv" / "lib" / "rl_recsys" / "runs" / "provenance.py"
    monkeypatch.setattr(machine, "__file__", str(inside))
    assert machine.commit() == "unknown"


def test_a_maker_says_version_commit_packages_and_machine(checkout):
    place, _ = checkout
    (place / "pyproject.toml").write_text('[project]\nname = "rl-recsys"\nversion = "7.5"\n')
    found = machine.maker()
    assert found["version"] == "7.5" and found["commit"] == "unknown" and found["machine"] == machine.machine()
    assert found["packages"]["numpy"] == version("numpy")
    assert machine.installed(["numpy", "no-such-package"]) == {"numpy": version("numpy")}


def test_a_folder_keeps_all_its_makers(monkeypatch, tmp_path):
    first = machine.note_maker(tmp_path)
    assert machine.note_maker(tmp_path) == first == [machine.maker()]
    other = machine.maker() | {"version": "8"}
    monkeypatch.setattr(machine, "_maker", lambda: other)
    assert machine.note_maker(tmp_path) == [*first, other] == json.loads((tmp_path / machine.MAKERS).read_text())
    (tmp_path / machine.MAKERS).write_text("damaged")
    assert machine.note_maker(tmp_path) == [other]


def test_a_mixture_of_makers_is_marked():
    one = {"version": "1", "commit": "abc", "packages": {"ray": "2.60.0"}, "machine": "M"}
    said = "version 1, commit abc, ray 2.60.0, on M"
    assert machine.made_by({"imitation": [one], "dpo": [one]}) == said
    mixed = machine.made_by({"imitation": [one], "dpo": [one, one | {"commit": "def"}], "ppo": []})
    assert mixed.startswith(f"A MIXTURE. imitation, dpo: {said}; dpo: version 1, commit def, ")
    assert mixed.endswith("; ppo: not known")
