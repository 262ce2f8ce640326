"""Folders in buckets: read through one copy a node, written through a working folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import fsspec
import pytest

from rl_recsys.core.trajectory import TrajectoryError, read_trajectories
from rl_recsys.storage import locations as storage
from rl_recsys.storage.files import DiskError
from rl_recsys.storage.folders import CONTENTS, FolderError
from rl_recsys.storage.locations import (
    StorageError,
    absolute,
    inside,
    local_folder,
    place_of,
    same_place,
    working_folder,
)
from rl_recsys.webshop import Shop, ShopError


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(storage, "_looked", {})
    monkeypatch.setattr(storage, "LOOK_EVERY_S", -1.0)  # ask every time


@pytest.fixture(params=["memory", "file"])
def bucket(request, tmp_path) -> str:
    """The URI of an empty place: fsspec's storage in memory, and Arrow's own of files."""
    yield f"memory://{tmp_path.name}" if request.param == "memory" else f"file://{tmp_path}/bucket"
    fsspec.filesystem("memory").store.clear()


def put(uri: str, **files: str) -> None:
    for name, text in files.items():
        with fsspec.open(f"{uri}/{name}.txt", "w", auto_mkdir=True) as file:
            file.write(text)


def listed(uri: str) -> set[str]:
    files, root = fsspec.core.url_to_fs(uri)
    return {path.removeprefix(root).strip("/") for path in files.find(root)}


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_path_is_itself(tmp_path):
    assert local_folder(tmp_path) == local_folder(str(tmp_path)) == tmp_path
    with working_folder(str(tmp_path / "run")) as folder:
        assert folder == tmp_path / "run"
    assert absolute("shops/a") == str(Path.cwd() / "shops" / "a")
    assert absolute("s3://b/shops/a") == "s3://b/shops/a"
    assert inside("s3://b/run/", "policy") == "s3://b/run/policy"
    assert inside("run", "policy") == Path("run/policy")


def test_a_node_keeps_one_copy_and_fetches_only_what_changed(bucket, monkeypatch):
    fetched = []
    download = storage._download
    monkeypatch.setattr(storage, "_download", lambda *one: (fetched.append(one[2].name), download(*one)))
    put(bucket, a="1", b="2")
    folder = local_folder(bucket)
    assert contents(folder) == {"a.txt": "1", "b.txt": "2"}
    assert local_folder(f"{bucket}/") == folder and sorted(fetched) == ["a.txt", "b.txt"]
    held = open(folder / "b.txt")  # noqa: SIM115  as a process that has it mapped
    put(bucket, b="22", c="3")
    assert contents(local_folder(bucket)) == {"a.txt": "1", "b.txt": "22", "c.txt": "3"}
    assert held.read() == "2" and sorted(fetched[2:]) == ["b.txt", "c.txt"]
    held.close()
    monkeypatch.setattr(storage, "LOOK_EVERY_S", 1000.0)
    put(bucket, b="222")
    assert contents(local_folder(bucket))["b.txt"] == "22"  # a process does not ask all the time


@pytest.mark.parametrize(
    "damage",
    [
        lambda copy: (copy / "a.txt").unlink(),
        lambda copy: (copy / "a.txt").write_text("9"),
        lambda copy: (copy.parent / CONTENTS).unlink(),
        lambda copy: (copy.parent / CONTENTS).write_text("{"),
        lambda copy: Path(f"{copy.parent}.json").write_text("[1]"),
        lambda copy: Path(f"{copy.parent}.json").write_text('{"a.txt": [1, 2]}'),
        lambda copy: shutil.rmtree(copy.parent),
    ],
    ids=["removed", "changed", "list removed", "list damaged", "no entries", "entries of before", "all removed"],
)
def test_a_copy_that_was_damaged_or_cleaned_away_is_fetched_again(bucket, damage):
    put(bucket, a="1", b="2")
    copy = local_folder(bucket)
    damage(copy)
    put(bucket, b="22")
    assert local_folder(bucket) == copy and contents(copy) == {"a.txt": "1", "b.txt": "22"}


def test_a_damaged_copy_of_a_shop_is_mended_and_a_damaged_shop_is_named_where_it_is(
    shop_folder, bucket, monkeypatch, capsys
):
    """While a process does not ask, and where the copy is as it was fetched."""
    monkeypatch.setattr(storage, "LOOK_EVERY_S", 1000.0)
    with working_folder(bucket) as folder:
        shutil.copytree(shop_folder, folder, dirs_exist_ok=True)
    goals = local_folder(bucket) / "goals.arrow"
    held = goals.read_bytes()
    for damaged in (None, held[:-9], b"\0" * len(held)):
        goals.unlink() if damaged is None else goals.write_bytes(damaged)
        Shop.open(bucket).close()
        assert goals.read_bytes() == held and f"fetched again from {bucket}" in capsys.readouterr().out
    with fsspec.open(f"{bucket}/goals.arrow", "wb") as file:
        file.write(held[:-9])
    goals.unlink()
    with pytest.raises(ShopError, match=rf"goals\.arrow: .*prepare\.py; .* is this node's copy of {bucket}, and"):
        Shop.open(bucket)


def test_what_is_not_there_is_named(bucket):
    with pytest.raises(StorageError, match="nothing is there"):
        local_folder(f"{bucket}/none")
    with pytest.raises(StorageError, match="nowhere://x: cannot be read"):
        local_folder("nowhere://x")
    with pytest.raises(StorageError, match="nowhere://x: cannot be written"), working_folder("nowhere://x"):
        pass


def test_a_working_folder_ends_up_in_its_place(bucket, capsys):
    with working_folder(bucket) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "log").write_text("one\n")
        (folder / ".unfinished").write_text("half")
    assert listed(bucket) == {"deep/log", ".index.json"}
    assert not folder.exists() and f"{bucket}: all is there" in capsys.readouterr().out
    with pytest.raises(RuntimeError), working_folder(bucket) as folder:
        assert contents(folder) == {"deep/log": "one\n"}
        (folder / "deep" / "log").unlink()
        (folder / "failed").write_text("why")
        raise RuntimeError
    assert listed(bucket) == {"failed", ".index.json"}


def test_it_is_copied_meanwhile(bucket, monkeypatch):
    monkeypatch.setattr(storage, "COPY_EVERY_S", 0.01)
    with working_folder(bucket) as folder:
        (folder / "checkpoint").write_text("1")
        while "checkpoint" not in listed(bucket):
            pass


def test_a_copy_that_was_cut_short_is_not_begun_with(bucket, monkeypatch):
    with working_folder(bucket) as folder:
        (folder / "checkpoint-1").mkdir()
        (folder / "checkpoint-1" / "state").write_text("1")
    upload = storage._upload

    def killed(source, *rest):
        if source.name == "list":
            raise KeyboardInterrupt
        return upload(source, *rest)

    monkeypatch.setattr(storage, "_upload", killed)
    with pytest.raises(KeyboardInterrupt), working_folder(bucket) as folder:
        (folder / "checkpoint-1" / "state").unlink()
        (folder / "checkpoint-2").mkdir()
        (folder / "checkpoint-2" / "a").write_text("2")
        (folder / "checkpoint-2" / "list").write_text("a")
    assert "checkpoint-2/a" in listed(bucket)
    monkeypatch.setattr(storage, "_upload", upload)
    with working_folder(bucket) as folder:
        assert contents(folder) == {"checkpoint-1/state": "1"}
        (folder / "checkpoint-2").mkdir()
        (folder / "checkpoint-2" / "a").write_text("3")
    with working_folder(bucket) as folder:
        assert contents(folder) == {"checkpoint-1/state": "1", "checkpoint-2/a": "3"}


def test_a_storage_that_fails_is_tried_again_and_what_was_written_is_kept(bucket, monkeypatch, capsys):
    monkeypatch.setattr(storage, "COPY_EVERY_S", 0.01)
    failed = []

    def fails(*_):
        failed.append(1)
        raise OSError("no network")

    monkeypatch.setattr(storage, "_upload", fails)
    with pytest.raises(StorageError, match="cannot be written .no network"), working_folder(bucket) as folder:
        (folder / "a").write_text("1")
        while len(failed) < 2:
            pass
    assert (folder / "a").read_text() == "1"
    assert "no network); it is tried again" in capsys.readouterr().out


def test_a_shop_is_opened_and_trajectories_are_read_where_they_lie(shop, shop_folder, bucket):
    with working_folder(bucket) as folder:
        for path in shop_folder.rglob("*"):
            if path.is_file():
                (folder / path.relative_to(shop_folder)).parent.mkdir(parents=True, exist_ok=True)
                (folder / path.relative_to(shop_folder)).write_bytes(path.read_bytes())
    with_copy = Shop.open(bucket)
    assert with_copy.fingerprint == shop.fingerprint and with_copy.search("red shirt") == shop.search("red shirt")
    with_copy.close()
    put(f"{bucket}-other", a="1")
    with pytest.raises(ShopError, match="no shop here"):
        Shop.open(f"{bucket}-other")
    with pytest.raises(TrajectoryError, match="no trajectories here"):
        next(read_trajectories(f"{bucket}-other"))


def test_names_that_would_leave_the_copy_or_the_working_folder_are_refused(monkeypatch, tmp_path):
    """A6: a bucket may hold a key with "..", which Arrow passes on."""
    put("memory://b", a="1")
    entries = storage._entries
    monkeypatch.setattr(storage, "_entries", lambda *of: entries(*of) | {"../../outside.txt": (1, 1)})
    with pytest.raises(FolderError, match="'../../outside.txt' cannot be the name"):
        local_folder("memory://b")
    with pytest.raises(FolderError, match="'../../outside.txt' cannot be the name"), working_folder("memory://b"):
        pass
    assert not list(tmp_path.rglob("outside*"))
    fsspec.filesystem("memory").store.clear()


def test_a_home_that_cannot_be_written_to_gives_its_place_to_temporary_files(bucket, monkeypatch, tmp_path, capsys):
    """E1: said once, and the copy is where only this user can put anything."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    put(bucket, a="1")
    folder = local_folder(bucket)
    assert contents(local_folder(bucket)) == {"a.txt": "1"}
    assert folder.is_relative_to(tmp_path / f"rl-recsys-{os.getuid()}")
    assert capsys.readouterr().out.count("XDG_CACHE_HOME names another place") == 1
    (tmp_path / f"rl-recsys-{os.getuid()}").chmod(0o777)
    with pytest.raises(DiskError, match="file/rl-recsys/copies: cannot be written .*XDG_CACHE_HOME names another"):
        local_folder(bucket)


@pytest.mark.parametrize("cache", ["elsewhere with spaces", "", None])
def test_the_command_of_the_docs_frees_the_space(bucket, monkeypatch, tmp_path, cache):
    page = (Path(__file__).parents[3] / "docs" / "cluster" / "run.md").read_text()
    command = re.search(r"To free the space\W+`([^`]+)`", page)[1]
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if cache is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", cache and str(tmp_path / cache))
    put(bucket, a="1")
    folder = local_folder(bucket)
    assert folder.is_relative_to(tmp_path / (cache or "home"))
    subprocess.run(["sh", "-c", command], check=True)
    assert not folder.exists() and not folder.parent.parent.exists()
    assert contents(local_folder(bucket)) == {"a.txt": "1"}


def test_places_have_names_and_a_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert absolute("~/shop") == str(tmp_path / "shop") and local_folder("~/shop") == tmp_path / "shop"
    assert same_place(f"file://{tmp_path}/shop/", "~/shop") and not same_place("~/shop", "s3://shop")
    with working_folder("memory://team/runs/a") as folder:
        assert folder.name == "a" and place_of(folder / "policy") == "memory://team/runs/a/policy"
        assert place_of(folder) == "memory://team/runs/a" and place_of(tmp_path) == str(tmp_path)
    assert place_of(folder) == str(folder)


def test_processes_of_a_node_share_one_copy(tmp_path):
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "a.txt").write_text("1")
    code = "import sys; from rl_recsys.storage.locations import local_folder; print(local_folder(sys.argv[1]))"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, f"file://{tmp_path}/bucket"], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [process.communicate()[0].splitlines() for process in processes]
    assert sum(line.startswith("copying file://") for lines in said for line in lines) == 1
    folders = {lines[-1] for lines in said}
    assert all(process.returncode == 0 for process in processes) and len(folders) == 1
    known = json.loads(Path(f"{Path(folders.pop()).parent}.json").read_text())
    assert list(known) == ["a.txt"] and os.environ["XDG_CACHE_HOME"] == str(tmp_path / "cache")
