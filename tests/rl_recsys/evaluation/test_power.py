"""What is reckoned of a study's size, against studies that are drawn by chance."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from rl_recsys.errors import UserError
from rl_recsys.evaluation.claims import read_evaluation
from rl_recsys.evaluation.corrections import pocock_level
from rl_recsys.evaluation.power import (
    Arguments,
    Variances,
    goals_needed,
    main,
    paired,
    power,
    smallest_difference,
    variances,
)

LEVEL = 0.05


def drawn(rng, mean, seeds, clusters, size, *, trainings, cluster, goal, rest):
    """Differences [seeds, goals] with these standard deviations, and the cluster of each goal."""
    goals = clusters * size
    table = mean + rng.normal(0, trainings, (seeds, 1)) + np.repeat(rng.normal(0, cluster, clusters), size)
    return table + rng.normal(0, goal, goals) + rng.normal(0, rest, (seeds, goals)), np.repeat(range(clusters), size)


def test_variances_are_found_again():
    rng = np.random.default_rng(0)
    found = [variances(*drawn(rng, 0.1, 4, 150, 3, trainings=0.05, cluster=0.1, goal=0.2, rest=0.3)) for _ in range(60)]
    for name, true in (("trainings", 0.05**2), ("goals", 0.1**2 + 0.2**2), ("rest", 0.3**2)):
        assert np.mean([getattr(one, name) for one in found]) == pytest.approx(true, rel=0.15), name
    # Of the goals' means, in which a quarter of the rest is.
    rho = 0.1**2 / (0.1**2 + 0.2**2 + 0.3**2 / 4)
    assert np.mean([one.within_cluster for one in found]) == pytest.approx(rho, abs=0.02)


def test_the_variance_of_a_mean_is_that_of_drawn_means():
    rng = np.random.default_rng(1)
    means = [drawn(rng, 0.0, 3, 40, 2, trainings=0.05, cluster=0.1, goal=0.2, rest=0.3)[0].mean() for _ in range(4000)]
    rho = 0.1**2 / (0.1**2 + 0.2**2 + 0.3**2 / 3)
    found = Variances(goals=0.1**2 + 0.2**2, rest=0.3**2, trainings=0.05**2, within_cluster=rho)
    assert found.at(3, 80, 2) == pytest.approx(np.var(means), rel=0.08)


@pytest.mark.parametrize("seeds, goals", [(1, 300), (3, 300), (8, 100)])
def test_power_is_the_share_of_drawn_studies_that_find_the_difference(seeds, goals):
    rng = np.random.default_rng(2)
    found = Variances(goals=0.04, rest=0.09, trainings=0.0004, within_cluster=0.0)
    lower = 0
    for _ in range(2000):
        table, _ = drawn(rng, 0.05, seeds, goals, 1, trainings=0.02, cluster=0.0, goal=0.2, rest=0.3)
        z = table.mean() / found.at(seeds, goals, 1) ** 0.5
        p = 2 * stats.norm.sf(abs(z))
        if seeds > 1:
            p = max(p, stats.ttest_1samp(table.mean(1), 0.0).pvalue)
        lower += p < LEVEL
    reckoned = power(found, 0.05, seeds=seeds, goals=goals, level=LEVEL)
    assert lower / 2000 == pytest.approx(reckoned, abs=0.05)


def test_goals_that_are_needed_suffice_and_one_less_does_not():
    found = Variances(goals=0.03, rest=0.02, trainings=0.00005, within_cluster=0.3)
    sized = {"seeds": 5, "goals_a_cluster": 2.0, "level": LEVEL}
    goals = goals_needed(found, 0.02, wanted=0.8, **sized)
    assert power(found, 0.02, goals=goals, **sized) >= 0.8 > power(found, 0.02, goals=goals - 1, **sized)
    assert smallest_difference(found, goals=goals, wanted=0.8, **sized) == pytest.approx(0.02, abs=1e-4)
    stricter = goals_needed(found, 0.02, wanted=0.8, **sized | {"level": LEVEL / 7})
    assert stricter is None or stricter > goals
    assert goals_needed(found, 0.001, wanted=0.8, **sized) is None  # trainings differ by more
    # The textbook's (z_0.975 + z_0.8) squared / delta squared, with one seed and no variance between trainings.
    plain = Variances(goals=0.05, rest=0.0, trainings=None, within_cluster=0.0)
    assert goals_needed(plain, 0.02, seeds=1, wanted=0.8, level=LEVEL) == pytest.approx(7.849 * 0.05 / 0.0004, rel=2e-3)


def test_a_pilot_evaluation_becomes_a_table(tmp_path, capsys):
    rng = np.random.default_rng(3)
    goals = list(range(40))
    (tmp_path / "episodes").mkdir()
    header = {"goals": goals, "products": [str(goal // 2) for goal in goals]}
    names = [f"{arm}-{seed}-greedy.jsonl" for arm in ("ppo", "dpo") for seed in (0, 1)] + ["rule-0-greedy.jsonl"]
    for name in names:
        won = rng.random(40) < (0.2 if name.startswith("rule") else 0.6)
        rows = [{"goal": goal, "reward": float(won[goal]), "steps": 3, "bought": True, "parts": {}} for goal in goals]
        (tmp_path / "episodes" / name).write_text("\n".join(map(json.dumps, [header, *rows])))
    results = {"arms": [], "episodes": names, "title": "40 goals", "shop": "x"}
    (tmp_path / "results.json").write_text(json.dumps(results))
    pairs = ("dpo:ppo", "dpo:rule")
    main(Arguments(pilots=(tmp_path,), pairs=pairs, seeds=(2, 20), claims=2, looks=2, difference=10.0))
    said = capsys.readouterr().out
    assert "to find 10 points with power 0.8 at level 0.014" in said and said.count("2 x 40 of 20") == 2
    apart, _ = paired(read_evaluation(tmp_path), "dpo:rule", "greedy", tmp_path)
    needed = goals_needed(variances(apart, header["products"]), 0.1, seeds=20, wanted=0.8, level=pocock_level(2, 0.025))
    assert f" {needed} " in said


def test_a_pair_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="--pairs dpo: write ONE:OTHER, two arms of"):
        paired({}, "dpo", "greedy", tmp_path)
    with pytest.raises(ValueError, match="two at least"):
        variances([[1.0]], ["a"])
