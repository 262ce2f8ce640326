"""A world, a policy and a loss that live outside the package, through the same jobs."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from policies.base import load_policy
from policies.play import policy_episodes
from rl_recsys.console.command import read_flags
from rl_recsys.core import registry
from rl_recsys.core.play import baseline_episodes, demonstration
from rl_recsys.core.task import TaskError, open_task
from rl_recsys.core.trajectory import read_trajectories
from rl_recsys.errors import UserError
from tests.extension.installed import PACKAGE
from tests.jobs.test_jobs import job_module, main_of
from tests.jobs.test_reproduce import ARMS, in_this_process

MENU = "menu:60"
QUICK = ("--num-workers", 1, "--evaluate-every", 0, "--head-rate", 1, "--frozen-layers", 0, "--learning-rate", 0.05)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("menu")


@pytest.fixture(scope="module")
def demonstrations(folder):
    from jobs.demonstrate import Arguments, main

    main(Arguments(task=MENU, out=folder / "demonstrations", trajectories=30))
    return folder / "demonstrations"


@pytest.fixture(scope="module")
def imitation(folder, demonstrations, ray_session):
    from jobs.imitate import Arguments, main

    main(
        Arguments(
            task=MENU, trajectories=demonstrations, out=folder / "imitation", policy_type="linear",
            policy_settings=("choices=12",), iterations=3, num_workers=1, evaluate_every=0, head_rate=1.0,
            frozen_layers=0, learning_rate=0.1,
        )
    )  # fmt: skip
    return folder / "imitation" / "policy"


def test_they_import_only_public_names():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module != "__future__":
                names = [node.module, *(alias.name for alias in node.names)]
                assert not [name for name in names if any(part.startswith("_") for part in name.split("."))], path


def test_they_are_found_by_entry_points():
    assert {"menu", "webshop"} <= set(registry.registered(registry.TASKS))
    assert {"linear", "bert_choice"} <= set(registry.registered(registry.POLICIES))
    assert "toy-ipo" in registry.registered(registry.LOSSES)
    with pytest.raises(UserError, match="no task 'forest' is known: there are menu, recogym, webshop"):
        open_task("forest:1")
    with pytest.raises(TaskError, match="write menu:N with N guests"):
        open_task("menu:many")
    with pytest.raises(TaskError, match="write NAME:PLACE, as webshop:shops/demo"):
        open_task("menu")


def test_a_demonstration_succeeds_and_a_baseline_does_not_always():
    task = open_task(MENU)
    assert all(demonstration(task, goal).success for goal in task.split("train"))
    assert not all(outcome.success for outcome in baseline_episodes(task, task.split("test"), "first-dish"))


def test_imitation_learns_the_menu(imitation, demonstrations):
    episodes = list(read_trajectories(demonstrations))
    assert len(episodes) == 30 and all(episode.success for episode in episodes)
    policy, task = load_policy(imitation), open_task(MENU)
    assert (policy.policy_type, policy.decision_encoder.reads) == ("linear", ("menu", 1))
    rewards = [outcome.reward for outcome in policy_episodes(policy, task, task.split("test"), greedy=True)]
    baseline = [outcome.reward for outcome in baseline_episodes(task, task.split("test"), "first-dish")]
    assert sum(rewards) > sum(baseline)


def test_a_policy_plays_no_other_world_than_its_own(imitation, policy_folder, task):
    with pytest.raises(UserError, match="the policy reads decisions of the task 'menu', not of 'webshop'"):
        list(policy_episodes(load_policy(imitation), task, [0], greedy=True))
    with pytest.raises(UserError, match="reads decisions of the task 'webshop', not of 'menu'"):
        list(policy_episodes(load_policy(policy_folder), open_task(MENU), [0], greedy=True))


def test_dpo_learns_from_episodes_that_it_plays(folder, imitation, capsys, ray_session):
    """On recorded ones it learns in the study below, as PPO does."""
    out = folder / "rollouts"
    main_of("dpo", capsys)(
        "--task", MENU, "--policy", imitation, "--out", out, *QUICK, "--iterations", 1, "--preferences", "rollouts",
        "--updates", 2, "--batch", 4, "--group-size", 4,
    )  # fmt: skip
    assert load_policy(out / "policy").policy_type == "linear"


def test_grpo_learns_from_groups_that_the_job_plays_itself(folder, imitation, capsys):
    """GiGPO is an arm of the study below."""
    out = folder / "grpo"
    flags = ["--task", MENU, "--policy", imitation, "--out", out, *QUICK, "--num-workers", 0, "--iterations", 2]
    flags += ["--groups", 4, "--group-size", 4, "--batch", 8, "--temperature", 1.5]
    said = main_of("grpo", capsys)(*flags)
    assert "groups that differ" in said and load_policy(out / "policy").policy_type == "linear"
    rows = [json.loads(row) for row in (out / "result.json").read_text().splitlines()]
    assert [row["rollouts/num_episodes"] for row in rows] == [16, 16] and rows[-1]["rollouts/goals"] >= 4
    assert "this run is finished" in main_of("grpo", capsys)(*flags)


def test_its_loss_refuses_a_setting_that_it_does_not_have(folder, imitation, demonstrations, capsys):
    flags = "--task", MENU, "--policy", imitation, "--trajectories", demonstrations, "--loss", "toy-ipo", *QUICK
    with pytest.raises(UserError, match="^label_smoothing is no setting of the loss 'toy-ipo', which has beta: leave"):
        main_of("dpo", capsys)(*flags, "--label-smoothing", 0.1, "--out", folder / "refused")
    assert not (folder / "refused").exists()


def test_a_study_of_it_is_run_and_reported(tmp_path, ray_session, capsys, monkeypatch):
    out, module = tmp_path / "study", job_module("reproduce")
    monkeypatch.setattr(module, "run_stages", in_this_process(main_of, capsys))
    flags = [
        "--task", MENU, "--preset", "smoke", "--policy-type", "linear", "--policy-settings", "choices=12",
        "--loss", "toy-ipo", "--learning-rate", 0.05, "--head-rate", 1, "--num-workers", 1, "--also", "gigpo",
        "--out", out,
    ]  # fmt: skip
    module.main(read_flags(module.Arguments, "", list(map(str, flags))))

    results = json.loads((out / "evaluation" / "results.json").read_text())
    arms = {arm["arm"]: arm for arm in results["arms"]}
    assert arms.keys() > {"first-dish", *(f"{arm}, {mode}" for arm in ARMS for mode in ("greedy", "sampled"))}
    assert len(list(read_trajectories(out / "demonstrations"))) == 30  # there are no more training goals
    for shown in ((out / "report.html").read_text(), (out / "report.md").read_text()):
        assert f"Agents on {MENU}: 12 test goals" in shown and "loss is toy-ipo" in shown
        assert f"The first-dish baseline succeeds on {arms['first-dish']['success']:.1%}" in shown
        for label in (
            "imitation, 30 scripted demonstrations",
            "PPO",
            "GiGPO",
            "DPO, 30 scripted demonstrations",
            "DPO, 3 generated",
        ):
            assert f"{label}, greedy" in shown
        assert "GiGPO is better than the imitation policy" in shown
        assert f"{arms['dpo, greedy']['score']:.1f}" in shown and "liking" in shown and "linear" in shown
        assert "task fingerprint" in shown and re.search("something [a-z]+ please", shown)
        words = (
            re.sub(r"data:[^\"]*", "", shown).lower().replace("thompson sampling", "")
        )  # a picture may spell any word
        assert not re.search("shop|product|purchase|catalogue", words)
    elsewhere = tmp_path / "elsewhere"
    main_of("report", capsys)("--study", out, "--out", elsewhere, "--sessions", 1, "--no-quote")
    page = (elsewhere / "report.md").read_text()
    assert "please" not in page and "spicy" not in page and re.search(r"taste \d+ of \d+", page)


def test_a_world_without_baselines_is_evaluated(tmp_path, imitation, ray_session, capsys, monkeypatch):
    monkeypatch.setattr(type(open_task(MENU)), "baselines", {})
    flags = ("--task", MENU, "--out", tmp_path / "out", "--goals", 2, "--modes", "greedy", "--num-workers", 1)
    said = main_of("evaluate", capsys)(*flags, "--policies", f"imitation={imitation}")
    assert "imitation, greedy" in said and "first-dish" not in said
    with pytest.raises(UserError, match="nothing to evaluate: name policies with --policies"):
        main_of("evaluate", capsys)(*flags)


def test_the_documentation_shows_this_package():
    """Every Python block of docs/extend.md stands in the package, word for word; its page is short."""
    page = (Path(__file__).parents[2] / "docs" / "extend.md").read_text()
    code = "\n".join(path.read_text() for path in (*PACKAGE.glob("*.toml"), *PACKAGE.rglob("*.py")))
    blocks = re.findall(r"```(?:python|toml)\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 5 and len(page.splitlines()) < 150
    for block in blocks:
        for part in block.strip("\n").split("\n\n"):
            assert part in code, part
