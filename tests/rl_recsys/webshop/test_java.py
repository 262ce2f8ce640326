"""Java keeps what it loaded for the next process. In processes of their own: Java starts once in each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ARCHIVE = "from rl_recsys.webshop.search.java import write_class_archive, class_archive\n"
SEARCH = "from rl_recsys import Shop; print(len(Shop.open({!r}).search('shirt')))"


def run(code: str, cache: Path, **environment: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)} | environment
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def cache(tmp_path_factory, shop_folder) -> Path:
    """A cache folder with an archive."""
    folder = tmp_path_factory.mktemp("cache")
    written = run(f"from rl_recsys import Shop; Shop.open({str(shop_folder)!r}).make_searches_start_faster()", folder)
    assert written.returncode == 0, written.stderr
    assert {path.name for path in folder.rglob("java-*/*")} == {"classes.jsa", "contents.json"}
    return folder


def classes_from_the_archive(shop_folder: Path, cache: Path, log: Path) -> int:
    found = run(SEARCH.format(str(shop_folder)), cache, JAVA_TOOL_OPTIONS=f"-Xlog:class+load:file='{log}'")
    assert found.returncode == 0, found.stderr
    assert found.stdout == "5\n"
    lucene = [line for line in log.read_text().splitlines() if "org.apache.lucene" in line]
    assert len(lucene) > 200
    return sum("source: shared objects file" in line for line in lucene)


def test_a_search_takes_its_classes_from_the_archive(tmp_path, shop_folder, cache):
    assert classes_from_the_archive(shop_folder, cache, tmp_path / "with") > 200
    assert classes_from_the_archive(shop_folder, tmp_path / "none", tmp_path / "without") == 0


def test_a_truncated_archive_is_passed_over_and_leaves_the_output_alone(tmp_path, shop_folder, cache):
    (whole,) = cache.rglob("*.jsa")
    truncated = tmp_path / "cache" / whole.relative_to(cache)
    truncated.parent.mkdir(parents=True)
    truncated.write_bytes(whole.read_bytes()[:100_000])
    assert classes_from_the_archive(shop_folder, tmp_path / "cache", tmp_path / "log") == 0


def test_an_archive_that_cannot_be_made_is_an_error_that_says_why(tmp_path, cache):
    file, temporary = tmp_path / "file", tmp_path / "temporary"
    file.write_text("")
    temporary.mkdir()
    (temporary / f"rl-recsys-{os.getuid()}").write_text("")
    code = f"{ARCHIVE}write_class_archive('')"
    assert "cannot be written" in run(code, file, TMPDIR=str(temporary)).stderr
    failing = run(f"{ARCHIVE}write_class_archive('raise SystemExit(3)')", tmp_path / "new").stderr
    assert "ended with exit status 3" in failing
    # One that is there is not made again.
    assert run(f"{ARCHIVE}write_class_archive('raise SystemExit(3)')", cache).returncode == 0


def test_a_path_in_any_letters_is_searched_whatever_the_locale(tmp_path, shop_folder):
    folder = shutil.copytree(shop_folder, tmp_path / "a größe ★")
    code = (
        "from pathlib import Path; from rl_recsys.webshop.search.lucene import build_index; "
        "build_index(Path({!r}), [('a', 'b')])"
    )
    found = run(
        f"{SEARCH.format(str(folder))}\n{code.format(str(tmp_path / 'ö ö'))}", tmp_path / "cache", LC_ALL="C", LANG="C"
    )
    assert found.stdout == "5\n", found.stderr
    assert list((tmp_path / "ö ö").glob("segments_*"))


def test_java_that_another_library_started_is_named(tmp_path, shop_folder):
    start = (
        "import os; from rl_recsys.webshop.search.java import java_home\n"
        "os.environ['JAVA_HOME'] = java_home(); import jnius\n"
    )
    assert (
        "SearchError: Java was started in this process by another library"
        in run(start + SEARCH.format(str(shop_folder)), tmp_path).stderr
    )
