"""Agents scored, and a page made of their scores, as their users do."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from importlib import import_module
from pathlib import Path

import pytest

from policies.base import load_policy
from policies.play import policy_episodes
from rl_recsys.errors import UserError
from rl_recsys.evaluation.comparison import arm_result
from tests.jobs.test_jobs import ROOT, main_of
from tests.rl_recsys.evaluation.agents.test_agents import completion, serving

RULE = ["--function", "docs.agents.rule_agent:act", "--name", "rule | by *text*"]


@pytest.fixture
def score(capsys, monkeypatch, shop_folder):
    """Scores an agent on 30 test goals; its results."""
    monkeypatch.chdir(ROOT)

    def run(out: Path, *flags: object) -> dict:
        main_of("evaluate_agent", capsys)("--shop", shop_folder, "--goals", 30, "--out", out, *flags)
        return json.loads((out / "results.json").read_text())

    return run


def episodes_of(out: Path) -> list[dict]:
    rows = [json.loads(line) for line in (out / "episodes.jsonl").read_text().splitlines()]
    return sorted(rows, key=lambda row: row["number"])


def test_the_rule_reaches_by_every_door_what_the_baseline_does(score, task, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs" / "agents")
    rule_server = import_module("rule_server")
    by_function = score(tmp_path / "function", *RULE)
    process = shlex.join([sys.executable, str(ROOT / "docs" / "agents" / "rule_process.py")])
    by_process = score(tmp_path / "process", "--process", process, "--name", "p")
    with serving(lambda _, body: (200, completion(rule_server.answer(body["messages"][0]["content"])))) as address:
        by_chat = score(tmp_path / "chat", "--chat", address, "--model", "m", "--name", "c")
    (rule,) = [one for one in by_function["baselines"] if one["arm"] == "rule"]
    assert 0 < rule["score"] < 100
    for found in (by_function, by_process, by_chat):
        assert found["episodes"] == 30 and found["world"]["fingerprint"] == task.fingerprint
        for name in ("success", "success_interval", "score", "score_interval", "steps"):
            assert found[name] == rule[name]
        assert found["world"] == by_function["world"] and found["ceiling"]["score"] >= rule["score"]
    assert by_chat["agent"].items() >= {"kind": "chat", "model": "m", "temperature": 0.0}.items()
    assert episodes_of(tmp_path / "chat") == episodes_of(tmp_path / "function")


def test_a_policy_is_scored_as_it_plays(score, task, policy_folder, tmp_path):
    flags = ["--policy", policy_folder, "--name", "tiny", "--goals", 8]
    found = score(tmp_path / "greedy", *flags)
    policy, goals = load_policy(policy_folder), list(task.split("test"))[:8]
    outcomes = list(policy_episodes(policy, task, goals, greedy=True))
    expected = arm_result(
        "tiny", [[one.reward for one in outcomes]], [[one.steps for one in outcomes]],
        products=[task.cluster(goal) for goal in goals],
    )  # fmt: skip
    assert (found["score"], found["steps"], found["success"]) == (expected.score, expected.steps, expected.success)
    assert found["score_interval"] == list(expected.score_interval)
    assert [one["steps"] for one in episodes_of(tmp_path / "greedy")] == [one.steps for one in outcomes]
    # At a temperature it samples; near 0 it does what it likes best.
    sampled = score(tmp_path / "sampled", *flags, "--temperature", 1)
    score(tmp_path / "cold", *flags, "--temperature", 1e-6)
    assert episodes_of(tmp_path / "cold") == episodes_of(tmp_path / "greedy") != episodes_of(tmp_path / "sampled")
    assert sampled["agent"]["temperature"] == 1


def test_a_killed_evaluation_goes_on_and_another_is_refused(score, tmp_path):
    whole = score(tmp_path / "whole", *RULE)
    killed = tmp_path / "killed"
    killed.mkdir()
    shutil.copy(tmp_path / "whole" / "settings.json", killed)
    lines = (tmp_path / "whole" / "episodes.jsonl").read_text().splitlines(keepends=True)
    # As chats end: in no order. What is there is not played again, so what it says stays.
    marked = lines[7].replace('"click[buy now]"', '"marked"')
    (killed / "episodes.jsonl").write_text(marked + "".join(lines[:4]) + lines[5][:30])
    again = score(killed, *RULE)
    assert episodes_of(killed)[7]["actions"][-1] == "marked" and len(episodes_of(killed)) == 30
    for name in ("success", "score", "steps", "world", "agent"):
        assert again[name] == whole[name]

    for flags in (["--max-steps", 4], ["--observation-mode", "text"], ["--goals", 31], ["--protocol", "verl-128"]):
        with pytest.raises(UserError, match="begun with other settings"):
            score(killed, *RULE, *flags)
    for damage in (
        lines[0] + lines[0],
        lines[0].replace('"goal": ', '"goal": 1'),
        lines[0].replace("0.", "-0."),
        "x\n",
    ):
        (killed / "episodes.jsonl").write_text(damage)
        with pytest.raises(UserError, match="episodes.jsonl, line [12].*use another --out"):
            score(killed, *RULE)


def test_verl_agents_validations_are_played_and_their_scatter_is_said(score, task, tmp_path, capsys):
    flags = [*RULE, "--protocol", "verl-128", "--validations", 2]
    found = score(tmp_path / "verl", *flags)
    assert found["episodes"] == 256 and [one["episodes"] for one in found["validations"]] == [128, 128]
    both = [one["score"] for one in found["validations"]]
    assert found["score"] == pytest.approx(sum(both) / 2) and both[0] != both[1]
    protocol = found["protocol"]
    train, goals = set(task.split("train")), [one["goal"] for one in episodes_of(tmp_path / "verl")]
    assert protocol["training_goals"] == sum(goal in train for goal in goals) / 256 > 0
    assert protocol["distinct_goals"] == len(set(goals)) < 256
    success = found["success"]
    assert found["scatter"]["half_width"] == pytest.approx(196 * (success * (1 - success) / 128) ** 0.5)
    assert found["baseline_scatter"]["rule"] == found["scatter"] != found["baseline_scatter"]["comparing"]
    table = (tmp_path / "verl" / "table.md").read_text()
    share = protocol["verl_training_goals"]  # not all, of a shop with few goals beyond 500
    assert "2 validations of 128 goals" in table and f"{100 * share:.0f} % can be trained on in verl" in table
    main_of("leaderboard", capsys)(tmp_path / "verl", "--out", tmp_path / "L.md")
    page = (tmp_path / "L.md").read_text()
    assert "## verl-128: 256 episodes" in page and "one alone is known to" in page


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "name one agent"),
        (["--function", "a:b", "--process", "c"], "name one agent"),
        (["--chat", "http://a/v1"], "--chat and --model go together"),
        (["--function", "a:b", "--template", "c"], "--template is for --chat"),
        (["--function", "json:dumps_all"], "has no function dumps_all"),
        (["--chat", "http://a/v1", "--model", "m", "--template", "nowhere.txt"], "nowhere.txt: cannot be read"),
    ],
)
def test_what_names_no_agent_is_refused(score, tmp_path, flags, message):
    with pytest.raises(UserError, match=message):
        score(tmp_path / "out", *flags, "--name", "n")
    assert not (tmp_path / "out" / "results.json").exists()


def test_a_leaderboard_has_a_table_for_each_set_of_goals(score, tmp_path, capsys, monkeypatch):
    (tmp_path / "idle_agent.py").write_text("def act(page, offered):\n    return 'nothing'\n")
    monkeypatch.syspath_prepend(tmp_path)
    score(tmp_path / "rule", *RULE)
    score(tmp_path / "idle", "--function", "idle_agent:act", "--name", "idle")
    score(tmp_path / "fewer", *RULE, "--goals", 9)
    board = tmp_path / "LEADERBOARD.md"
    make = main_of("leaderboard", capsys)
    folders = [tmp_path / name for name in ("idle", "rule", "fewer")]
    assert "3 agents" in make(*folders, "--out", board)
    page = board.read_text()
    first, second = page.split("\n## ")[1:]
    assert "30 episodes" in first and "9 episodes" in second
    rows = [line.split(" | ")[0].strip("| ") for line in first.splitlines() if line.startswith("| ")]
    assert rows[2] == "each goal's own product" and rows[-1] == "idle"  # the best first
    assert rows[3:-1].count("rule") == 1 and "rule \\| by \\*text\\*" in first
    assert "one alone" not in page
    make(tmp_path / "rule", "--out", board)  # its own page is replaced
    assert board.read_text().count("\n## ") == 1
    board.write_text("mine")
    with pytest.raises(UserError, match="no page of jobs/leaderboard.py"):
        make(tmp_path / "rule", "--out", board)
    with pytest.raises(UserError, match="is a folder"):
        make(tmp_path / "rule", "--out", tmp_path)


def test_damaged_results_are_named_by_a_leaderboard(score, tmp_path, capsys):
    found = score(tmp_path / "rule", *RULE)
    make = main_of("leaderboard", capsys)
    path = tmp_path / "rule" / "results.json"
    for damage in ({"format": 9}, {"success": 3}, {"agent": {}}, {"baselines": [1]}, {"ceiling": None}):
        path.write_text(json.dumps(found | damage))
        with pytest.raises(UserError, match=r"rule/results.json: .*jobs/evaluate_agent.py"):
            make(tmp_path / "rule", "--out", tmp_path / "L.md")
    with pytest.raises(UserError, match="missing"):
        make(tmp_path / "nowhere", "--out", tmp_path / "L.md")
