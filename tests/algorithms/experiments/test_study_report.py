"""The report of a study, from files with known figures: no training, no Ray."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from algorithms.experiments.study_report import study_report
from algorithms.experiments.study_results import StudyResults
from rl_recsys.core import registry
from rl_recsys.errors import UserError
from rl_recsys.evaluation.comparison import arm_result
from rl_recsys.evaluation.report_page import write_report
from rl_recsys.storage.files import write_json
from rl_recsys.storage.folders import CONTENTS
from rl_recsys.webshop.task import WebShop

REWARDS = {"rule": [1.0, 0.0, 1.0, 0.0], "dpo": [1.0, 1.0, 1.0, 0.5]}


@pytest.fixture
def study(tmp_path, task, shop_folder, policy_folder, scripted) -> Path:
    """A finished study of one arm beside the rule: four goals, one seed, two pulls of Thompson sampling."""
    goals = list(task.split("test"))[: len(REWARDS["rule"])]
    products = [task.cluster(goal) for goal in goals]
    asked = {"seed": 0, "goals": goals, "shop": task.fingerprint, "products": products}
    files, results = [], []
    episodes_folder = tmp_path / "evaluation" / "episodes"
    episodes_folder.mkdir(parents=True)
    for arm, mode in (("rule", "greedy"), ("dpo", "greedy"), ("dpo", "sampled")):
        rewards = REWARDS[arm]
        episodes = [
            {"goal": goal, "reward": reward, "steps": 4, "bought": True, "parts": {"r_type": reward}}
            for goal, reward in zip(goals, rewards, strict=True)
        ]
        files.append(f"{arm}-0-{mode}.jsonl")
        (episodes_folder / files[-1]).write_text("\n".join(map(json.dumps, (asked, *episodes))) + "\n")
        label = arm if arm == "rule" else f"{arm}, {mode}"
        minutes = () if arm == "rule" else (2.0,)
        results.append(arm_result(label, [rewards], [[4] * len(goals)], minutes, products=products))
    context = {"title": "4 test goals of the shop", "shop": task.fingerprint, "episodes": files}
    figures = context | {"arms": [result.to_mapping() for result in results]}
    write_json(tmp_path / "evaluation" / "results.json", figures)

    shutil.copytree(policy_folder, tmp_path / "run" / "policy")
    (tmp_path / "run" / "policy" / CONTENTS).unlink()
    training = {"training_seconds": 60, "total_training_seconds": 120, "settings": {"batch": 4}, "precision": "fp32"}
    write_json(tmp_path / "run" / "policy" / "training.json", training | {"shares_of_time": {"learning": 0.75}})
    row = {"iteration": 1, "minutes": 1.0, "learners/updates": 8, "evaluation/success": 0.5}
    (tmp_path / "run" / "result.json").write_text(json.dumps(row) + "\n")

    (tmp_path / "thompson").mkdir()
    pulled = {"pulls": 2, "success": 0.5, "success_interval": [0.1, 0.9], "score": 50.0, "best_probability": 0.8}
    arms = {"rule": {"pulls": 0, "best_probability": 0.2}, "dpo": pulled}
    experiment = {"title": "Thompson sampling on success", "runs": [{"run": 0, "regret": 0.5, "arms": arms}]}
    write_json(tmp_path / "thompson" / "thompson.json", experiment)
    for objective in ("score", "success"):
        lines = "arm,run,rollout,mean\ndpo,0,1,0\ndpo,0,2,50\n"
        (tmp_path / "thompson" / f"running_{objective}.csv").write_text(lines)

    settings = {"shop": str(shop_folder), "seeds": [0], "sizes": [], "minutes": [], "demonstrations": 6, "updates": 8}
    settings |= {"batch": 4, "generated": 3, "evaluation_goals": 1}
    description = {"recorded": str(scripted(6)), "thompson": str(tmp_path / "thompson"), "at_once": 1}
    arms = {"dpo": [str(tmp_path / "run")]}
    write_json(tmp_path / "study.json", description | {"arms": arms, "settings": settings})
    write_json(tmp_path / "stages.json", {"dpo-0": {"command": ["jobs/dpo.py"], "seconds": 90.0}})
    return tmp_path


def test_a_report_has_the_figures_of_the_files(study):
    report = study_report(StudyResults(study), study / "figures", 1, quote=True)
    rows = {row[0].rpartition(", ")[2]: row for row in report.arms.rows}
    assert rows["rule"][1].startswith("50.0 (") and rows["rule"][-1] == "-"
    assert rows["greedy"][1].startswith("87.5 (") and rows["greedy"][2].startswith("75.0 (")
    assert rows["greedy"][-2:] == ["2.0", "8"]
    tables = {table.title: table.rows for table in report.tables}
    assert [row[2:] for row in tables["Reward parts"]] and tables["Reward parts"][0][1] == "100.0%"
    pulls = {row[1].partition(",")[0]: row[2:] for row in tables["Thompson sampling"]}
    assert pulls["rule"] == ["0", "-", "-", "20.0%"]
    assert pulls["DPO"] == ["2", "50.0 (10.0 to 90.0)", "50.0", "80.0%"]
    assert "learning 75%" in report.facts["run: time"] and report.facts["run: settings"] == "batch 4; precision fp32"
    assert len(report.sessions) == 2 and {picture.path.is_file() for picture in report.pictures} == {True}
    write_report(report, study)
    assert "87.5" in (study / "report.md").read_text() and "87.5" in (study / "report.html").read_text()
    # Each session that is shown leads to itself on the page to watch, where the baseline can be put beside it.
    watched = json.loads(re.search(r'id="data">(.*?)</script>', (study / "sessions.html").read_text())[1])
    arms = [(one["goal"], one["arm"]) for one in watched["summaries"]]
    links = re.findall(r'href="sessions.html#goal=(\d+)&amp;arm=(\w+)"', (study / "report.html").read_text())
    assert [(int(goal), arm) for goal, arm in links] == arms[:2] and [arm for _, arm in arms] == ["dpo"] * 2 + [
        "rule"
    ] * 2
    assert watched["details"][0]["policy"] == "dpo" and watched["details"][0]["steps"][0]["probabilities"]
    assert "](sessions.html)" in (study / "report.md").read_text()
    write_report(study_report(StudyResults(study), study / "figures", 1, quote=False), study)
    assert not (study / "sessions.html").exists() and "sessions.html" not in (study / "report.html").read_text()


class Bare(WebShop):
    """A world that offers no more than it must."""

    baselines, reward_parts = {}, {}


def test_what_a_task_has_not_is_left_out_and_said(study, shop_folder, monkeypatch):
    monkeypatch.setitem(registry.BUILT_IN[registry.TASKS], "bare", f"{__name__}:Bare")
    described = json.loads((study / "study.json").read_text())
    del described["settings"]["shop"]
    write_json(study / "study.json", described | {"settings": described["settings"] | {"task": f"bare:{shop_folder}"}})
    report = study_report(StudyResults(study), study / "figures", 1, quote=True)
    assert [row[0].rpartition(", ")[2] for row in report.arms.rows] == ["greedy", "sampled"]
    assert "Reward parts" not in [table.title for table in report.tables]
    assert f"on bare:{shop_folder}: 4 test goals" in report.summary[0] and "baseline" not in report.summary[1]
    assert report.summary[-1] == (
        "The task has no baseline: every arm is trained. "
        "The task names no parts of a reward, so there is no table of them."
    )


@pytest.mark.parametrize(
    ("name", "keys", "value"),
    [
        ("study.json", ("arms", "dpo"), "run"),
        ("study.json", ("arms", "dpo"), []),
        ("study.json", ("settings", "sizes"), ["ten"]),
        ("evaluation/results.json", ("arms", 1), "dpo"),
        ("evaluation/results.json", ("arms", 1, "success"), "high"),
        ("evaluation/results.json", ("arms", 1, "success_interval"), [0.5]),
        ("evaluation/results.json", ("arms", 1, "score_interval", 0), None),
        ("evaluation/results.json", ("arms", 1, "gain"), 0.5),
        ("thompson/thompson.json", ("runs", 0), None),
        ("thompson/thompson.json", ("runs", 0, "arms", "dpo", "success_interval"), [None, 1.0]),
        ("run/policy/training.json", ("shares_of_time", "learning"), "most"),
    ],
)
def test_a_wrong_value_within_a_file_is_named(study, name, keys, value):
    path = study / name
    held = json.loads(path.read_text())
    *outer, last = keys
    within = held
    for key in outer:
        within = within[key]
    within[last] = value
    write_json(path, held)
    with pytest.raises(UserError, match=rf"{name}.*: damaged \(.*\); "):
        study_report(StudyResults(study), study / "figures", 0, quote=True)
