"""--out of every job: somebody else's files stay, one job at a time, and what is said is in the user's words."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

import pytest

from algorithms.runs.training_flags import RECORDED_INCIDENTAL
from rl_recsys.console.command import read_flags
from rl_recsys.core import demonstrations as recorded_demonstrations
from rl_recsys.core.trajectory import read_trajectories
from rl_recsys.errors import UserError
from rl_recsys.storage import locations as storage
from rl_recsys.storage.files import write_json
from rl_recsys.storage.folders import CONTENTS
from rl_recsys.storage.locks import LOCK, held, lock_beside, lock_in
from rl_recsys.webshop import Shop
from tests.jobs.test_jobs import JOBS, ROOT, job_module, main_of
from tests.rl_recsys.storage.test_folders import tree

WORKING = str(Path(tempfile.gettempdir(), "rl-recsys-"))  # what a local folder of a URI begins with
NOWHERE = ("--shop", "nowhere")
POLICY = ("--policy", "nowhere")
#: Flags beside --out that a job cannot do without: what it does with --out comes before it looks at them.
FLAGS = {
    "add_queries": (*NOWHERE, "--model", "nowhere"),
    "benchmark": NOWHERE,
    "demonstrate": NOWHERE,
    "dpo": (*NOWHERE, *POLICY, "--trajectories", "nowhere"),
    "evaluate": NOWHERE,
    "evaluate_agent": (*NOWHERE, *POLICY, "--name", "nobody"),
    "generate": (*NOWHERE, *POLICY),
    "grpo": (*NOWHERE, *POLICY),
    "imitate": (*NOWHERE, "--trajectories", "nowhere"),
    "import_trajectories": ("nowhere",),
    "ppo": (*NOWHERE, *POLICY),
    "prepare": ("--demo-products", 20),
    "recommend": (*NOWHERE, *POLICY),
    "report": ("--study", "nowhere"),
    "prepare_virtual_taobao": ("nowhere",),
    "reproduce": ("--preset", "smoke"),
    "serve_recommender": (*NOWHERE, *POLICY),
    "site": NOWHERE,
    "thompson": (*NOWHERE, "--policies", "rule", "heuristic"),
    "train_queries": ("--pairs", "nowhere"),
    "trajectories": ("nowhere",),
    "tune": ("--algorithm", "ppo", *NOWHERE, *POLICY),
}
#: What a job calls the folder, where it is no --out.
CALLED = {"site": "--record"}
#: Jobs that write no folder: they serve, or write a page, which their own tests look at.
WITHOUT = ("leaderboard", "serve_environment", "watch")
WHOLE = ("add_queries", "import_trajectories", "prepare", "prepare_virtual_taobao", "train_queries", "trajectories")


def call(name: str, out: object) -> None:
    """A job with this --out, in this process."""
    module = job_module(name)
    kind = module.KINDS["shop"] if name == "benchmark" else module.Arguments
    module.main(read_flags(kind, "", [*map(str, FLAGS[name]), CALLED.get(name, "--out"), str(out)]))


def test_every_job_is_here():
    assert sorted((*FLAGS, *WITHOUT)) == JOBS


@pytest.fixture
def thesis(tmp_path) -> Path:
    """A user's own folder, with names that jobs write too."""
    folder = tmp_path / "thesis"
    for name in ("notes.txt", "report.html", "result.json", "table.md", "tune/trial-1/x", "policy/config.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"years of {name}")
    write_json(folder / "settings.json", {"editor.fontSize": 14})  # as an editor has it
    return folder


@pytest.mark.parametrize("name", sorted(FLAGS))
def test_a_users_own_folder_is_refused_and_left_as_it_was(name, thesis, tmp_path):
    """A1, A11: by every job, whatever is in the folder, also where it is reached by a link."""
    (tmp_path / "link").symlink_to(thesis)
    (tmp_path / ".thesis-draft").mkdir()
    before = tree(tmp_path)
    for out in (thesis, tmp_path / "link"):
        with pytest.raises(UserError, match="thesis|link") as error:
            call(name, out)
        assert "name" in str(error.value) and "\n" not in str(error.value)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", sorted(FLAGS))
def test_a_file_is_refused_and_left_as_it_was(name, tmp_path):
    (tmp_path / "file").write_text("years")
    before = tree(tmp_path)
    with pytest.raises(UserError, match="file"):
        call(name, tmp_path / "file")
    with pytest.raises(UserError, match="file"):
        call(name, tmp_path / "file" / "below")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", sorted(FLAGS))
def test_a_place_where_another_job_writes_is_refused(name, tmp_path):
    """E3, B5: each job, at once, naming who has it."""
    path = (lock_beside if name in WHOLE else lock_in)(tmp_path / "out")
    path.parent.mkdir(parents=True, exist_ok=True)
    with held(path, "x"), pytest.raises(UserError, match=f"out: process {os.getpid()} on .* writes there"):
        call(name, tmp_path / "out")


@pytest.mark.parametrize("name", sorted(set(FLAGS) - {"imitate", "prepare", "reproduce"}))
def test_a_job_that_writes_nothing_leaves_nothing(name, tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        call(name, tmp_path / "deep" / "out")
    assert tree(tmp_path) in ({}, {"deep": ""})


@pytest.mark.parametrize("name", sorted(FLAGS))
def test_a_users_own_bucket_is_refused_and_left_as_it_was(name, thesis, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (thesis / "settings.json").unlink()
    before = tree(thesis)
    monkeypatch.setattr(storage, "_download", lambda *_: pytest.fail("it was fetched before it was refused"))
    with pytest.raises(UserError, match=re.escape(f"file://{thesis}")) as error:
        call(name, f"file://{thesis}")
    assert str(error.value).count(WORKING) == 0 and tree(thesis) == before


def test_another_jobs_folder_is_refused(tmp_path, shop_folder, policy_folder, capsys):
    """A11: demonstrate into a training run and the other way, with settings of this version and of those before."""
    run, flags = tmp_path / "run", ("--shop", shop_folder, "--trajectories", 3)
    (run / "policy").mkdir(parents=True)
    for settings, made in (
        ({"job": "dpo", "seed": 0}, "dpo"),
        ({"seed": 0, "beta": 0.1, "learning_rate": 1e-5}, "dpo"),
        ({"seed": 0, "clip": 0.2}, "ppo"),
    ):
        write_json(run / "settings.json", settings)
        before = tree(run)
        with pytest.raises(UserError, match=f"run was made by jobs/{made}.py, not by jobs/demonstrate.py"):
            main_of("demonstrate", capsys)(*flags, "--out", run)
        assert tree(run) == before
    demonstrations = tmp_path / "demonstrations"
    main_of("demonstrate", capsys)(*flags, "--out", demonstrations)
    before = tree(demonstrations)
    with pytest.raises(UserError, match="was made by jobs/demonstrate.py, not by jobs/dpo.py"):
        dpo = ("--shop", shop_folder, "--policy", policy_folder, "--trajectories", demonstrations)
        main_of("dpo", capsys)(*dpo, "--out", demonstrations)
    with pytest.raises(UserError, match="holds a policy"):
        main_of("demonstrate", capsys)(*flags, "--out", policy_folder)
    with pytest.raises(UserError, match="holds a shop"):
        main_of("evaluate", capsys)("--shop", shop_folder, "--out", shop_folder)
    assert tree(demonstrations) == before


def test_a_killed_job_goes_on_at_once_and_a_second_one_is_refused(tmp_path, shop_folder, capsys):
    """E3: the lock goes with the process, and what was played is not played again."""
    out, flags = tmp_path / "out", ["--shop", shop_folder, "--trajectories", 70, "--variations", 200]
    command = [sys.executable, ROOT / "jobs" / "demonstrate.py", *flags, "--out", out]
    first = subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=subprocess.DEVNULL)
    while not any(part.stat().st_size > 20_000 for part in out.glob("part-*.arrows")):
        assert first.poll() is None
    with pytest.raises(UserError, match=f"out: process {first.pid} on .* writes there; wait for its end"):
        main_of("demonstrate", capsys)(*flags, "--out", out)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert (out / LOCK).is_file()
    said = main_of("demonstrate", capsys)(*flags, "--out", out)
    assert "270 trajectories" in said and "waiting" not in said and not (out / LOCK).exists()
    goals = [one.goal_index for one in read_trajectories(out) if one.goal_index >= 0]
    assert len(goals) == len(set(goals)) == 70


def test_what_was_recorded_at_a_uri_survives_sigterm(tmp_path, shop_folder):
    """Table B 17: what a log shows as done is there, also between two copies."""
    out = tmp_path / "bucket" / "out"
    flags = ["--shop", shop_folder, "--trajectories", 70, "--variations", 2000, "--out", f"file://{out}"]
    command = [sys.executable, ROOT / "jobs" / "demonstrate.py", *flags]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(tmp_path)}
    run = subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)
    while not any(part.stat().st_size > 20_000 for part in tmp_path.glob("rl-recsys-*/out/part-*.arrows")):
        assert run.poll() is None
    run.send_signal(signal.SIGTERM)
    said = run.communicate()[0]
    assert run.returncode == 128 + signal.SIGTERM and "ended by SIGTERM" in said and "all is there" in said
    assert any(read_trajectories(out)) and not (out / LOCK).exists()


def test_at_a_uri_one_job_writes_and_speaks_of_the_uri(tmp_path, shop_folder, capsys, monkeypatch):
    """B11, E3: not a word of this node's folder, and a lease keeps a second job away."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    uri, flags = f"file://{tmp_path}/bucket/out", ("--shop", shop_folder, "--trajectories", 3)
    module, refused = job_module("demonstrate"), []
    counted = recorded_demonstrations.read_trajectories

    def second_job_meanwhile(folder):
        with pytest.raises(UserError, match=rf"{uri}: process \d+ on .* writes there") as error:
            main_of("demonstrate", capsys)(*flags, "--out", uri)
        refused.append(error)
        return counted(folder)

    monkeypatch.setattr(recorded_demonstrations, "read_trajectories", second_job_meanwhile)
    module.main(read_flags(module.Arguments, "", [*map(str, flags), "--out", uri]))
    said = capsys.readouterr().out
    assert refused and f"{uri}: 3 trajectories" in said and WORKING not in said
    left = {path.name for path in (tmp_path / "bucket" / "out").iterdir()}
    assert left >= {".index.json", "part-00000.arrows", "settings.json"} and LOCK not in left
    with pytest.raises(UserError, match=f"{uri} was begun with other settings"):
        main_of("demonstrate", capsys)(*flags, "--seed", 1, "--out", uri)


def test_queries_are_not_added_to_the_shop_itself_however_it_is_called(tmp_path, shop_folder, capsys, monkeypatch):
    """B12: before anything is read or written."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shop = shutil.copytree(shop_folder, tmp_path / "shop")
    before = tree(shop)
    for out in (shop, f"file://{shop}", f"file://{shop}/"):
        with pytest.raises(UserError, match="is the shop itself"):
            main_of("add_queries", capsys)("--shop", shop, "--model", "nowhere", "--out", out)
    assert tree(shop) == before


def test_the_docs_say_which_flags_make_another_run():
    _, section = (ROOT / "docs" / "reference" / "run-files.md").read_text().split("## The same run")
    said = re.findall("`--([a-z-]+)`", section.partition("Any other")[0].partition("(`--help`")[2])
    assert sorted(said) == sorted(name.replace("_", "-") for name in RECORDED_INCIDENTAL)


#: Jobs that are done in one go: what they make is made again as a whole, or is only looked at. And servers.
AT_ONCE = {
    "add_queries", "benchmark", "import_trajectories", "leaderboard", "prepare", "prepare_virtual_taobao",
    "recommend", "report", "serve_environment", "serve_recommender", "site", "train_queries", "trajectories", "watch",
}  # fmt: skip


@pytest.mark.parametrize("name", JOBS)
def test_help_says_which_flags_make_another_run(name, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / "jobs" / f"{name}.py"), run_name="__main__")
    said = " ".join(capsys.readouterr().out.split())
    assert ("others make another run: " in said) == (name not in AT_ONCE)
    if name in AT_ONCE:
        return
    module = job_module(name)
    incidental = list(module.INCIDENTAL)
    listed = said.partition("others make another run: ")[2].split(" ")[: len(incidental)]
    assert [flag.strip(",") for flag in listed] == [f"--{flag.replace('_', '-')}" for flag in incidental]
    assert {*incidental} < {field.name for field in fields(module.Arguments)} and "seed" not in incidental
    assert incidental[0] == "out"


def test_a_home_is_spelled_out_where_the_shell_does_not(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    main_of("prepare", capsys)("--out=~/shop", "--demo-products", 20)
    assert Shop.open("~/shop").product_count == 20 and not (tmp_path / "~").exists()
    assert (tmp_path / "shop" / CONTENTS).is_file()


def test_a_relative_out_of_a_submitted_job_is_warned_of(tmp_path, shop_folder, monkeypatch, capsys):
    """A19: Ray removes its copy of the working directory with what was written there."""
    monkeypatch.chdir(tmp_path)
    demonstrate, flags = main_of("demonstrate", capsys), ("--shop", shop_folder, "--trajectories", 1)
    config = {"runtime_env": {"working_dir": "gcs://_ray_pkg_1.zip"}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(config))
    assert f"copy of the working directory, which Ray removes: {tmp_path}/a;" in demonstrate(*flags, "--out", "a")
    assert "warning" not in demonstrate(*flags, "--out", tmp_path / "b")
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR")
    assert "warning" not in demonstrate(*flags, "--out", "c")


@pytest.mark.parametrize("name", sorted(FLAGS))
def test_odd_names_of_out_are_one_line(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "notes").write_text("years")
    for out in ("/", "", ".", "..", "loop", "n" * 300, "notes/.."):
        with pytest.raises(UserError) as error:
            call(name, out)
        assert "\n" not in str(error.value)
    assert {path.name for path in tmp_path.iterdir()} == {"loop", "notes"}


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="needs a file system that takes no folders")
@pytest.mark.parametrize("name", sorted(FLAGS))
def test_a_place_that_may_not_be_written_to_is_one_line(name):
    """A15."""
    flag = CALLED.get(name, "--out")
    with pytest.raises(UserError, match=f"/sys/[a-z/]+: cannot be written .*; name another {flag}") as error:
        call(name, "/sys/rl/recsys")
    assert "\n" not in str(error.value)
