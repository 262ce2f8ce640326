"""Folders that are made whole: what they replace, what they never touch, and what they say of themselves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_recsys.storage import folders
from rl_recsys.storage.folders import (
    CONTENTS,
    DamageError,
    FolderError,
    read_contents,
    require_replaceable,
    verify_folder,
    whole_folder,
    within,
)


def make(target: Path, *, kind: str = "shop", **files: str) -> None:
    with whole_folder(target, kind=kind) as aside:
        (aside / "deep").mkdir()
        for name, text in files.items():
            (aside / "deep" / name).write_text(text)


def tree(folder: Path) -> dict[str, bytes | str]:
    """Everything below a folder: the bytes of files, where links lead, and "" for folders."""
    return {
        path.relative_to(folder).as_posix(): os.readlink(path) if path.is_symlink()
        else path.read_bytes() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }  # fmt: skip


def test_a_folder_says_what_it_is_and_replaces_one_of_its_kind(tmp_path):
    target = tmp_path / "new" / "shop"
    make(target, a="1", b="2")
    assert json.loads((target / CONTENTS).read_text())["kind"] == "shop"
    assert read_contents(target, "x").keys() == {"deep/a", "deep/b"} and verify_folder(target, "x")
    make(target, c="3")
    assert (target / "deep" / "c").read_text() == "3" and read_contents(target, "x").keys() == {"deep/c"}
    assert [path.name for path in target.parent.iterdir()] == ["shop"]
    (tmp_path / "empty").mkdir()
    make(tmp_path / "empty", a="1")
    assert verify_folder(tmp_path / "empty", "x")


def a_folder_of_a_user(at: Path) -> None:
    (at / "work").mkdir(parents=True)
    (at / "work" / "thesis.txt").write_text("years")


def a_file(at: Path) -> None:
    at.write_text("years")


def a_shop_with_notes(at: Path) -> None:
    make(at, a="1")
    (at / "deep" / "notes.txt").write_text("years")


def a_shop_with_a_link(at: Path) -> None:
    make(at, a="1")
    (at / "link").symlink_to("/etc")


def a_shop_with_an_empty_folder(at: Path) -> None:
    make(at, a="1")
    (at / "deep" / "mine" / "to come").mkdir(parents=True)


def a_folder_of_folders(at: Path) -> None:
    (at / "work" / "to come").mkdir(parents=True)


def a_policy(at: Path) -> None:
    make(at, kind="policy", a="1")


def a_damaged_listing(at: Path) -> None:
    make(at, a="1")
    (at / CONTENTS).write_text('{"kind": "shop", "files": ["deep/a"]}')


def a_manifest_of_somebody_else(at: Path) -> None:
    at.mkdir()
    (at / "manifest.json").write_text("{}")


FOREIGN = {
    a_folder_of_a_user: "holds files that are no shop of this project .work/thesis.txt.",
    a_file: "is a file",
    a_shop_with_notes: "holds files that do not belong to the shop in it .deep/notes.txt.",
    a_shop_with_a_link: "holds files that do not belong to the shop in it .link.",
    a_shop_with_an_empty_folder: "holds files that do not belong to the shop in it .deep/mine/to come/.",
    a_folder_of_folders: "holds files that are no shop of this project .work/to come/.",
    a_policy: "holds a policy, not a shop",
    a_damaged_listing: "holds files that are no shop of this project",
    a_manifest_of_somebody_else: "holds files that are no shop of this project .manifest.json.",
}


@pytest.mark.parametrize("put", FOREIGN, ids=lambda put: put.__name__)
def test_what_is_not_ours_is_refused_before_anything_is_made_and_left_as_it_was(tmp_path, put):
    target = tmp_path / "out"
    put(target)
    before = tree(tmp_path)
    with pytest.raises(FolderError, match=f"{target} {FOREIGN[put]}"), whole_folder(target, kind="shop"):
        pytest.fail("the work was begun")
    assert tree(tmp_path) == before


def test_a_folder_whose_own_files_were_removed_is_made_again(tmp_path):
    make(tmp_path / "out", a="1")
    (tmp_path / "out" / "deep" / "a").unlink()
    make(tmp_path / "out", b="2")
    assert (tmp_path / "out" / "deep" / "b").read_text() == "2"
    with whole_folder(tmp_path / "other", kind="shop") as aside:
        (aside / "a").write_text("1")
        (aside / "empty" / "too").mkdir(parents=True)
    make(tmp_path / "other", a="1")


def test_files_that_came_while_it_was_made_are_not_replaced(tmp_path):
    target = tmp_path / "out"
    make(target, a="1")
    with pytest.raises(FolderError, match="notes"), whole_folder(target, kind="shop") as aside:
        (aside / "b").write_text("2")
        (target / "notes").write_text("years")
    assert tree(tmp_path).keys() == {"out", "out/contents.json", "out/deep", "out/deep/a", "out/notes"}


def test_a_folder_of_an_earlier_version_is_known_by_its_names(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("1")
    with pytest.raises(FolderError):
        require_replaceable(tmp_path / "out", kind="shop")
    require_replaceable(tmp_path / "out", kind="shop", unlisted=lambda folder: {"a"})
    assert not verify_folder(tmp_path / "out", "x")


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "shop")
    make(tmp_path / "link", a="1")  # dangling: it makes what the link points to
    assert (tmp_path / "disk" / "shop" / "deep" / "a").read_text() == "1"
    make(tmp_path / "link", b="2")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "disk" / "shop" / "deep" / "b").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"link", "disk"}
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["shop"]


def test_neighbours_of_similar_names_stay_and_what_a_kill_left_goes(tmp_path):
    for name in (".shop-backup", ".shop-1", ".shop[1]-x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text("years")
    (tmp_path / ".shop-2").mkdir()
    (tmp_path / ".shop-2" / "maker.json").write_text('{"target": "other"}')
    before = tree(tmp_path)
    code = (
        "import os, sys; from pathlib import Path; from rl_recsys.storage.folders import whole_folder\n"
        "with whole_folder(sys.argv[1], kind='shop') as aside:\n    os.kill(os.getpid(), 9)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path / "shop")], check=False)
    assert run.returncode == -signal.SIGKILL and len(list(tmp_path.iterdir())) == 5
    make(tmp_path / "shop", a="1")
    left = tree(tmp_path)
    assert {name: data for name, data in left.items() if name.startswith(".")} == before
    make(tmp_path / "shop[1]", a="1")
    assert (tmp_path / ".shop[1]-x" / "mine").is_file()


def test_several_at_once_leave_one_of_them_whole(tmp_path):
    target = tmp_path / "one"
    with whole_folder(target, kind="shop") as first:
        (first / "a").write_text("")
        with whole_folder(target, kind="shop") as second:
            (second / "b").write_text("")
    assert {path.name for path in target.iterdir()} == {"a", CONTENTS}
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("ended", [KeyboardInterrupt, OSError])
def test_an_end_between_the_steps_of_a_swap_loses_nothing(tmp_path, monkeypatch, ended):
    target = tmp_path / "one"
    make(target, a="1")
    rename, done = os.rename, []

    def cut(source, place):
        rename(source, place)
        if Path(source) == target:
            done.append(1)
            raise ended

    monkeypatch.setattr(folders.os, "rename", cut)
    with pytest.raises(ended):
        make(target, b="2")
    assert done and read_contents(target, "x").keys() == {"deep/b"} and verify_folder(target, "x")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_what_differs_is_named(tmp_path):
    target = tmp_path / "one"
    make(target, a="1", b="2")
    (target / "deep" / "a").write_text("2")
    with pytest.raises(DamageError, match="deep/a: damaged .its checksum differs.; copy it again"):
        verify_folder(target, "copy it again")
    (target / "deep" / "a").write_text("11")
    with pytest.raises(DamageError, match="deep/a: 2 bytes, expected 1; copy"):
        verify_folder(target, "copy it again")
    (target / "deep" / "a").unlink()
    with pytest.raises(DamageError, match="deep/a: missing; copy"):
        verify_folder(target, "copy it again")
    (target / CONTENTS).write_text('{"kind": "shop", "files": {"../a": {"bytes": 1, "sha256": ""}}}')
    with pytest.raises(FolderError, match="'../a' cannot be the name"):
        verify_folder(target, "copy it again")
    (target / CONTENTS).write_text('{"kind": "shop"')
    with pytest.raises(DamageError, match="contents.json: damaged"):
        verify_folder(target, "copy it again")


@pytest.mark.parametrize(
    "name",
    ["..", "../a", "a/../../b", "/etc/passwd", "", "a//b", "./a", "..\\a", "a\\..\\..\\b", "C:\\a", "C:a", "a\0"],
)
def test_a_name_that_could_lead_out_is_refused(tmp_path, name):
    with pytest.raises(FolderError, match="could lie outside"):
        within(tmp_path, name)


@given(st.text(max_size=30))
def test_a_name_stays_inside_or_is_refused(name):
    root = Path("/somewhere/deep")
    try:
        path = within(root, name)
    except FolderError:
        return
    assert os.path.normpath(path) == str(path) and path.is_relative_to(root) and path != root
