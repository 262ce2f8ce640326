"""Every job that reads a file which somebody damaged: one line with the file and what to do, never a traceback."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from algorithms.runs.checkpoints import Checkpoints
from rl_recsys.console.command import read_flags
from rl_recsys.errors import plain_errors
from rl_recsys.storage.files import write_json
from rl_recsys.storage.folders import CONTENTS
from tests.jobs.test_jobs import FAST, job_module
from tests.rl_recsys.storage.test_files import full_disk
from tests.rl_recsys.webshop.test_imports import site_log

#: Kind of damage -> what the file holds then, given what it held; None: it is gone.
DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "missing": lambda held: None,
    "empty": lambda held: b"",
    "no JSON": lambda held: b"{]\n",
    "another type": lambda held: b"[1]\n",
    "other fields": lambda held: b'{"x": 1}\n',
    "binary": lambda held: b"\xff\xfe\x00\x80\n" * 9,
    "cut": lambda held: held[: len(held) // 2],
}
PLAYED = ("--goals", 3, "--num-workers", 1, "--policies", "tiny=run/policy")
#: Jobs with flags that end well where nothing is damaged; every place is in a workplace's folder.
COMMANDS: dict[str, tuple[object, ...]] = {
    "demonstrate": ("--shop", "shop", "--trajectories", 6, "--out", "demonstrations"),
    "imitate": (
        "--shop", "shop", "--trajectories", "demonstrations", "--policy", "start", "--iterations", 2, "--updates", 1,
        "--batch", 2, "--minimum-reward", 0, *FAST, "--out", "run",
    ),
    "evaluate": ("--shop", "shop", *PLAYED, "--out", "evaluation"),
    "thompson": (
        "--shop", "shop", *PLAYED, "rule", "--runs", 1, "--rollouts", 6, "--batch", 3, "--truth",
        "evaluation/results.json", "--mode", "greedy", "--out", "thompson",
    ),
    "generate": (
        "--shop", "shop", "--policy", "run/policy", "--trajectories", 1, "--group", 8, "--num-workers", 1, "--out",
        "generated",
    ),
    "report": ("--study", ".", "--sessions", 1, "--out", "page"),
    "recommend": ("--shop", "shop", "--policy", "run/policy", "--requests-file", "requests", "--episodes", 1),
    "trajectories": ("demonstrations", "--out", "kept"),
    "prepare": ("--demo-products", 20, "--out", "demo"),
    "import_trajectories": ("site.jsonl", "--shop", "shop", "--out", "imported"),
    "train_queries": ("--pairs", "pairs.json", "--start", "encoder", "--epochs", 1, "--out", "queries"),
    "add_queries": ("--shop", "shop", "--model", "queries", "--measured", 5, "--out", "shop-with-queries"),
    "reproduce": ("--preset", "smoke", "--shop", "shop", "--encoder", "encoder", "--out", "study"),
    "dpo": (
        "--shop", "shop", "--policy", "start", "--trajectories", "demonstrations", "--iterations", 2, "--updates", 1,
        "--batch", 2, "--minimum-reward", 0, *FAST, "--out", "dpo-run",
    ),
    "ppo": (
        "--shop", "shop", "--policy", "start", "--iterations", 1, "--rollout-steps", 32, "--environments", 2, *FAST,
        "--out", "ppo-run",
    ),
    "tune": (
        "--algorithm", "dpo", "--shop", "shop", "--policy", "start", "--trajectories", "demonstrations", "--trials", 1,
        "--iterations", 2, "--updates", 1, "--evaluation-goals", 2, "--frozen-layers", 0, "--out", "search",
    ),
    "benchmark": ("policy", "--shop", "shop", "--policy", "start", "--goals", 1, "--out", "benchmark"),
}  # fmt: skip


class Case(NamedTuple):
    """A job, a file that it reads, and what it says is to be done; ``spared``: damage that it does not stop at."""

    job: str
    file: str
    remedy: str
    spared: tuple[str, ...] = ()
    listed: bool = True  # else as in a folder of an earlier version, which has no list of its files


POLICY = "train the policy again|copy the folder whole|jobs/imitate.py makes one|expected a policy"
SHOP = "jobs/prepare.py"
RECORD = "record again"
ENCODER = "copy the encoder whole|copy the folder whole|an encoder folder holds"
CASES = (
    Case("demonstrate", "demonstrations/settings.json", "name a folder"),
    Case("demonstrate", "demonstrations/part-00000.arrows", RECORD),
    Case("demonstrate", "shop/manifest.json", SHOP),
    Case("demonstrate", "shop/contents.json", SHOP, spared=("missing",)),
    Case("demonstrate", "shop/products.arrow", SHOP),
    Case("demonstrate", "shop/goals.arrow", SHOP, listed=False),
    Case("imitate", "demonstrations/settings.json", RECORD, spared=("missing", "other fields")),  # as of imported ones
    Case("imitate", "run/settings.json", "name a folder|use another --out"),
    Case("imitate", "run/policy/training.json", POLICY, spared=("other fields",), listed=False),
    Case("imitate", "start/config.json", POLICY),
    Case("imitate", "unfinished/checkpoints/iteration-000001/complete.json", "copy one of them again"),
    Case("imitate", "unfinished/checkpoints/iteration-000001/state.json", "copy one of them again"),
    Case("evaluate", "run/policy/training.json", POLICY),
    Case("evaluate", "evaluation/settings.json", "name a folder"),
    Case("generate", "generated/report.json", "use another --out", spared=("missing",)),
    Case("generate", "generated/settings.json", "name a folder"),
    Case("thompson", "thompson/settings.json", "name a folder|use another --out"),
    Case("thompson", "thompson/pulls-0.jsonl", "use another --out", spared=("missing", "empty", "cut")),
    Case("thompson", "evaluation/results.json", "--truth is results.json of jobs/evaluate.py"),
    Case("thompson", "run/policy/tokenizer.json", POLICY, listed=False),
    Case("report", "study.json", "run jobs/reproduce.py again"),
    Case("report", "stages.json", "run jobs/reproduce.py again|run all stages again"),
    Case("report", "thompson/thompson.json", "run jobs/reproduce.py again"),
    Case("report", "thompson/running_score.csv", "run jobs/reproduce.py again"),
    Case("report", "evaluation/results.json", "run jobs/evaluate.py again"),
    Case("report", "evaluation/episodes/tiny-0-greedy.jsonl", "run jobs/evaluate.py again"),
    Case("report", "run/result.json", "run jobs/reproduce.py again"),
    Case("report", "run/policy/training.json", POLICY, listed=False),
    Case("report", "demonstrations/part-00000.arrows", RECORD),
    Case("recommend", "run/policy/contents.json", POLICY, spared=("missing",)),
    Case("recommend", "run/policy/config.json", POLICY, listed=False),
    Case("recommend", "run/policy/tokenizer.json", POLICY),
    Case("recommend", "run/policy/model.safetensors", POLICY),
    Case("recommend", "run/policy/model.safetensors", POLICY, listed=False),
    Case("trajectories", "demonstrations/part-00000.arrows", RECORD),
    Case("train_queries", "pairs.json", "--pairs is an object, instruction -> list of queries"),
    Case("train_queries", "encoder/config.json", ENCODER, spared=("other fields",)),  # a BERT's that has all by default
    Case("train_queries", "encoder/tokenizer.json", ENCODER),
    Case("train_queries", "encoder/model.safetensors", ENCODER),
    Case("add_queries", "queries/training.json", POLICY),
    Case("add_queries", "queries/config.json", f"{POLICY}|jobs/train_queries.py makes one", listed=False),
    Case("add_queries", "queries/tokenizer.json", POLICY, listed=False),
    Case("reproduce", "study/settings.json", "name a folder"),
    Case("reproduce", "study/stages.json", "run all stages again", spared=("missing",)),
)


def call(name: str, *more: object) -> None:
    """A job in this process, in the folder that is the current one; its last flags may be others."""
    module = job_module(name)
    with plain_errors():
        flags = [str(flag) for flag in (*COMMANDS[name], *more)]
        module.main(read_flags(getattr(module, "KINDS", None) or module.Arguments, "", flags))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, ray_session, shop, shop_folder, policy_folder, encoder_folder) -> Path:
    """A folder in which every job of ``COMMANDS`` has ended well, and an unfinished run beside them."""
    folder = tmp_path_factory.mktemp("jobs") / "workplace"
    folder.mkdir()
    for source, name in ((shop_folder, "shop"), (policy_folder, "start"), (encoder_folder, "encoder")):
        shutil.copytree(source, folder / name)
    instructions = [shop.goal(index).instruction_text for index in range(12)]
    write_json(folder / "pairs.json", {text: [text] for text in instructions})
    (folder / "requests").write_text("red shirt\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("demonstrate", "imitate", "evaluate", "generate", "thompson", "train_queries", "add_queries"):
            with pytest.MonkeyPatch.context() as kept:
                kept.setattr(Checkpoints, "remove", lambda self: None)
                call(name)
        hit = shop.search("red shirt")[0].lower()
        site = [site_log(shop, goal, ["search[red shirt]", f"click[{hit}]", "click[buy now]"]) for goal in range(3)]
        Path("site.jsonl").write_text("".join(json.dumps(page) + "\n" for session in site for page in session))
        shutil.copytree("run", "unfinished", ignore=shutil.ignore_patterns("policy"))
        shutil.rmtree("run/checkpoints")
        settings = {"shop": "shop", "seeds": [0], "sizes": [], "minutes": [], "demonstrations": 6, "updates": 2}
        settings |= {"batch": 2, "generated": 3, "evaluation_goals": 1, "preset": "smoke", "encoder": "encoder"}
        described = {"recorded": "demonstrations", "thompson": "thompson", "arms": {"tiny": ["run"]}, "at_once": 1}
        write_json(Path("study.json"), described | {"settings": settings})
        stages = {"thompson": {"command": ["jobs/thompson.py"], "seconds": 1.0}}
        write_json(Path("stages.json"), stages)
        Path("study").mkdir()
        write_json(Path("study/settings.json"), {"job": "reproduce"})
        write_json(Path("study/stages.json"), stages)
        for name in ("report", "recommend", "trajectories"):
            call(name)
        for made in ("page", "kept", "shop-with-queries"):
            shutil.rmtree(made)
    return Path(shutil.copytree(folder, folder.with_name("whole"))).with_name("workplace")


@pytest.fixture
def whole(workplace, monkeypatch) -> Callable[[], None]:
    """Makes the workplace, which is the current folder, as it was."""
    monkeypatch.chdir(workplace)

    def again() -> None:
        for path in workplace.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(workplace.with_name("whole"), workplace, dirs_exist_ok=True)
        for manifest in workplace.rglob("manifest.json"):
            manifest.touch()  # a copy in the same place at the same time would be taken for the shop that is open

    return again


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.job} {case.file}{'' if case.listed else ' unlisted'}")
def test_a_damaged_file_is_one_line_with_the_file_and_the_remedy(case, whole):
    for kind, damaged in DAMAGE.items():
        if kind in case.spared:
            continue
        whole()
        path = Path(case.file)
        if not case.listed:
            (path.parent / CONTENTS).unlink()
        held = damaged(path.read_bytes())
        path.unlink() if held is None else path.write_bytes(held)
        if case.job == "train_queries":
            shutil.rmtree("queries")
        elsewhere = ("--out", "unfinished") if path.is_relative_to("unfinished") else ()
        with pytest.raises(SystemExit) as ended:
            call(case.job, *elsewhere)
        said = str(ended.value.code)
        assert said.startswith("error: ") and "\n" not in said, kind
        named = case.file, f"{path.parent}: no shop here ({path.name} is missing)", f"{path.parent} holds files that"
        assert any(name in said for name in (*named, f"{path.parent}: {path.name}")), (kind, said)
        assert re.search(case.remedy, said), (kind, said)


def test_episodes_that_are_damaged_are_played_again_and_only_these(whole, capsys):
    whole()
    evaluation = Path("evaluation")
    results = (evaluation / "results.json").read_text()
    episodes = {path: path.read_text() for path in sorted((evaluation / "episodes").iterdir())}
    for path, damaged in zip(episodes, ("another type", "binary", "a line lost"), strict=True):
        held = path.read_bytes()
        path.write_bytes(DAMAGE[damaged](held) if damaged in DAMAGE else held[: held[:-1].rindex(b"\n") + 1])
    capsys.readouterr()
    call("evaluate")
    said = capsys.readouterr().out
    assert {path: path.read_text() for path in episodes} == episodes
    assert json.loads((evaluation / "results.json").read_text())["arms"] == json.loads(results)["arms"]
    for path in episodes:
        assert re.search(rf"{path}.*: damaged \(.*\); these episodes are played again", said)
    call("evaluate")
    assert "played again" not in capsys.readouterr().out


#: Sizes of files that there is room for. Where episodes are played, no more than it takes to see it.
ROOM = {
    "evaluate": (0, 300), "generate": (0, 300, 5_000), "ppo": (0, 5_000), "tune": (0, 5_000),
    "benchmark": (0, 5_000), "reproduce": (0,),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_full_disk_is_one_line_with_the_file_and_what_is_safe(name, whole, capsys):
    """Whichever of a job's files it is that there is no room for."""
    out = "thompson" if name == "thompson" else "new"  # its pulls are there, so that nothing is played
    for room in ROOM.get(name, (0, 300, 5_000, 50_000)):
        whole()
        ended = None
        with full_disk(room):
            try:
                call(name, "--out", out)
            except SystemExit as error:
                ended = str(error.code)
        assert not list(Path().glob(".new*"))
        if room and ended is None:  # there was room
            continue
        assert re.fullmatch(
            rf"error: {out}[^ ]*: no room to write it .*\. Free some space; .*--out.*|"
            rf"error: {out}[^ ]*: no room to write it .*; the same command goes on from there",
            ended,
        ), (room, ended)
