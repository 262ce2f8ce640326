"""What figures say they were made with."""

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


def test_a_commit_is_named_where_there_is_one(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "machine.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert machine.commit() == "unknown"

    def git(*arguments):
        author = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(tmp_path), *author, *arguments], check=True, capture_output=True)

    git("init")
    git("commit", "--allow-empty", "-m", "first")
    first = machine.commit()
    assert re.fullmatch("[0-9a-f]{40}", first)
    (tmp_path / "new.py").touch()
    assert machine.commit() == first + " with changes"
    monkeypatch.setenv("PATH", "")
    assert machine.commit() == "unknown"
