"""Recorded episodes say in which world they were recorded, and no other world's job learns from them unasked."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from algorithms.runs.training_flags import RecordedTrainingArguments
from algorithms.tuning.search_space import SearchArguments
from rl_recsys.core.demonstrations import record_demonstrations
from rl_recsys.core.recording import recording, require_recorded_in
from rl_recsys.core.trajectory import TrajectoryError, read_trajectories
from rl_recsys.errors import UserError
from rl_recsys.runs.settings import SETTINGS
from rl_recsys.webshop import Shop
from rl_recsys.webshop.task import WebShop
from tests.jobs.test_jobs import main_of


@pytest.fixture(scope="module")
def other(tmp_path_factory, shop) -> WebShop:
    """The same shop with a query more: another world."""
    folder = tmp_path_factory.mktemp("other") / "shop"
    shop.with_queries(folder, {shop.goal(0).instruction_text: ["lamp"]}, {"model": "me"})
    return WebShop(Shop.open(folder))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, task):
    folder = tmp_path_factory.mktemp("recorded")
    record_demonstrations(task, folder, trajectories=3, variations=0, seed=0)
    return folder


def test_a_folder_names_its_world_and_goes_on_wherever_that_lies(recorded, task, tmp_path):
    settings = json.loads((recorded / SETTINGS).read_text())
    assert (settings["shop"], settings["task"]) == (task.fingerprint, task.spec)
    moved = Shop.open(shutil.copytree(task.shop.folder, tmp_path / "moved"))
    require_recorded_in(WebShop(moved), recorded)
    counts = record_demonstrations(WebShop(moved), recorded, trajectories=3, variations=0, seed=0)
    assert counts.episodes == len(list(read_trajectories(recorded))) == 3


def test_a_folder_that_has_all_episodes_stays_as_it_is(recorded, task):
    before = {path.name: path.read_bytes() for path in recorded.iterdir()}
    for _ in range(2):
        record_demonstrations(task, recorded, trajectories=3, variations=0, seed=0)
    with pytest.raises(KeyboardInterrupt), recording(recorded, task, "generate", 4, done=3):
        raise KeyboardInterrupt
    assert {path.name: path.read_bytes() for path in recorded.iterdir()} == before


def test_another_world_is_named_with_both_places(recorded, task, other):
    require_recorded_in(task, recorded)
    with pytest.raises(TrajectoryError) as error:
        require_recorded_in(other, recorded)
    said = str(error.value)
    for part in (recorded, task.spec, task.fingerprint, other.spec, other.fingerprint, "--any-world"):
        assert str(part) in said and "\n" not in said


@pytest.mark.parametrize("settings", [None, {}, {"job": "generate", "shop": None}])
def test_a_folder_that_does_not_say_its_world_is_taken(tmp_path, task, settings):
    if settings is not None:
        (tmp_path / SETTINGS).write_text(json.dumps(settings))
    require_recorded_in(task, tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"shop": 3}', '{"shop": "a", "task": []}'])
def test_damaged_settings_are_not_taken_for_none(tmp_path, task, text):
    (tmp_path / SETTINGS).write_text(text)
    with pytest.raises(TrajectoryError, match=rf"{re.escape(str(tmp_path / SETTINGS))}: damaged .*record again"):
        require_recorded_in(task, tmp_path)


def of_the_other_world(other, policy, recorded, out) -> list:
    """Flags that train in another world than the trajectories'."""
    return ["--shop", other.shop.folder, "--policy", policy, "--trajectories", recorded, "--out", out]


@pytest.mark.parametrize("job", ["imitate", "dpo", "ppo", "tune"])
def test_jobs_refuse_what_another_world_recorded_before_they_start(
    job, recorded, other, policy_folder, tmp_path, capsys
):
    flags = of_the_other_world(other, policy_folder, recorded, tmp_path / "out")
    flags += {"tune": ["--algorithm", "dpo"], "ppo": ["--imitation-weight", 0.1]}.get(job, [])
    with pytest.raises(TrajectoryError, match=f"{recorded} was recorded in .*--any-world"):
        main_of(job, capsys)(*flags)
    assert not (tmp_path / "out").exists()
    assert not RecordedTrainingArguments.any_world and not SearchArguments.any_world


def test_another_worlds_episodes_are_taken_where_that_is_asked_for(recorded, other, policy_folder, tmp_path, capsys):
    flags = of_the_other_world(other, policy_folder, recorded, tmp_path / "out")
    with pytest.raises(UserError, match="wandb"):  # what is not installed is the next reason to stop
        main_of("dpo", capsys)(*flags, "--any-world", "--log-to", "wandb")
