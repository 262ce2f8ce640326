from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rl_recsys.evaluation.bandit import BetaPosterior, NormalPosterior, ThompsonRun, regret, running

ARMS = {"poor": 0.2, "fair": 0.5, "good": 0.7}


def rewards_of(arm: str, goal: int, draw: int, run: int) -> float:
    """A synthetic arm: success with its probability, else half a reward; its own luck for every episode."""
    lucky = np.random.default_rng((len(arm), ord(arm[0]), goal, draw, run)).random() < ARMS[arm]
    return 1.0 if lucky else 0.3


def start(objective="success", *, batch=8, rollouts=400, seed=0, run=0, goals=range(100)) -> ThompsonRun:
    return ThompsonRun(list(ARMS), list(goals), rollouts=rollouts, batch=batch, objective=objective, seed=seed, run=run)


def play(bandit: ThompsonRun, until: int = 10**9) -> ThompsonRun:
    while not bandit.finished and len(bandit.pulls) < until:
        batch = bandit.batch()
        bandit.observe(batch, [rewards_of(p.arm, p.goal, p.draw, bandit.run) for p in batch], [3] * len(batch))
    return bandit


@pytest.mark.parametrize("objective", ["success", "score"])
def test_the_best_arm_is_pulled_most_and_believed_best(objective):
    shares, believed = [], []
    for run in range(8):
        bandit = play(start(objective, run=run))
        assert len(bandit.pulls) == 400 and [pull.rollout for pull in bandit.pulls] == list(range(400))
        shares.append(np.mean([pull.arm == "good" for pull in bandit.pulls]))
        believed.append(bandit.best_probabilities()["good"])
    assert np.mean(shares) > 0.6 and np.mean(believed) > 0.85
    means = ARMS if objective == "success" else {arm: p + 0.3 * (1 - p) for arm, p in ARMS.items()}
    lost = np.mean([regret(play(start(objective, run=run)).pulls, means) for run in range(3)])
    assert 0 < lost < 0.5 * 400 * np.mean([max(means.values()) - mean for mean in means.values()])


@pytest.mark.parametrize("objective", ["success", "score"])
def test_intervals_hold_the_truth_as_often_as_they_say(objective):
    """Also of the arms that are pulled rarely because they began badly."""
    means = ARMS if objective == "success" else {arm: p + 0.3 * (1 - p) for arm, p in ARMS.items()}
    found = [play(start(objective, run=run, rollouts=120, batch=20)).intervals() for run in range(60)]
    held = [low <= means[arm] <= high for one in found for arm, (low, high) in one.items()]
    assert 0.9 < np.mean(held) < 0.995


def test_two_runs_with_one_seed_are_one_and_others_are_not():
    assert play(start()).pulls == play(start()).pulls
    assert play(start()).pulls != play(start(seed=1)).pulls != play(start(run=1)).pulls


@settings(max_examples=30)
@given(st.integers(0, 400), st.integers(1, 40))
def test_a_run_that_was_killed_anywhere_goes_on_to_the_same_pulls(logged, batch):
    whole = play(start(batch=batch))
    again = start(batch=batch)
    used = again.resume(whole.pulls[:logged])
    assert used == (400 if logged == 400 else logged - logged % batch)
    assert play(again).pulls == whole.pulls


def test_a_log_of_another_run_is_refused():
    with pytest.raises(ValueError, match=r"rollout 0 of run 0 is arm .* expected"):
        start().resume(play(start(seed=5)).pulls)


def test_a_batch_is_drawn_from_one_posterior_and_stays_until_it_is_observed():
    bandit = play(start(batch=10), until=50)
    batch = bandit.batch()
    assert bandit.batch() == batch and len(batch) == 10
    pulls = bandit.observe(batch, [1.0] * 10, [3] * 10)
    for arm in ARMS:
        assert len({tuple(pull.posterior) for pull in pulls if pull.arm == arm}) <= 1
    assert len({pull.goal for pull in bandit.pulls}) == 60  # no goal twice before all came


def test_goals_come_again_with_another_draw():
    pulls = play(start(goals=range(30), rollouts=70)).pulls
    assert [pull.draw for pull in pulls] == [1] * 30 + [2] * 30 + [3] * 10
    other = play(start(goals=range(30), rollouts=70, run=1)).pulls
    assert not {pull.draw for pull in pulls} & {pull.draw for pull in other}
    assert [pull.goal for pull in pulls[:30]] == [pull.goal for pull in pulls[30:60]]


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=30))
@settings(max_examples=30)
def test_posteriors_are_the_textbooks(rewards):
    beta, normal = BetaPosterior(2), NormalPosterior(2)
    for reward in rewards:
        beta.observe(1, reward)
        normal.observe(1, reward)
    successes = sum(reward == 1.0 for reward in rewards)
    assert beta.parameters(1) == [1 + successes, 1 + len(rewards) - successes] and beta.parameters(0) == [1, 1]
    # Murphy 2007, equations 85 to 89, all episodes at once.
    mean, count, shape, scale = NormalPosterior.PRIOR
    n, data = len(rewards), np.array(rewards or [0.0])
    average = data.mean() if n else 0.0
    expected = [
        (count * mean + n * average) / (count + n), count + n, shape + n / 2,
        scale + (((data - average) ** 2).sum() if n else 0) / 2 + count * n * (average - mean) ** 2 / (2 * (count + n)),
    ]  # fmt: skip
    np.testing.assert_allclose(normal.parameters(1), expected)
    assert normal.parameters(0) == list(NormalPosterior.PRIOR)
    drawn = normal.draw(np.random.default_rng(0), 4000)[:, 1]
    student = stats.t(2 * expected[2], expected[0], np.sqrt(expected[3] / (expected[2] * expected[1])))
    assert stats.kstest(drawn, student.cdf).pvalue > 1e-4
    drawn = beta.draw(np.random.default_rng(0), 4000)[:, 1]
    assert stats.kstest(drawn, stats.beta(*beta.parameters(1)).cdf).pvalue > 1e-4


def test_running_means_are_of_each_arm_alone():
    pulls = play(start(rollouts=60)).pulls
    for objective, value in (("success", lambda pull: pull.success), ("score", lambda pull: pull.reward)):
        curves = running(pulls, objective)
        assert sum(map(len, curves.values())) == 60
        for arm, points in curves.items():
            own = [pull for pull in pulls if pull.arm == arm]
            assert [x for x, _ in points] == [pull.rollout + 1 for pull in own]
            assert points[-1][1] == pytest.approx(100 * np.mean([value(pull) for pull in own]))


def test_arms_without_names_of_their_own_are_refused():
    with pytest.raises(ValueError, match="arms must be named and different"):
        ThompsonRun(["a", "a"], [1], rollouts=1, batch=1, objective="success", seed=0, run=0)
    with pytest.raises(ValueError, match="0 rollouts"):
        start(rollouts=0)
