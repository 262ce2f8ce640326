from __future__ import annotations

import json

import numpy as np
import pytest

from rl_recsys.errors import UserError
from rl_recsys.evaluation.claims import (
    FAILS,
    HOLDS,
    OPEN,
    Difference,
    Played,
    above,
    claims,
    difference,
    not_below,
    read_evaluation,
)


def played(success: np.ndarray) -> Played:
    """Success as [seeds, goals] of 0 and 1; a failure has a reward of one half."""
    rewards = np.where(np.asarray(success, bool), 1.0, 0.5)
    episodes = tuple(tuple({"reward": r, "bought": True, "parts": {"r_type": 1.0}} for r in row) for row in rewards)
    goals = tuple(range(rewards.shape[1]))
    return Played(goals, tuple(map(str, goals)), rewards, np.full(rewards.shape, 4), episodes)


def by_chance(share: float, seed: int, shape=(5, 400)) -> Played:
    return played(np.random.default_rng(seed).random(shape) < share)


def test_a_difference_is_of_pairs():
    worse = np.random.default_rng(0).random((2, 300)) < 0.5
    better = worse.copy()
    better[:, :30] = True
    found = difference(played(better), played(worse), "success")
    assert found.mean == pytest.approx(100 * (better.astype(float) - worse).mean())
    assert found.low < found.mean < found.high and found.mcnemar < 1e-6 and found.pairs == 600
    assert found.p > 0.05, "two seeds, which differ: McNemar's test pools them"
    one = difference(played(better[:1]), played(worse[:1]), "success")
    assert one.p < 0.001 and difference(played(better[:1]), played(worse[:1]), "success", null=5.0).p > 0.05
    assert 0 < one.low < one.mean < one.high < 12
    score = difference(played(better), played(worse), "score")
    assert score.mean == pytest.approx(found.mean / 2)
    same = difference(played(worse), played(worse), "success")
    assert (same.low, same.mean, same.high, same.mcnemar, same.p) == (-1, 0, 1, 1.0, 1.0)  # three of 300 goals
    with pytest.raises(ValueError, match="cannot be paired"):
        difference(played(better), played(worse[:1]), "success")


def test_verdicts_need_the_whole_interval():
    def of(low, high):
        return Difference((low + high) / 2, low, high, 0.5, 100, 0.5)

    assert [above(of(*one)) for one in ((0.1, 2), (-2, -0.1), (-1, 1))] == [HOLDS, FAILS, OPEN]
    assert [not_below(of(*one), 2) for one in ((-1.9, 0), (-9, -2.1), (-3, 1))] == [HOLDS, FAILS, OPEN]


def test_claims_are_settled_by_arms_that_differ_and_left_open_by_those_that_do_not():
    arms = {
        ("imitation", "greedy"): by_chance(0.5, 0),
        ("ppo", "greedy"): by_chance(0.5, 1),
        ("dpo", "greedy"): by_chance(0.8, 2),
        ("dpo-generated", "greedy"): by_chance(0.5, 3),
    }
    settled = claims(arms, {"within 10 minutes": arms}, ["greedy", "sampled"])
    found = {(one.text, one.where, one.unit): one for one in settled}
    success = {(text, where): one for (text, where, unit), one in found.items() if unit == "points of success"}
    assert success["DPO is better than PPO", "equal updates, greedy"].verdict == HOLDS
    assert success["DPO is better than PPO", "within 10 minutes, greedy"].verdict == HOLDS
    about = next(one for (text, _), one in success.items() if "about as well" in text)
    assert about.verdict == FAILS and about.numbers.startswith("-") and "McNemar p = " in about.numbers
    ppo = next(one for (text, _), one in success.items() if text.startswith("ppo"))
    assert ppo.verdict == OPEN
    assert not any("on top" in text for text, _ in success)
    for primary in (True, False):  # Holm's rule by hand: the smallest p of a family is multiplied by its size
        family = [one for one in settled if one.primary == primary]
        assert min(one.p for one in family) == min(1.0, len(family) * min(one.found.p for one in family))
        assert all(one.p >= one.found.p and (one.p < 0.05 or one.verdict == OPEN) for one in family)
    assert {one.unit for one in settled if one.primary} == {"points of success"}
    assert len(found) == 2 * len(success)


def test_an_evaluations_episodes_are_read_by_arm_and_mode(tmp_path):
    folder = tmp_path / "episodes"
    folder.mkdir()
    for number in (0, 1, 10):
        rows = [{"goals": [4, 5], "products": ["A", "B"]}]
        rows += [
            {
                "goal": goal,
                "reward": number / 10,
                "steps": 3,
                "bought": goal == 4,
                "parts": {"r_type": 0.5, "r_price": True},
            }
            for goal in (4, 5)
        ]
        (folder / f"dpo-on-top-{number}-greedy.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "dpo-on-top-2-greedy.jsonl").write_text("of an earlier evaluation, with more seeds")
    asked = [f"dpo-on-top-{number}-greedy.jsonl" for number in (0, 1, 10)]
    results = {"arms": [], "title": "2 goals", "shop": "x"}
    (tmp_path / "results.json").write_text(json.dumps(results | {"episodes": asked}))
    (key,) = (found := read_evaluation(tmp_path))
    assert key == ("dpo-on-top", "greedy")
    assert found[key].goals == (4, 5) and found[key].rewards.tolist() == [[0, 0], [0.1, 0.1], [1, 1]]
    parts = found[key].parts(("r_type", "r_att", "r_price"))
    assert parts["bought"] == 0.5 and parts["r_type"] == 0.5 and parts["r_price"] == 1 and np.isnan(parts["r_att"])
    whole = folder / "dpo-on-top-1-greedy.jsonl"
    held = whole.read_text()
    whole.write_text(held.rpartition("\n")[0])
    with pytest.raises(UserError, match=r"dpo-on-top-1-greedy\.jsonl: damaged \(it has not an episode of each"):
        read_evaluation(tmp_path)
    whole.write_text(held)
    rows[0]["goals"], rows[1]["goal"], rows[2]["goal"] = [6, 7], 6, 7
    (folder / "rule-0-greedy.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "results.json").write_text(json.dumps(results | {"episodes": [*asked, "rule-0-greedy.jsonl"]}))
    with pytest.raises(UserError, match="other goals, shop or seed than .*; run jobs/evaluate.py again"):
        read_evaluation(tmp_path)
    with pytest.raises(UserError, match=r"results\.json: missing; run jobs/evaluate\.py again"):
        read_evaluation(tmp_path / "nothing")
    (folder / "rule-0-greedy.jsonl").unlink()
    with pytest.raises(UserError, match=r"rule-0-greedy\.jsonl: missing; run jobs/evaluate\.py again"):
        read_evaluation(tmp_path)
    (tmp_path / "results.json").write_text('{"arms": []}')
    with pytest.raises(UserError, match=r"results\.json: damaged .*; run jobs/evaluate\.py again"):
        read_evaluation(tmp_path)


def test_what_an_interval_alone_would_settle_is_open_among_many_claims():
    """One difference with a p of about 0.02, alone and among others that are none."""
    imitation = np.zeros((1, 300), bool)
    imitation[:, :150] = True
    better = imitation.copy()
    better[:, 140:150] = False
    better[:, 150:174] = True
    alone = {("imitation", "greedy"): played(imitation), ("ppo", "greedy"): played(better)}
    (one,) = (one for one in claims(alone, {}, ["greedy"]) if one.primary)
    assert one.verdict == HOLDS and one.p == one.found.p < 0.05
    others = {(arm, "greedy"): played(imitation) for arm in ("dpo", "dpo-generated", "dpo-on-top", "dpo-again")}
    among = {one.text: one for one in claims(alone | others, {}, ["greedy"]) if one.primary}
    same = next(one for text, one in among.items() if text.startswith("ppo"))
    assert same.found == one.found and same.found.low > 0 and same.p > 0.05 and same.verdict == OPEN
