"""The jobs as their users run them: from the command line, with a tiny encoder, killed and started again."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from policies.base import load_policy
from rl_recsys.console.command import read_flags
from rl_recsys.core.trajectory import TrajectoryWriter, read_trajectories
from rl_recsys.errors import UserError
from rl_recsys.storage.locations import working_folder
from rl_recsys.webshop import Shop
from tests.rl_recsys.webshop.test_imports import site_log

ROOT = Path(__file__).parents[2]
JOBS = sorted(path.stem for path in (ROOT / "jobs").glob("*.py"))
WRITES_TO = {"site": "--record", "serve_environment": "--port"}  # the latter writes nothing
FAST = ["--frozen-layers", "0", "--num-workers", "1", "--evaluate-every", "0", "--checkpoint-every", "1"]


def job(name: str, *flags: object, check: bool = True, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "jobs" / f"{name}.py", *flags]
    run = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=600, cwd=ROOT, **options
    )
    assert not check or run.returncode == 0, run.stdout + run.stderr
    return run


def main_of(name: str, capsys):
    """A job's ``main`` in this process, which saves its imports: called with its flags it returns what it printed."""
    module = job_module(name)

    def run(*flags: object) -> str:
        module.main(read_flags(module.Arguments, "", list(map(str, flags))))
        return capsys.readouterr().out

    return run


def job_module(name: str):
    """A job's script as a module."""
    spec = importlib.util.spec_from_file_location(f"job_{name}", ROOT / "jobs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", JOBS)
def test_help_explains_every_flag(name, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    module = job_module(name)
    for kind in module.KINDS.values() if name == "benchmark" else (module.Arguments,):
        with pytest.raises(SystemExit):
            read_flags(kind, module.__doc__, ["--help"])
        shown = capsys.readouterr().out
        assert WRITES_TO.get(name, "--out") in shown and "usage" in shown
        text = " ".join(shown.replace("│", " ").partition("options")[2].split())
        flags = re.findall(r"(--[a-z-]+) (\S+) (.*?)\((?:default|required)", text)
        assert len(flags) >= 2
        assert not [flag for flag, _, explanation in flags if len(explanation) < 10]


@pytest.fixture(scope="module")
def demonstrations(scripted) -> Path:
    return scripted(30)


def test_demonstrations_are_recorded_once(tmp_path, shop_folder, capsys):
    demonstrate = main_of("demonstrate", capsys)
    flags = ["--shop", shop_folder, "--out", tmp_path / "out", "--trajectories"]
    assert "30 trajectories" in demonstrate(*flags, 30)
    recorded = list(read_trajectories(tmp_path / "out"))
    assert "30 trajectories" in demonstrate(*flags, 30)
    assert list(read_trajectories(tmp_path / "out")) == recorded and len(recorded) == 30
    with pytest.raises(UserError, match="trajectories: 30 before, 32 now"):
        demonstrate(*flags, 32)


def test_goals_that_the_shop_does_not_have_are_demonstrated_too(tmp_path, shop_folder, capsys):
    demonstrate, out = main_of("demonstrate", capsys), tmp_path / "out"
    flags = ["--shop", shop_folder, "--trajectories", 8, "--variations", 12]
    assert "20 trajectories" in demonstrate(*flags, "--out", out)
    both = list(read_trajectories(out))
    known = [one.goal_index >= 0 for one in both]
    assert sum(known) == 8 and True in known[:15] and False in known[:15]  # mixed: the first ones are of both
    # As after a kill: what is there is not played again, and the rest is what it would have been.
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "settings.json").write_bytes((out / "settings.json").read_bytes())
    with TrajectoryWriter(cut) as writer:
        for one in both[:7]:
            writer.append(one)
    demonstrate(*flags, "--out", cut)
    assert list(read_trajectories(cut)) == both
    # A part that somebody removed is played again, whichever it was.
    for file in cut.glob("part-00000.*"):
        file.unlink()
    demonstrate(*flags, "--out", cut)
    assert sorted(read_trajectories(cut), key=both.index) == both


def test_prepare_makes_the_demo_shop_and_names_what_is_wrong(tmp_path, capsys):
    said = job("prepare", "--out", tmp_path / "shop", "--demo-products", 20).stdout
    assert "20 products" in said
    prepare = main_of("prepare", capsys)
    with pytest.raises(UserError, match="--items needs --attributes"):
        prepare("--items", tmp_path / "no.json", "--out", tmp_path / "x")
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(UserError, match="no.json: no such file"):
        prepare("--items", tmp_path / "no.json", "--attributes", tmp_path / "a.json", "--out", tmp_path / "x")


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("evaluate", ["--shop", "nowhere"], "no shop here"),
        ("evaluate", ["--shop", "SHOP", "--split", "dev"], "no split 'dev' in protocol"),
        ("dpo", ["--shop", "SHOP", "--policy", "nowhere", "--trajectories", "x"], "is no policy folder"),
        ("dpo", ["--shop", "SHOP", "--policy", "RUN", "--trajectories", "x"], "/policy is one)"),
        (
            "dpo",
            ["--shop", "SHOP", "--policy", "POLICY", "--trajectories", "nowhere", "--frozen-layers", "0"],
            "no trajectories here",
        ),
        ("evaluate", ["--shop", "SHOP", "--policies", "folder"], "expected NAME=FOLDER"),
        ("dpo", ["--shop", "SHOP", "--policy", "POLICY"], "--preferences recorded needs recorded episodes"),
        (
            "dpo",
            ["--shop", "SHOP", "--policy", "POLICY", "--trajectories", "x"],
            "frozen_layers is 4, the policy has",
        ),
    ],
)
def test_a_missing_folder_is_named(tmp_path, shop_folder, policy_folder, ray_session, capsys, name, flags, message):
    places = {"SHOP": shop_folder, "POLICY": policy_folder, "RUN": policy_folder.parent}
    flags = [places.get(flag, flag) for flag in flags]
    with pytest.raises(UserError, match=re.escape(message)):
        main_of(name, capsys)(*flags, "--out", tmp_path / "out")


def test_an_error_is_one_line_of_the_command(tmp_path):
    run = job("evaluate", "--shop", "nowhere", "--out", tmp_path / "out", check=False)
    assert run.returncode == 1
    assert "error: " in run.stderr and "no shop here" in run.stderr
    assert "Traceback" not in run.stderr


def kill_when(condition, command: list, environment: dict[str, str], log: Path, seconds: float = 480) -> None:
    """Run a command until a condition is met, and kill it with all its processes."""
    with (
        open(log, "w") as said,
        subprocess.Popen(
            list(map(str, command)), cwd=ROOT, stdout=said, stderr=subprocess.STDOUT, env=environment,
            start_new_session=True,
        ) as process,
    ):  # fmt: skip
        deadline = time.monotonic() + seconds
        while not condition():
            assert process.poll() is None, f"the job ended before it could be killed:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"nothing to kill it at:\n{log.read_text()}"
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)


def test_the_start_of_a_run_stays_where_its_flags_are_refused(
    tmp_path, shop_folder, encoder_folder, demonstrations, ray_session, capsys
):
    imitate, out = main_of("imitate", capsys), tmp_path / "run"
    flags = ["--shop", shop_folder, "--trajectories", demonstrations, "--out", out, "--iterations", 1, "--updates", 1]
    flags += [*FAST, "--encoder", encoder_folder, "--frozen-layers", 0]
    imitate(*flags)
    (out / "start" / "model.safetensors").touch()
    before = (out / "start" / "model.safetensors").stat().st_mtime_ns
    with pytest.raises(UserError, match="seed: 0 before, 1 now"):
        imitate(*flags, "--seed", 1)
    assert (out / "start" / "model.safetensors").stat().st_mtime_ns == before


def test_a_killed_job_resumes_with_the_same_command(
    tmp_path, shop_folder, policy_folder, demonstrations, joining_environment, capsys
):
    out = tmp_path / "run"
    flags = ["--shop", shop_folder, "--policy", policy_folder, "--out", out, "--iterations", 6, *FAST]
    flags += ["--trajectories", demonstrations, "--updates", 40]
    command = [sys.executable, ROOT / "jobs" / "dpo.py", *flags]
    kill_when(lambda: list(out.glob("checkpoints/iteration-*")), command, joining_environment, tmp_path / "log")
    assert not (out / "policy").exists()
    saved = max(int(path.name[-6:]) for path in out.glob("checkpoints/iteration-*"))
    dpo = main_of("dpo", capsys)
    said = dpo(*flags)
    resumed = int(said.split("goes on after iteration ")[1].split()[0])
    assert resumed >= saved >= 1
    rows = [json.loads(line) for line in (out / "result.json").read_text().splitlines()]
    assert [row["iteration"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert (out / "policy" / "model.safetensors").is_file()
    assert "this run is finished" in dpo(*flags)


def test_ppo_says_where_its_iterations_end_it_before_its_updates(
    shop_folder, policy_folder, tmp_path, ray_session, capsys, monkeypatch
):
    flags = ["--shop", shop_folder, "--policy", policy_folder, "--out", tmp_path / "run", "--iterations", 1, *FAST]
    flags += ["--rollout-steps", 32, "--batch", 4, "--updates", 1000, "--no-average"]
    said = main_of("ppo", capsys)(*flags)
    made = int(re.search(r"(\d+) of 1000 updates, ended by its --iterations", said).group(1))
    row = json.loads((tmp_path / "run" / "result.json").read_text().splitlines()[-1])
    assert 0 < made == row["learners/updates"] < 1000
    module, configs = job_module("ppo"), []
    monkeypatch.setattr("algorithms.runs.training_job.run", lambda config, *_: configs.append(config))
    module.main(read_flags(module.Arguments, "", list(map(str, flags))))
    assert configs[0].average_weights is False


def test_a_run_in_a_bucket_is_gone_on_with(shop_folder, policy_folder, demonstrations, ray_session, capsys):
    with working_folder("memory://trajectories") as folder:
        shutil.copytree(demonstrations, folder, dirs_exist_ok=True)
    flags = ["--shop", shop_folder, "--policy", policy_folder, "--trajectories", "memory://trajectories", *FAST]
    flags += ["--out", "memory://runs/dpo", "--updates", 2, "--iterations"]
    dpo = main_of("dpo", capsys)
    assert "memory://runs/dpo: all is there" in dpo(*flags, 2)
    assert "this run is finished" in dpo(*flags, 2)
    assert load_policy("memory://runs/dpo/policy").config == load_policy(policy_folder).config
    with pytest.raises(UserError, match="iterations: 2 before, 3 now"):
        dpo(*flags, 3)


def test_settings_are_chosen_on_training_goals_that_were_not_learnt(
    tmp_path, shop, shop_folder, policy_folder, demonstrations, ray_session, capsys
):
    evaluate, out = main_of("evaluate", capsys), tmp_path / "out"
    flags = ["--shop", shop_folder, "--policies", "heuristic", f"fresh={policy_folder}"]
    flags += ["--modes", "greedy", "--num-workers", 1]
    said = evaluate(*flags, "--unseen-by", demonstrations, "--goals", 3, "--out", out)
    assert "3 held-out train goals" in said
    header = json.loads((out / "episodes" / "fresh-0-greedy.jsonl").read_text().splitlines()[0])
    train, seen = set(shop.split("train")), {one.goal_index for one in read_trajectories(demonstrations)}
    assert len(header["goals"]) == 3 and train - seen > set(header["goals"])
    rule, heuristic, fresh = json.loads((out / "results.json").read_text())["arms"]
    assert heuristic["arm"] == "heuristic" and heuristic["steps"] > rule["steps"] == 3
    assert heuristic["gain"] is None and fresh["gain"] is None  # what is compared with is the first policy
    assert fresh["training_minutes"] == 0  # it was not trained

    # What a baseline of another version played is not taken for its own.
    played = out / "episodes" / "heuristic-0-greedy.jsonl"
    written = played.read_text()
    header, *episodes = map(json.loads, written.splitlines())
    other = [line | {"steps": 15} for line in episodes]
    for version, kept in ((header["training"]["version"], True), (0, False)):
        header["training"] = {"version": version}
        altered = "".join(json.dumps(line) + "\n" for line in (header, *other))
        played.write_text(altered)
        evaluate(*flags, "--unseen-by", demonstrations, "--goals", 3, "--out", out)
        assert played.read_text() == (altered if kept else written)


def test_little_is_uploaded_with_a_job(tmp_path):
    from ray._private.runtime_env.packaging import create_package

    create_package(str(ROOT), tmp_path / "upload.zip", include_gitignore=True, excludes=[".git", ".venv"])
    with zipfile.ZipFile(tmp_path / "upload.zip") as upload:
        folders = {name.partition("/")[0] for name in upload.namelist()}
        size = sum(entry.file_size for entry in upload.infolist())
    assert {"jobs", "algorithms", "policies", "envs", "rl_recsys", "requirements.txt"} <= folders
    assert not {"docs", "tests", "shops", "runs"} & folders and size < 2_000_000


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A Ray head of its own on loopback, started as a user starts one."""
    port, dashboard = free_port(), free_port()
    environment = os.environ | {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    environment.pop("RAY_ADDRESS", None)
    bin = Path(sys.executable).parent
    environment["PATH"] = f"{bin}{os.pathsep}{environment['PATH']}"  # as in an activated environment
    ray = bin / "ray"
    temporary = tmp_path_factory.mktemp("ray")
    log = (temporary / "log").open("w")
    sockets = tempfile.mkdtemp(prefix="ray-")  # short: a socket's path may have 107 characters
    head = subprocess.Popen(
        [
            ray, "start", "--head", "--block", "--num-cpus", "4", "--port", str(port), "--node-ip-address", "127.0.0.1",
            "--dashboard-port", str(dashboard), "--temp-dir", sockets,
            "--ray-client-server-port", str(free_port()), "--dashboard-agent-listen-port", str(free_port()),
        ],
        env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    address = f"http://127.0.0.1:{dashboard}"
    try:
        deadline = time.monotonic() + 120
        while True:  # Ray's own command takes seconds of the processors that the head needs to start
            try:
                urllib.request.urlopen(f"{address}/api/jobs/", timeout=10).close()
                break
            except OSError:
                assert time.monotonic() < deadline, (temporary / "log").read_text()
                time.sleep(0.5)
        yield ray, address, environment
    finally:
        head.terminate()
        try:
            head.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, signal.SIGKILL)
        log.close()
        shutil.rmtree(sockets, ignore_errors=True)


def test_a_submitted_job_trains_from_a_bucket_and_shows_in_the_dashboard(cluster, tmp_path, shop_folder, policy_folder):
    ray, address, environment = cluster
    environment = environment | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    flags = ["--shop", f"file://{shop_folder}", "--policy", f"file://{policy_folder}"]
    flags += ["--out", f"file://{tmp_path}/run", "--iterations", 1, *FAST]
    flags += ["--rollout-steps", 32, "--environments", 2]
    submit = [
        ray,
        "job",
        "submit",
        "--address",
        address,
        "--working-dir",
        ".",
        "--",
        "python",
        "jobs/ppo.py",
        *flags,
    ]
    run = subprocess.run(
        list(map(str, submit)), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert run.returncode == 0 and "succeeded" in run.stdout, run.stdout + run.stderr
    assert (tmp_path / "run" / "policy" / "model.safetensors").is_file()
    assert "all is there" in run.stdout
    life_signs = ("ppo: begun", "copying file://", "joining the Ray cluster", "PPO: begun", "starting 1 rollout worker")
    places = [run.stdout.find(sign) for sign in life_signs]
    assert -1 not in places and places == sorted(places), run.stdout
    assert "new API stack" not in run.stdout
    with urllib.request.urlopen(f"{address}/api/jobs/") as answer:
        jobs = json.load(answer)
    assert any("jobs/ppo.py" in one["entrypoint"] and one["status"] == "SUCCEEDED" for one in jobs)


def test_generated_trajectories_are_collected_and_gone_on_with(
    tmp_path, shop_folder, policy_folder, ray_session, capsys
):
    generate, out = main_of("generate", capsys), tmp_path / "generated"
    flags = ["--shop", shop_folder, "--policy", policy_folder, "--out", out, "--num-workers", 2, "--group"]
    assert "1 successful trajectories of" in generate(*flags, 2, "--trajectories", 1)
    first = list(read_trajectories(out))
    assert [one.success for one in first] == [False] * (len(first) - 1) + [True]
    assert "2 successful trajectories of" in generate(*flags, 2, "--trajectories", 2, "--num-workers", 1)
    both = list(read_trajectories(out))
    assert both[: len(first)] == first and sum(one.success for one in both) == 2
    # It went on where it had stopped: goals come in pairs, each episode once.
    goals = [one.goal_index for one in both]
    assert goals[0 : len(goals) - 1 : 2] == goals[1::2]
    assert len({one.steps for one in both}) > len(both) - 3
    assert all(one.source == "policy" for one in both)
    report = json.loads((out / "report.json").read_text())
    assert report["episodes"] == len(both) and report["acceptance_rate"] == 2 / len(both)
    assert "2 successful" in generate(*flags, 2, "--trajectories", 2)  # nothing is played
    gone = next(out.glob("part-*.arrows"))
    for path in (gone, gone.with_suffix(".sums")):
        path.rename(tmp_path / path.name)
    with pytest.raises(UserError, match="episodes were played, .* are here: a part is missing"):
        generate(*flags, 2, "--trajectories", 3)
    for path in (gone, gone.with_suffix(".sums")):
        (tmp_path / path.name).rename(path)
    for given, message in ((["3"], "group: 2 before, 3 now"), (["0"], "--group is 0")):
        with pytest.raises(UserError, match=message):
            generate(*flags, *given)


def test_trajectories_are_counted_filtered_and_put_together(tmp_path, shop_folder, demonstrations, capsys):
    trajectories = main_of("trajectories", capsys)
    said = trajectories(demonstrations)
    assert "30 trajectories" in said and "repeat" not in said
    said = trajectories(demonstrations, demonstrations, "--out", tmp_path / "both")
    told = f"60 trajectories in {tmp_path / 'both'}, 30 of them repeat others"
    assert "".join(told.split()) in "".join(said.split())  # wherever lines were broken
    rows = list(read_trajectories(demonstrations))
    assert list(read_trajectories(tmp_path / "both")) == rows + rows
    assert "not ended" not in said
    assert "0 trajectories" in trajectories(demonstrations, "--sources", "human")
    assert "0 trajectories" in trajectories(demonstrations, "--split", "test", "--shop", shop_folder)
    with TrajectoryWriter(tmp_path / "unknown") as writer:
        writer.append(replace(rows[0], goal_index=-1))
    said = trajectories(tmp_path / "unknown", "--split", "train", "--shop", shop_folder)
    assert "1 trajectories do not say which goal" in said and "\n0 trajectories" in said
    shutil.copytree(tmp_path / "both", tmp_path / "damaged")
    part = tmp_path / "damaged" / "part-00000.arrows"
    part.write_bytes(
        part.read_bytes().replace(rows[3].steps[0].url.encode(), b"?" * len(rows[3].steps[0].url.encode()))
    )
    said = trajectories(tmp_path / "damaged", "--salvage", "--out", tmp_path / "whole")
    whole = list(read_trajectories(tmp_path / "whole"))
    assert said.count("left out: ") == 60 - len(whole) > 0
    assert all(one in rows for one in whole)
    for flags, message in (
        (["--out", tmp_path / "both"], "is there already"),
        ([tmp_path / "damaged"], r"part-00000\.arrows: episode \d+ is damaged .* --salvage --out NEW"),
        (["--split", "train"], "name it with --shop"),
        (["--split", "no", "--shop", shop_folder], "no split 'no'"),
    ):
        with pytest.raises(UserError, match=message):
            trajectories(demonstrations, *flags)


def test_recordings_are_imported_and_what_is_left_out_is_named(tmp_path, shop, shop_folder, capsys):
    imports = main_of("import_trajectories", capsys)

    def recorded(actions: list[str]) -> dict:
        session, steps = shop.session(3), []
        for action in actions:
            steps.append({"observation": session.page.text_rich, "action": action})
            session.step(action)
        return {"goal": asdict(shop.goal(3)), "steps": steps}

    good = recorded(["search[shirt]", f"click[{shop.search('shirt')[0].lower()}]", "click[buy now]"])
    bad = recorded(["search[shirt]", "click[next >]"])
    bad["steps"][1]["observation"] = "something else"
    (tmp_path / "sessions.jsonl").write_text(json.dumps(good) + "\n{\n" + json.dumps(bad) + "\n")
    flags = [tmp_path / "sessions.jsonl", "--source", "human", "--out", tmp_path / "out"]
    said = imports(*flags, "--shop", shop_folder)
    assert "sessions.jsonl: line 2: not JSON" in said
    assert "sessions.jsonl: line 3:" in said and "shows something else" in said
    assert "1 human trajectories, " in said
    (found,) = read_trajectories(tmp_path / "out")
    assert [step.actions[step.chosen] for step in found.steps] == [step["action"] for step in good["steps"]]
    assert (found.source, found.author) == ("human", "sessions.jsonl")
    assert shop.goal(found.goal_index).instruction_text == shop.goal(3).instruction_text
    with pytest.raises(UserError, match="is there already"):
        imports(*flags, "--shop", shop_folder)
    (tmp_path / "states.jsonl").write_text(json.dumps({"states": []}) + "\n")
    (tmp_path / "other.jsonl").write_text("{}\n")
    (tmp_path / "broken.jsonl").write_text("{\n")
    (tmp_path / "empty.jsonl").write_text("\n\n")
    (tmp_path / "list.json").write_text("[{},")
    for name, message in (
        ("sessions.jsonl", "--shop FOLDER"),
        ("states.jsonl", "--stated-reward 1"),
        ("other.jsonl", "neither an imitation record"),
        ("broken.jsonl", "nothing was imported: .*broken.jsonl: line 1: not JSON"),
        ("empty.jsonl", "nothing was imported: there is no session"),
        ("list.json", "list.json: not a JSON list"),
        ("none.jsonl", "No such file"),
    ):
        with pytest.raises(UserError, match=message):
            imports(tmp_path / name, "--out", tmp_path / "x")
        assert not (tmp_path / "x").exists()


def test_forms_of_one_file_are_read_alike_and_what_is_left_out_is_told_once(tmp_path, shop, shop_folder, capsys):
    imports = main_of("import_trajectories", capsys)
    sessions = []
    for goal in range(4):
        product = shop.search(shop.goal(goal).query)[0].lower()
        sessions.append(
            site_log(shop, goal, [f"search[{shop.goal(goal).query}]", f"click[{product}]", "click[buy now]"])
        )
    pages = [page for session in sessions for page in session]
    lines = [json.dumps(page) for page in pages]
    found = []
    for number, text in enumerate(
        ["\n".join(lines), "\n\n".join(lines) + "\n\n \n", json.dumps(pages), json.dumps(pages, indent=1) + "\n"]
    ):
        (tmp_path / "log.jsonl").write_text(text)
        said = imports(tmp_path / "log.jsonl", "--shop", shop_folder, "--out", tmp_path / f"{number}")
        assert "log.jsonl: 4 sessions, 4 imported, 0 left out" in said
        found.append(list(read_trajectories(tmp_path / f"{number}")))
    assert found[0] == found[1] == found[2] == found[3] and len(found[0]) == 4
    assert [one.goal["instruction_text"] for one in found[0]] == [shop.goal(goal).instruction_text for goal in range(4)]
    lines[5] = "{"  # a page of the second session
    lines += [f'{{"page": "index", "number": {number}}}' for number in range(1000)]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    said = imports(tmp_path / "log.jsonl", "--shop", shop_folder, "--out", tmp_path / "some")
    assert "log.jsonl: 5 sessions, 3 imported, 2 left out" in said
    assert "the session at line 5: not JSON" in said and "the session at line 17: no page with a goal" in said
    (tmp_path / "bad.jsonl").write_text("".join(f"{{{number}\n" for number in range(1000)) + json.dumps(pages[0]))
    with pytest.raises(UserError, match="nothing was imported"):
        imports(tmp_path / "bad.jsonl", "--shop", shop_folder, "--out", tmp_path / "none")
    assert len(capsys.readouterr().out.splitlines()) < 8


def test_a_query_model_is_trained_and_its_candidates_added_to_a_shop(
    tmp_path, shop, shop_folder, encoder_folder, capsys
):
    train, add = main_of("train_queries", capsys), main_of("add_queries", capsys)
    pairs = {shop.goal(index).instruction_text: [shop.goal(index).query] for index in range(0, 200, 5)}
    (tmp_path / "pairs.json").write_text(json.dumps(pairs))
    flags = ["--pairs", tmp_path / "pairs.json", "--start", encoder_folder, "--out", tmp_path / "model", "--epochs"]
    said = train(*flags, 1)
    assert "on held-out instructions {'instructions': 4, 'token_f1'" in said
    assert "trained already" in train(*flags, 1)
    said = add("--shop", shop_folder, "--model", tmp_path / "model", "--out", tmp_path / "shop")
    assert "the instruction's own words: " in said and "in the first 50" in said
    assert len(Shop.open(tmp_path / "shop").search_candidates(shop.goal(0).instruction_text)) >= 1
    assert json.loads((tmp_path / "shop" / "recall.json").read_text())["goals"] == len(shop.split("test"))
    with pytest.raises(UserError, match="trained with other settings"):
        train(*flags, 2)
    with pytest.raises(UserError, match="none: missing"):
        train("--pairs", tmp_path / "none", "--out", tmp_path / "x")
    for model, out, message in (
        (tmp_path, tmp_path / "x", "no policy folder"),
        (tmp_path / "model", shop_folder, "the shop itself"),
    ):
        with pytest.raises(UserError, match=message):
            add("--shop", shop_folder, "--model", model, "--out", out)
