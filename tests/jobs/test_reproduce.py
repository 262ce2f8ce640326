"""The whole study, small: every stage, the report, and going on after a kill."""

from __future__ import annotations

import csv
import json
import os
import re
from html import escape
from pathlib import Path

import pytest

from rl_recsys.console.command import read_flags
from rl_recsys.errors import UserError
from rl_recsys.runs.pipeline import DONE
from rl_recsys.storage.files import write_json
from rl_recsys.storage.locks import HELD_BY_PARENT
from rl_recsys.webshop import Shop
from rl_recsys.webshop.goals.goal import search_words
from tests.jobs.test_jobs import job, job_module, main_of

ARMS = ("imitation", "ppo", "dpo", "dpo-generated", "dpo-on-top", "dpo-again")


def in_this_process(main_of, capsys):
    """Runs stages as ``run_stages`` does, in this process and one after the other: imports and Ray are paid once."""

    def run(stages, folder, *, at_once):
        done = {}
        while len(done) < len(stages):
            stage = next(one for one in stages if one.name not in done and done.keys() >= set(one.needs))
            script, *flags = stage.command
            with pytest.MonkeyPatch.context() as environment:
                environment.setenv(HELD_BY_PARENT, os.path.realpath(folder))
                main_of(Path(script).stem, capsys)(*flags)
            assert stage.rows is None or stage.rows.is_file()
            done[stage.name] = {"command": list(stage.command), "seconds": 1.0}
            write_json(folder / DONE, done)

    return run


def test_the_whole_study_and_its_report(tmp_path, shop_folder, encoder_folder, ray_session, capsys, monkeypatch):
    out = tmp_path / "study"
    flags = ["--preset", "smoke", "--shop", shop_folder, "--encoder", encoder_folder, "--out", out]
    flags += ["--num-workers", 1]  # a stage's workers cost more than what they play
    module = job_module("reproduce")
    monkeypatch.setattr(module, "run_stages", in_this_process(main_of, capsys))
    module.main(read_flags(module.Arguments, "", list(map(str, flags))))

    results = json.loads((out / "evaluation" / "results.json").read_text())
    arms = {arm["arm"]: arm for arm in results["arms"]}
    others = ("dpo-size-2", "dpo-minutes-0.001", "ppo-minutes-0.001")
    modes = ("greedy", "sampled")
    assert list(arms) == ["rule"] + [f"{arm}, {mode}" for arm in (*ARMS, *others) for mode in modes]
    for name, arm in arms.items():
        assert arm["episodes"] == 12 and (arm["training_minutes"] > 0) == (name != "rule")
    for arm in ARMS[1:]:
        rows = (out / "seed-0" / arm / "result.json").read_text().splitlines()
        updates = [json.loads(row)["learners/updates"] for row in rows if "learners/updates" in row]
        assert updates[-1] == 8  # PPO's too, whatever its steps were
    page, text = (out / "report.html").read_text(), (out / "report.md").read_text()
    assert page.count("data:image/png;base64,") == 6 and "http" not in re.sub(r"data:[^\"]*", "", page)
    for shown in (page, text):
        assert " scripted demonstrations" in shown and "human demonstrations" not in shown
        assert "DPO is better than PPO" in shown and "cannot be said at this n" in shown
        assert "within 0.001 minutes of training each" in shown and "One training an arm" in shown
        assert "Regret of the runs" in shown and "shop fingerprint" in shown and "reward" in shown
    figures = {path.name for path in (out / "figures").iterdir()}
    assert {
        f"figure-{n}-{kind}.png" for n, kind in ((3, "score"), (4, "success"), (5, "score"), (6, "success"))
    } < figures
    assert {"training-minutes.csv", "generated-trajectories.csv"} < figures
    with open(out / "figures" / "generated-trajectories.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["trajectories"] for row in rows} == {"2", "3", ""} and "imitation" in rows[-2]["line"]

    elsewhere = tmp_path / "elsewhere"
    main_of("report", capsys)("--study", out, "--out", elsewhere, "--sessions", 1, "--no-quote")
    assert {path.name for path in elsewhere.iterdir()} == {"report.html", "report.md", "figures", "settings.json"}
    header, *_ = (out / "evaluation" / "episodes" / "rule-0-greedy.jsonl").read_text().splitlines()
    shop = Shop.open(shop_folder)
    goals = [shop.goal(goal) for goal in json.loads(header)["goals"]]
    texts = [goal.instruction_text for goal in goals]
    said = {*texts, *map(search_words, texts), *(goal.name for goal in goals)}
    said |= {attribute for goal in goals for attribute in goal.attributes if " " in attribute}
    values = {value for goal in goals for value in goal.goal_options.values()}
    said |= {f"click[{value}]" for value in values} | {value for value in values if " " in value}
    said |= {escape(words) for words in said}
    wordless = [(elsewhere / name).read_text() for name in ("report.html", "report.md")]
    assert sum(words in page for words in said) > 10
    assert not [words for words in said for one in wordless if words in one]
    # As many wins as losses, or more of one where the other has few.
    assert (elsewhere / "report.html").read_text().count("<details") == 2 and page.count("<details") == 10

    again = job("reproduce", *flags)  # the command itself: everything is done
    assert f"report: {out / 'report.html'}" in again.stdout and not again.stderr.strip()
    assert not list((out / "logs").iterdir())


def test_a_bucket_is_no_place_for_a_study(tmp_path, capsys):
    for flag in ("--out", "--shop"):
        with pytest.raises(UserError, match=f"{flag} s3://team/x: a study needs a folder on a disk"):
            main_of("reproduce", capsys)("--out", tmp_path, flag, "s3://team/x")


def test_a_shop_that_is_missing_is_named_with_what_the_preset_needs(tmp_path, capsys):
    flags = ["--preset", "laptop", "--shop", tmp_path / "none", "--out", tmp_path / "out"]
    said = r"is no shop; jobs/prepare\.py makes one\. This preset needs two to three hours"
    with pytest.raises(UserError, match=said):
        main_of("reproduce", capsys)(*flags)
    assert not (tmp_path / "out").exists()
