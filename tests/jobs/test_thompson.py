"""Simulated online experiments as their users run them."""

from __future__ import annotations

import csv
import io
import json
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from rl_recsys.console.command import read_flags
from rl_recsys.errors import UserError
from tests.jobs.test_jobs import job_module, main_of

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def flags(shop_folder, policy_folder):
    arms = [f"tiny={policy_folder}", f"twin={policy_folder}", "rule"]
    return ["--shop", shop_folder, "--policies", *arms, "--runs", 2, "--rollouts", 24, "--batch", 5, "--goals", 10]


@pytest.fixture(scope="module")
def played(flags, tmp_path_factory, ray_session) -> tuple[Path, str]:
    """The folder of a finished experiment, and what it said."""
    out, said = tmp_path_factory.mktemp("thompson") / "whole", io.StringIO()
    module = job_module("thompson")
    with redirect_stdout(said):
        module.main(read_flags(module.Arguments, "", [*map(str, flags), "--out", str(out)]))
    return out, said.getvalue()


@pytest.fixture
def whole(played, tmp_path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(played[0], tmp_path / "whole"))


def pulls_of(folder) -> list[dict]:
    logs = sorted(folder.glob("pulls-*.jsonl"))
    return [json.loads(line) for log in logs for line in log.read_text().splitlines()]


def test_every_rollout_is_logged_once_and_a_killed_experiment_goes_on_with_none_lost(flags, played, tmp_path, capsys):
    thompson = main_of("thompson", capsys)
    whole, said = played
    pulls = pulls_of(whole)
    assert [(pull["run"], pull["rollout"]) for pull in pulls] == [(run, n) for run in range(2) for n in range(24)]
    assert all(set(pull) >= {"arm", "goal", "reward", "success", "posterior", "drawn"} for pull in pulls)
    found = json.loads((whole / "thompson.json").read_text())
    assert sum(arm["pulls"] for run in found["runs"] for arm in run["arms"].values()) == 48
    assert "Regret, in successes, by the mean of all pulls" in said and "48 in" in said
    with open(whole / "running_score.csv") as file:
        assert len(list(csv.DictReader(file))) == 48
    assert (whole / "running_success.png").read_bytes().startswith(b"\x89PNG")

    # One run as a kill leaves it, cut within a line; the other, a batch behind, as a full disk leaves it: whole lines,
    # the last without its end. A single worker plays what two have played.
    killed = tmp_path / "killed"
    killed.mkdir()
    (killed / "settings.json").write_bytes((whole / "settings.json").read_bytes())
    first, second = ((whole / f"pulls-{run}.jsonl").read_text().splitlines(keepends=True) for run in range(2))
    (killed / "pulls-0.jsonl").write_text("".join(first[:10]).rstrip("\n"))
    (killed / "pulls-1.jsonl").write_text("".join(second[:17]) + second[17][:20])
    thompson(*flags, "--out", killed, "--num-workers", 1)
    assert pulls_of(killed) == pulls
    assert "Thompson sampling:" not in thompson(*flags, "--out", killed)  # finished: nothing is played again


def test_regret_is_reckoned_from_an_evaluation_of_the_same_arms(flags, whole, tmp_path, capsys):
    thompson = main_of("thompson", capsys)
    rows = [("rule", 0.1), ("tiny, sampled", 0.5), ("twin, sampled", 0.3)]
    truth = tmp_path / "results.json"
    truth.write_text(json.dumps({"arms": [{"arm": arm, "success": mean, "seeds": [mean]} for arm, mean in rows]}))
    thompson(*flags, "--out", whole, "--truth", truth)
    found = json.loads((whole / "thompson.json").read_text())
    for run in found["runs"]:
        expected = 0.4 * run["arms"]["rule"]["pulls"] + 0.2 * run["arms"]["twin"]["pulls"]
        assert run["regret"] == pytest.approx(expected)
    truth.write_text(json.dumps({"arms": [{"arm": "rule", "success": 0.1, "seeds": [0.1]}]}))
    with pytest.raises(UserError, match=r"has no arm tiny, sampled, twin, sampled"):
        thompson(*flags, "--out", whole, "--truth", truth)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--policies", "rule"], "1 arm: there is nothing to choose between"),
        (["--policies", "rule", "nonsense"], "'nonsense': expected NAME=FOLDER"),
        (["--policies", "rule", "heuristic=folder"], "another name than rule or heuristic or comparing"),
        (["--policies", "rule", "mine=heuristic"], "write mine=./heuristic"),
        (["--policies", "heuristic", "heuristic"], "heuristic: given twice"),
        (["--batch", 0], "--batch is 0, it must be at least 1"),
    ],
)
def test_what_cannot_be_an_experiment_is_named(flags, tmp_path, capsys, changed, message):
    with pytest.raises(UserError, match=message):
        main_of("thompson", capsys)(*flags, "--out", tmp_path / "run", *changed)
    assert not (tmp_path / "run").exists()


def test_a_log_of_other_settings_is_not_gone_on_with(flags, whole, capsys):
    with pytest.raises(UserError, match="rollouts: 24 before, 30 now"):
        main_of("thompson", capsys)(*flags, "--out", whole, "--rollouts", 30)
