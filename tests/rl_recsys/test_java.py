"""Java keeps what it loaded for the next process. In processes of their own: Java starts once in each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ARCHIVE = "from rl_recsys.shop.java import write_class_archive, class_archive\n"
SEARCH = "from rl_recsys import Shop; print(len(Shop.open({!r}).search('shirt')))"


def run(code: str, cache: Path, **environment: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)} | environment
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def cache(tmp_path_factory, shop_folder) -> Path:
    """A cache folder with an archive."""
    folder = tmp_path_factory.mktemp("cache")
    search = SEARCH.format(str(shop_folder))
    written = run(f"{ARCHIVE}write_class_archive({search!r})", folder)
    assert written.returncode == 0, written.stderr
    return folder


def classes_from_the_archive(shop_folder: Path, cache: Path, log: Path) -> int:
    found = run(SEARCH.format(str(shop_folder)), cache, JAVA_TOOL_OPTIONS=f"-Xlog:class+load:file={log}")
    assert found.returncode == 0, found.stderr
    assert found.stdout == "5\n"
    return log.read_text().count("source: shared objects file")


def test_a_search_takes_its_classes_from_the_archive(tmp_path, shop_folder, cache):
    assert [path.suffix for path in (cache / "rl-recsys").iterdir()] == [".jsa"]
    assert classes_from_the_archive(shop_folder, cache, tmp_path / "with") > 3_000
    assert classes_from_the_archive(shop_folder, tmp_path / "none", tmp_path / "without") == 0


def test_a_damaged_archive_is_passed_over_and_leaves_the_output_alone(tmp_path, shop_folder, cache):
    (whole,) = (cache / "rl-recsys").iterdir()
    damaged = tmp_path / "cache" / "rl-recsys" / whole.name
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(whole.read_bytes()[:100_000])
    assert classes_from_the_archive(shop_folder, tmp_path / "cache", tmp_path / "log") == 0


def test_an_archive_that_cannot_be_made_is_an_error_that_says_why(tmp_path, cache):
    file = tmp_path / "file"
    file.write_text("")
    code = f"{ARCHIVE}write_class_archive('')"
    assert "cannot be written" in run(code, file).stderr
    failing = run(f"{ARCHIVE}write_class_archive('raise SystemExit(3)')", tmp_path / "new").stderr
    assert "ended with exit status 3" in failing
    # One that is there is not made again.
    assert run(f"{ARCHIVE}write_class_archive('raise SystemExit(3)')", cache).returncode == 0
