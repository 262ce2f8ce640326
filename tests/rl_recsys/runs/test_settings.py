"""What a folder was made with: which flags make another run, and which are the same run said otherwise."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import pytest

from rl_recsys.runs.settings import SETTINGS, SettingsError, claim, deciding, mark_own, require_own, unmark_unused
from rl_recsys.storage.folders import whole_folder
from rl_recsys.storage.locations import Place, is_of_places


@dataclass(kw_only=True)
class Arguments:
    out: Place
    policy: Place | None = None
    trajectories: Place | None = None
    others: tuple[Place, ...] = ()
    encoder: str = "minilm"
    num_workers: int = 2
    seed: int = 0


def begun(arguments: Arguments, folder: Path) -> None:
    claim(folder, deciding(arguments, ("out", "num_workers")), begun=(folder / SETTINGS).is_file())


def make_policy(folder: Path, weights: str) -> Path:
    with whole_folder(folder, kind="policy") as aside:
        (aside / "weights").write_text(weights)
    return folder


def test_the_same_run_however_its_places_are_called_and_wherever_the_policy_lies(tmp_path, monkeypatch):
    """B13, table B 16: relative or absolute paths, another node's path to the policy, other workers."""
    monkeypatch.chdir(tmp_path)
    policy, run = make_policy(tmp_path / "a" / "policy", "1"), tmp_path / "run"
    (tmp_path / "encoders" / "own").mkdir(parents=True)
    first = Arguments(out="run", policy="a/policy", trajectories="demonstrations", encoder="encoders/own")
    begun(first, run)
    begun(replace(first, policy=str(policy), trajectories=str(tmp_path / "demonstrations"), num_workers=4), run)
    begun(replace(first, policy=Path("./a/../a/policy"), encoder=str(tmp_path / "encoders" / "own")), run)
    begun(replace(first, policy=shutil.copytree(policy, tmp_path / "elsewhere")), run)
    before = (run / SETTINGS).read_bytes()
    monkeypatch.setenv("HOME", str(tmp_path))
    begun(replace(first, policy="~/a/policy"), run)
    assert (run / SETTINGS).read_bytes() == before


def test_another_run_is_named_with_what_differs_and_nothing_is_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    make_policy(tmp_path / "policy", "1")
    first = Arguments(out="run", policy="policy", trajectories="demonstrations")
    begun(first, run)
    before = (run / SETTINGS).read_bytes()
    for other, said in (
        (replace(first, seed=1), "seed: 0 before, 1 now"),
        (replace(first, trajectories="others"), "trajectories: .*/demonstrations before, .*/others now"),
        (replace(first, policy=make_policy(tmp_path / "other", "2")), "policy: .*/policy before, .*/other now"),
        (replace(first, policy=None), "policy: .*/policy before, None now"),
    ):
        with pytest.raises(SettingsError, match=said):
            begun(other, run)
    make_policy(tmp_path / "policy", "3")  # trained again at the same place
    with pytest.raises(SettingsError, match="policy"):
        begun(first, run)
    assert (run / SETTINGS).read_bytes() == before


def test_several_places_are_told_as_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        make_policy(tmp_path / name, name)
    first, run = Arguments(out="run", others=("a", "b")), tmp_path / "run"
    begun(first, run)
    begun(replace(first, others=(tmp_path / "a", "./a/../b")), run)
    begun(replace(first, others=("a", shutil.copytree("b", "elsewhere"))), run)
    for others in (("a",), ("b", "a"), ("a", "nowhere"), ()):
        with pytest.raises(SettingsError, match="others: "):
            begun(replace(first, others=others), run)
    make_policy(tmp_path / "b", "trained again")
    with pytest.raises(SettingsError, match="others: "):
        begun(first, run)


@pytest.mark.parametrize(
    ("hint", "of_places"),
    [
        (Place, True), (Place | None, True), (tuple[Place, ...], True), (tuple[Path, ...] | None, True),
        (Annotated[tuple[Place, ...], "positional"], True), (str, False), (str | None, False),
        (tuple[str, ...] | None, False), (Literal["a", "b"] | None, False),
    ],
)  # fmt: skip
def test_a_flag_of_places_is_known_by_its_type(hint, of_places):
    assert is_of_places(hint) == of_places


def test_a_flag_that_decided_in_an_earlier_version_and_does_not_any_more_may_differ(tmp_path):
    claim(tmp_path, {"seed": 0, "at_once": 2, "shards": 4}, begun=False)
    claim(tmp_path, {"seed": 0}, begun=True, incidental=("at_once", "shards"))
    with pytest.raises(SettingsError, match=r"\(shards: 4 before, None now\)"):
        claim(tmp_path, {"seed": 0}, begun=True, incidental=("at_once",))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"job"', "\xff"])
def test_damaged_settings_are_one_line_and_stay(tmp_path, text):
    """A15."""
    (tmp_path / SETTINGS).write_text(text, encoding="latin-1")
    for refused in (lambda: require_own(tmp_path, "dpo"), lambda: claim(tmp_path, {}, begun=True)):
        with pytest.raises(SettingsError, match=f"{SETTINGS}: damaged .*; .*name|{SETTINGS}: damaged .*--out") as error:
            refused()
        assert "\n" not in str(error.value)
    assert (tmp_path / SETTINGS).read_text(encoding="latin-1") == text


def test_a_job_marks_a_new_folder_goes_on_in_its_own_and_leaves_no_mark_unused(tmp_path):
    mark_own(tmp_path, "evaluate")
    unmark_unused(tmp_path)
    assert list(tmp_path.iterdir()) == []
    mark_own(tmp_path, "evaluate")
    (tmp_path / "table.md").write_text("")
    unmark_unused(tmp_path)
    require_own(tmp_path, "evaluate")
    claim(tmp_path, {"seed": 1}, begun=False)
    assert json.loads((tmp_path / SETTINGS).read_text()) == {"job": "evaluate", "seed": 1}
    with pytest.raises(SettingsError, match=r"was made by jobs/evaluate\.py, not by jobs/tune\.py"):
        require_own(tmp_path, "tune")
    require_own(tmp_path, "report", also=("evaluate",))


def test_a_study_of_an_earlier_version_takes_a_new_report(tmp_path):
    (tmp_path / "study.json").write_text("{}")
    require_own(tmp_path, "report", also=("reproduce",))
    with pytest.raises(SettingsError, match=r"made by jobs/reproduce\.py"):
        require_own(tmp_path, "evaluate")


def test_work_that_was_begun_before_a_flag_was_there_goes_on_where_it_says_the_same(tmp_path):
    claim(tmp_path, {"seed": 0}, begun=False)
    claim(tmp_path, {"seed": 0, "loss": "dpo"}, begun=True, added={"loss": "dpo", "clip": 0.2})
    with pytest.raises(SettingsError, match="loss: dpo before, ipo now"):
        claim(tmp_path, {"seed": 0, "loss": "ipo"}, begun=True, added={"loss": "dpo"})
