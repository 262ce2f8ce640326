"""jobs/recommend.py: lists for requests in words, and how good lists for test goals are."""

from __future__ import annotations

import json

import pytest

from rl_recsys.core.policy_folder import PolicyError
from rl_recsys.errors import UserError
from tests.jobs.test_jobs import main_of


def test_requests_are_answered_and_written(tmp_path, shop, shop_folder, policy_folder, capsys):
    job, out = main_of("recommend", capsys), tmp_path / "new" / "folder"
    requests = tmp_path / "requests.txt"
    requests.write_text(f"{shop.goal(1).instruction_text}\n\n{'long ' * 200}\r\nshirts size large, $20-90.\u2028\n")
    flags = ["--shop", shop_folder, "--policy", policy_folder, "--top", 3, "--episodes", 4, "--out", out]
    said = job(*flags, "--requests", shop.goal(0).instruction_text, "--requests-file", requests)
    lists = json.loads((out / "recommendations.json").read_text())["requests"]
    assert [one["request"] for one in lists[:3]] == [*(shop.goal(goal).instruction_text for goal in (0, 1)), ""]
    assert [one["status"] for one in lists] == ["ok", "ok", "empty", "too long", "ok"]
    for one in lists:
        assert len(one["products"]) <= 3 and (one["status"] != "ok") == (not one["products"])
        for product in one["products"]:
            assert product["asin"] in said and 0 <= product["share"] <= 1
            assert product["options"].keys() <= shop.product(product["asin"]).options.keys()
            assert product["price"] == shop.product(product["asin"]).price_text
    assert lists[4]["understood"] == {
        "words": "shirts", "floor": 20.0, "limit": 90.0, "options": {"size": "large"}, "unused": []
    }  # fmt: skip
    assert "understood: shirts; size: large; at least $20.00; at most $90.00" in " ".join(said.split())
    assert "too long (202 tokens, the policy reads 128)" in said and "'' names nothing to search for" in said


def test_lists_for_test_goals_are_compared_with_the_search(tmp_path, shop, shop_folder, policy_folder, capsys):
    job, out = main_of("recommend", capsys), tmp_path / "out"
    flags = ["--shop", shop_folder, "--policy", policy_folder, "--goals", 12, "--episodes", 2, "--out", out]
    assert "12 test goals" in job(*flags)
    written = json.loads((out / "recommendations.json").read_text())
    goals = list(shop.split("test"))[:12]
    quality = written["quality"]["worth the whole reward"]
    reciprocal = []
    for goal, one in zip(goals, written["requests"], strict=True):
        session = shop.session(goal)
        worth = [
            session.score(shop.product(product["asin"]), product["options"].values()).total == 1.0
            for product in one["products"]
        ]
        reciprocal.append(1 / (1 + worth.index(True)) if any(worth) else 0.0)
    for places in (1, 3, 5):
        column = f"in the first {places}"
        assert quality["policy"][column]["mean"] == sum(1 / places <= one for one in reciprocal) / 12
        low, high = quality["search alone"][column]["interval"]
        assert 0 <= low <= quality["search alone"][column]["mean"] <= high <= 1
    assert quality["policy"]["MRR"]["mean"] == pytest.approx(sum(reciprocal) / 12)
    own = [
        any(product["asin"] == shop.goal(goal).asin for product in one["products"])
        for goal, one in zip(goals, written["requests"], strict=True)
    ]
    assert written["quality"]["the goal's own product"]["policy"]["in the first 5"]["mean"] == sum(own) / 12
    assert "first 5" not in job(*flags[:4], "--goals", 3, "--episodes", 1, "--top", 3)
    # The search for the whole instruction finds the wanted product, and named options are chosen.
    assert quality["search alone"]["in the first 5"]["mean"] > 0.5


def test_what_is_missing_is_named(tmp_path, shop_folder, policy_folder, capsys):
    job = main_of("recommend", capsys)
    flags = ["--shop", shop_folder, "--policy", policy_folder]
    with pytest.raises(UserError, match="nothing is asked for: give --requests, --requests-file or --goals"):
        job(*flags)
    with pytest.raises(UserError, match="missing.txt: cannot be read"):
        job(*flags, "--requests-file", tmp_path / "missing.txt")
    with pytest.raises(UserError, match="--top is 0, it must be at least 1"):
        job(*flags, "--requests", "shirts", "--top", 0)
    with pytest.raises(UserError, match="give it without --requests"):
        job(*flags, "--requests", "shirts", "--goals", 3)
    with pytest.raises(PolicyError, match="no policy folder"):
        job("--shop", shop_folder, "--policy", tmp_path, "--requests", "shirts")
