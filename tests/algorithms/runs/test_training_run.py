"""The three algorithms with a tiny policy on the demo shop, on real Ray."""

from __future__ import annotations

import itertools
import json
import math
import os
import pickle
import random
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
import ray
import torch
from gymnasium import spaces
from ray import tune
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.tune.registry import get_trainable_cls

from algorithms.benchmarks.learner import measure_updates
from algorithms.cluster.connection import ClusterError, connect_for
from algorithms.common.learner import FROZEN_LAYERS, HEAD_RATE, LAST_UPDATE, PRECISION
from algorithms.common.offline import EpisodeBatches, decisions_to_learn, fitting_trajectories
from algorithms.common.reference import REFERENCE_LOGITS, Reference
from algorithms.common.rllib_compat import connectors_of
from algorithms.dpo import DPOConfig
from algorithms.dpo.columns import PAIRS
from algorithms.dpo.pairs import action_pairs, episode_pairs
from algorithms.dpo.preferences import (
    MixedPreferences,
    NoPreferences,
    OutcomePreferences,
    RecordedGroups,
    RecordedPreferences,
)
from algorithms.imitation import ImitationConfig
from algorithms.ppo import PPO, PPOConfig
from algorithms.ppo.connectors import KeepDecisions
from algorithms.ppo.env_runner import FailFast, WorkerFailure
from algorithms.registration import register_with_ray
from algorithms.runs import training_run as training
from algorithms.runs.checkpoints import CheckpointError, Checkpoints
from algorithms.runs.run_folder import snapshot_folder
from algorithms.runs.state_file import ARRAYS_FILE
from algorithms.runs.training_run import Evaluation, RunError, Schedule, TrainingRun, current_policy
from envs import CHOICE_ID
from policies.base import load_policy
from rl_recsys.core.encoding import load_decision_encoder
from rl_recsys.core.play import play
from rl_recsys.core.policy_folder import PolicyError
from rl_recsys.core.text_encoding import TextDecisionEncoder
from rl_recsys.core.trajectory import TrajectoryError, TrajectoryWriter, read_trajectories
from rl_recsys.errors import UserError
from rl_recsys.runs.settings import SettingsError
from rl_recsys.webshop import shared_shop
from rl_recsys.webshop.observe.decisions import ChoiceKind
from tests.conftest import SMALL

pytestmark = pytest.mark.usefixtures("ray_session")

COLUMNS = (PAIRS, REFERENCE_LOGITS)


@pytest.fixture(scope="module")
def trajectories(scripted, task):
    folder = scripted(40)
    with TrajectoryWriter(folder / "groups") as writer:
        for goal in range(6):
            for episode in group_of(task, goal, 3):
                writer.append(episode)
    return folder


def offline(config, policy, trajectories, **training):
    config.training(
        policy=str(policy), updates_per_iteration=4, train_batch_size_per_learner=8, lr=1e-3, **training,
    )  # fmt: skip
    if trajectories:
        config.training(trajectories=str(trajectories))
    config.learners(learner_config_dict={HEAD_RATE: 1.0, FROZEN_LAYERS: 0, PRECISION: "float32"})
    return config.debugging(seed=0, log_level="ERROR")


def imitation(policy, trajectories):
    return offline(ImitationConfig(), policy, trajectories)


def dpo(policy, trajectories, imitation_weight=1.0):
    return offline(DPOConfig(), policy, trajectories, beta=0.5, imitation_weight=imitation_weight)


def ppo(policy, shop_folder, workers=2, **env_config):
    config = PPOConfig().environment(
        CHOICE_ID,
        env_config={"task": f"webshop:{shop_folder}", "policy": str(policy), **env_config},
    )
    config.env_runners(num_env_runners=workers, num_envs_per_env_runner=2)
    config.training(policy=str(policy), train_batch_size_per_learner=64, minibatch_size=16, num_epochs=1, lr=1e-3)
    config.learners(learner_config_dict={FROZEN_LAYERS: 0, PRECISION: "float32"})
    return config.debugging(seed=0, log_level="ERROR")


def weights(model) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def train(folder, config, iterations, every=1, **options) -> TrainingRun:
    run = TrainingRun(folder, {"kind": type(config).__name__})
    run.open()
    run.train(config, Schedule(iterations, every, headline=str, **options))
    return run


class Killed(BaseException):
    """Stands for a kill between two iterations."""


def interrupt(folder, config, after, monkeypatch, *, by=Killed, every=2, **options):
    """Train until ``after`` iterations are shown as done, then stop as a kill would, with nothing cleaned up."""
    run = TrainingRun(folder, {"kind": type(config).__name__})
    run.open()

    def trained(algorithm, train=training._trained):
        if run.rows and run.rows[-1]["iteration"] == after:
            raise by
        return train(algorithm)

    with monkeypatch.context() as patch:
        patch.setattr(training, "_trained", trained)
        with pytest.raises(by):
            run.train(config, Schedule(10, every, headline=str, **options))
    return run


def dpo_of_outcomes(policy, trajectories):
    """By trajectory, of recorded groups, with a reference that changes between the checkpoints."""
    config = dpo(policy, trajectories / "groups", imitation_weight=0.0)
    return config.training(pairing="trajectory", refresh_reference_every=3, train_batch_size_per_learner=3, lr=1e-4)


def kept_in(folder) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


@pytest.mark.parametrize("make", [imitation, dpo, dpo_of_outcomes])
def test_an_offline_run_goes_on_to_the_same_weights(make, policy_folder, trajectories, tmp_path, monkeypatch):
    straight = train(tmp_path / "straight", make(policy_folder, trajectories), 6, every=100)
    interrupt(tmp_path / "killed", make(policy_folder, trajectories), 5, monkeypatch)
    assert kept_in(tmp_path / "killed") == ["iteration-000002", "iteration-000004"]
    resumed = train(tmp_path / "killed", make(policy_folder, trajectories), 6, every=100)
    assert [row["iteration"] for row in resumed.rows] == [1, 2, 3, 4, 5, 6]
    first, second = (load_policy(run.policy_folder) for run in (straight, resumed))
    # Equal only if the optimizer's moments, the place in the data and the draws were restored with the weights.
    # Few may differ: texts are kept encoded, in batches that are others in a new process, and Adam makes a whole step
    # of a gradient that is nothing but rounding error.
    assert ((weights(first) - weights(second)).abs() > 1e-5).float().mean() < 0.01
    assert not torch.allclose(weights(first), weights(load_policy(policy_folder)))
    if "learners/tied_share" in straight.rows[-1]:  # of all draws, not of those since the run went on
        assert resumed.rows[-1]["learners/tied_share"] == pytest.approx(
            straight.rows[-1]["learners/tied_share"], abs=0.02
        )


@pytest.mark.parametrize("by", [SystemExit, KeyboardInterrupt, RuntimeError])
def test_what_was_shown_as_done_survives_an_end_between_checkpoints(
    by, policy_folder, trajectories, tmp_path, monkeypatch, capsys
):
    def evaluation():
        return Evaluation(lambda model: {"weight": float(weights(model).abs().sum())}, every=3)

    folder = tmp_path / "run"
    interrupt(folder, imitation(policy_folder, trajectories), 3, monkeypatch, by=by, every=100, evaluation=evaluation())
    assert kept_in(folder) == ["iteration-000001", "iteration-000003"]
    resumed = train(folder, imitation(policy_folder, trajectories), 5, every=100, evaluation=evaluation())
    assert "goes on after iteration 3 " in capsys.readouterr().out
    shown = [row["iteration"] for row in resumed.rows if "seconds" in row]
    assert shown == [1, 2, 3, 4, 5]
    looked = {row["iteration"]: row["evaluation/weight"] for row in resumed.rows if "seconds" not in row}
    assert list(looked) == [0, 3, 5] and not (folder / "checkpoints").exists()
    straight = train(tmp_path / "straight", imitation(policy_folder, trajectories), 5, every=100)
    first, second = (weights(load_policy(run.policy_folder)) for run in (straight, resumed))
    assert ((first - second).abs() > 1e-5).float().mean() < 0.01


def test_a_run_ended_in_its_last_evaluation_is_not_trained_again(policy_folder, trajectories, tmp_path, capsys):
    def ended(model):
        raise SystemExit

    folder = tmp_path / "run"
    with pytest.raises(SystemExit):
        train(folder, imitation(policy_folder, trajectories), 2, evaluation=Evaluation(ended, every=2))
    assert not (folder / "result.json").exists()  # it ended before its first iteration
    with pytest.raises(SystemExit):
        train(
            folder, imitation(policy_folder, trajectories), 2,
            evaluation=Evaluation(lambda model: ended(model) if (folder / "checkpoints").exists() else {}, every=2),
        )  # fmt: skip
    run = train(folder, imitation(policy_folder, trajectories), 2, evaluation=Evaluation(lambda model: {}, every=2))
    assert "goes on after iteration 2 " in capsys.readouterr().out
    assert [(row["iteration"], "seconds" in row) for row in run.rows] == [(0, False), (1, True), (2, True), (2, False)]
    assert run.finished and not (folder / "checkpoints").exists()


def test_a_run_ended_while_its_policy_is_written_is_not_trained_again(
    policy_folder, trajectories, tmp_path, capsys, monkeypatch
):
    def ended(*_):
        raise SystemExit

    folder, config = tmp_path / "run", imitation(policy_folder, trajectories)
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(TrainingRun, "_write_policy", ended)
        train(folder, config, 3, every=5)
    assert train(folder, config, 3, every=5).finished
    assert "goes on after iteration 3 " in capsys.readouterr().out


def test_a_run_of_one_iteration_that_was_killed_before_its_policy_goes_on(
    policy_folder, trajectories, tmp_path, capsys, monkeypatch
):
    def killed(*_):
        raise Killed

    folder, config = tmp_path / "run", imitation(policy_folder, trajectories)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(TrainingRun, "_write_policy", killed)
        train(folder, config, 1)
    assert train(folder, config, 1).finished
    assert "goes on after iteration 1 " in capsys.readouterr().out


def everything_in(folder) -> dict:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_nothing_of_a_run_whose_checkpoints_are_damaged_is_touched(policy_folder, trajectories, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    config = imitation(policy_folder, trajectories)
    interrupt(folder, config, 5, monkeypatch, every=1, snapshot_minutes=(0.0,))
    checkpoints = folder / "checkpoints"
    assert kept_in(folder) == ["iteration-000004", "iteration-000005"]
    for checkpoint in checkpoints.iterdir():
        path = checkpoint / ARRAYS_FILE
        path.write_bytes(path.read_bytes()[:-1])
    damaged = everything_in(folder)
    with pytest.raises(CheckpointError, match="no checkpoint is whole.*another --out"):
        train(folder, config, 10)
    with pytest.raises(SettingsError, match="kind: ImitationConfig before, other now"):
        TrainingRun(folder, {"kind": "other"}).open()
    assert everything_in(folder) == damaged and (folder / "snapshots" / "0-minutes").is_dir()
    # Without any checkpoint it had begun all the same, and its rows say so.
    for checkpoint in checkpoints.iterdir():
        shutil.move(checkpoint, tmp_path)
    with pytest.raises(RunError, match="result.json has 5 iterations, and .*checkpoints has no checkpoint"):
        train(folder, config, 10)
    with pytest.raises(SettingsError, match="kind: ImitationConfig before, other now"):
        TrainingRun(folder, {"kind": "other"}).open()
    rows = (folder / "result.json").read_text()
    (folder / "result.json").write_text("{\n" + rows)
    with pytest.raises(RunError, match="result.json, line 1: damaged"):
        train(folder, config, 10)
    assert (folder / "snapshots" / "0-minutes").is_dir()
    (folder / "result.json").write_text(rows)
    assert set(everything_in(folder)) < set(damaged)


def test_a_checkpoint_brings_its_rows_along(policy_folder, trajectories, tmp_path, monkeypatch):
    config = imitation(policy_folder, trajectories)
    run = interrupt(tmp_path, config, 2, monkeypatch, every=1)
    (tmp_path / "result.json").write_text('{"iteration": 1, "sec')
    assert train(tmp_path, config, 3).rows[:2] == run.rows
    assert len((tmp_path / "result.json").read_text().splitlines()) == 3


def test_a_finished_run_leaves_no_checkpoints(policy_folder, trajectories, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "remove", lambda self: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            train(tmp_path, imitation(policy_folder, trajectories), 2)
    run = TrainingRun(tmp_path, {"kind": "ImitationConfig"})
    assert run.finished and (tmp_path / "checkpoints").is_dir()
    run.open()
    assert run.finished and not (tmp_path / "checkpoints").exists()


def test_minutes_do_not_go_back_with_the_clock(policy_folder, trajectories, tmp_path, monkeypatch):
    clock, calls = time.time, itertools.count()

    def back_an_hour_a_call() -> float:
        return clock() - 3600.0 * next(calls)

    with monkeypatch.context() as patch:
        patch.setattr(time, "time", back_an_hour_a_call)
        run = train(tmp_path, imitation(policy_folder, trajectories), 3)
    assert all(0 < row["seconds"] < 600 for row in run.rows)
    assert [row["minutes"] for row in run.rows] == sorted(row["minutes"] for row in run.rows)


@pytest.mark.parametrize("make", [imitation, dpo])
def test_weights_that_are_no_numbers_become_no_policy(make, policy_folder, trajectories, tmp_path):
    for rate in (math.nan, math.inf):
        config = make(policy_folder, trajectories)
        object.__setattr__(config, "lr", rate)  # past the check of its range
        folder = tmp_path / str(rate)
        with pytest.raises(RunError, match="iteration 1: .* no finite number|iteration 1: .*is not a number"):
            train(folder, config, 3, snapshot_minutes=(0.0,))
        assert not (folder / "policy").exists() and not (folder / "checkpoints").exists()
        assert [path.name for path in (folder / "snapshots").iterdir()] == ["0-minutes"]  # of the start
    broken = load_policy(policy_folder)
    with torch.no_grad():
        broken.value_head[0].weight[0, 0] = math.nan
    broken.save_pretrained(tmp_path / "broken")
    with pytest.raises(PolicyError, match="value_head.* not finite"):
        train(tmp_path / "from-broken", make(tmp_path / "broken", trajectories), 1)
    assert not (tmp_path / "from-broken" / "policy").exists()


def test_a_run_all_of_whose_updates_were_skipped_fails(policy_folder, trajectories, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.nn.utils, "get_total_norm", lambda gradients: torch.tensor(math.inf))
    for iterations, updates in ((2, 8), (100, 20)):
        folder = tmp_path / str(iterations)
        with pytest.raises(RunError, match=f"all {updates} updates were skipped, as their gradients were not finite"):
            train(folder, imitation(policy_folder, trajectories), iterations)
        assert not (folder / "policy").exists()


def test_figures_of_two_sources_have_names_of_their_own(policy_folder, task):
    reference = Reference(load_policy(policy_folder))
    groups = [group_of(task, goal, 3) for goal in range(4)]

    def source():
        return OutcomePreferences(Groups(groups), reference, pairs=2, pairing="trajectory", uses=2)

    mixed, other = (MixedPreferences(recorded=source(), rollouts=source()) for _ in range(2))
    for _ in range(3):
        mixed.next_batch()
    assert mixed.figures().keys() == {"recorded_unequal_share", "rollouts_unequal_share"}
    other.set_state(mixed.get_state())
    assert other.figures() == mixed.figures()
    assert (other.next_batch()["obs"]["state"] == mixed.next_batch()["obs"]["state"]).all()


def test_imitation_learns_its_demonstrations(policy_folder, trajectories, tmp_path):
    config = imitation(policy_folder, trajectories).training(lr=3e-3)
    run = train(tmp_path / "run", config, 40, every=100)
    losses = [row["learners/imitation_loss"] for row in run.rows]
    assert losses[-1] < 0.8 * losses[0]
    assert json.loads((run.policy_folder / "training.json").read_text())["algorithm"] == "Imitation"
    assert run.finished and not (tmp_path / "run" / "checkpoints").exists()
    # What an episode undid knowing no more is not imitated: here it opens its product, leaves it and opens it again.
    episodes = [one for one in read_trajectories(trajectories) if one.success]
    opened = max(n for n, step in enumerate(episodes[0].steps) if step.kinds[step.chosen] == ChoiceKind.PRODUCT)
    loop = replace(episodes[0].steps[opened + 1], chosen=0), episodes[0].steps[opened]
    steps = *episodes[0].steps[: opened + 1], *loop, *episodes[0].steps[opened + 1 :]
    looped = tmp_path / "looped"
    with TrajectoryWriter(looped) as writer:
        writer.append(replace(episodes[0], steps=steps))
        for one in episodes[1:]:
            writer.append(one)
    learnt = imitation(policy_folder, looped).build_algo()
    try:
        steps = learnt.batch_source(load_policy(policy_folder)).steps
    finally:
        learnt.stop()
    assert steps == [step for one in episodes for step in one.steps if len(step.choices) > 1]


@pytest.mark.parametrize("imitation_weight", [0.0, 1.0])
def test_dpo_moves_the_preferred_ahead_and_reports_it(policy_folder, trajectories, tmp_path, imitation_weight):
    run = train(tmp_path / "run", dpo(policy_folder, trajectories, imitation_weight), 10, every=100)
    assert ("learners/imitation_loss" in run.rows[-1]) == (imitation_weight > 0)
    assert run.rows[0]["learners/dpo_loss"] > run.rows[-1]["learners/dpo_loss"]
    assert run.rows[-1]["learners/reward_margin"] > 0
    assert run.rows[-1]["learners/preference_accuracy"] > 0.6
    assert 0 < run.rows[-1]["learners/tied_share"] < 1


def test_preferences_are_against_what_the_reference_draws_instead(policy_folder, trajectories):
    model = load_policy(policy_folder)
    reference = Reference(model)
    episodes = decisions_to_learn(read_trajectories(trajectories))

    def data(**options):
        return RecordedPreferences(episodes, reference, pairs=12, **options)

    preferences = data()
    batch = preferences.next_batch()
    for one, whole in ((batch, False), (data(whole_pages=True).next_batch(), True)):
        logits = model({key: torch.as_tensor(value) for key, value in one["obs"].items()})[0]
        preferred, rejected = logits.gather(1, torch.as_tensor(one[PAIRS])).unbind(1)
        pairs = action_pairs(logits, {key: torch.as_tensor(one[key]) for key in COLUMNS}, whole_pages=whole)
        for margin in (pairs.margin, pairs.reference_margin, pairs.mean_margin):
            torch.testing.assert_close(margin, preferred - rejected, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(pairs.policy, logits.log_softmax(-1).gather(1, torch.as_tensor(one[PAIRS])))
    assert pairs.log_ratios.abs().max() < 1e-4 and pairs.divergence.abs().max() < 1e-4
    assert batch["obs"]["mask"].shape[1] == 2 < one["obs"]["mask"].shape[1]
    assert (one[PAIRS] == batch["obs"]["positions"]).all()  # whole pages: the same pairs at their own places
    positions = batch["obs"]["positions"]
    assert 12 <= len(positions) < 12 + 12
    assert (positions[:, 0] != positions[:, 1]).all()
    assert preferences.drawn == len(positions) + preferences.tied
    assert (data().next_batch()["obs"]["positions"] == positions).all()
    other = data(seed=1).next_batch()["obs"]["positions"]
    assert other.shape != positions.shape or (other != positions).any()
    again = data(ties="resample")
    resampled = again.next_batch()["obs"]["positions"]
    assert len(resampled) == again.drawn == 12 and again.tied > 0
    assert (resampled[:, 0] != resampled[:, 1]).all()
    assert {tuple(pair) for pair in positions} & {tuple(pair) for pair in resampled}
    # An epoch later the same decisions are drawn for anew.
    while preferences.batches.epoch == 0:
        preferences.next_batch()
    assert preferences.tied > 0


def test_a_reference_that_agrees_with_everything_is_named(policy_folder, trajectories):
    class Agrees(torch.nn.Module):
        """Gives the recorded action a logit that no other reaches."""

        name, decision_encoder = "agrees", load_decision_encoder(policy_folder)

        def forward(self, observation):
            logits = torch.full(observation["mask"].shape, -1e9)
            logits[:, 0] = 0.0
            return logits, None

    episodes = decisions_to_learn(read_trajectories(trajectories))
    first = [[replace(step, chosen=0) for step in steps] for steps in episodes]
    data = RecordedPreferences(first, Reference(Agrees()), pairs=4)
    with pytest.raises(NoPreferences, match="nothing left to prefer; record more trajectories"):
        data.next_batch()


def group_of(task, goal: int, size: int) -> list:
    """Episodes of one goal by a shopper that chooses at random, all of them with another reward."""
    episodes = []
    for seed in range(size):
        rng = random.Random(f"{goal}:{seed}")
        at_random = lambda choices, rng=rng: rng.randrange(len(choices.decision.choices))  # noqa: E731
        episode = play(task, goal, at_random, source="policy", author="r", seed=seed, max_choices=SMALL.choices)
        episodes.append(replace(episode, reward=seed / size))
    return episodes


class Groups:
    """The same groups again and again."""

    def __init__(self, groups):
        self.groups, self.taken = groups, 0

    def __next__(self):
        self.taken += 1
        return self.groups[(self.taken - 1) % len(self.groups)]

    def get_state(self):
        return self.taken

    def set_state(self, state):
        self.taken = state


@pytest.mark.parametrize("whole_pages", [False, True])
def test_outcomes_are_compared_where_two_episodes_parted(policy_folder, whole_pages, task):
    model = load_policy(policy_folder)
    reference = Reference(model)
    groups = [group_of(task, goal, 4) for goal in range(5)]
    data = OutcomePreferences(Groups(groups), reference, pairs=6, pairing="decision", whole_pages=whole_pages)
    batch = data.next_batch()
    logits = model({key: torch.as_tensor(value) for key, value in batch["obs"].items()})[0]
    pairs = action_pairs(logits, {key: torch.as_tensor(batch[key]) for key in COLUMNS}, whole_pages=whole_pages)
    torch.testing.assert_close(pairs.reference, pairs.policy, atol=1e-4, rtol=1e-3)
    assert len(pairs.margin) == 6
    assert data.figures() == {"unequal_share": 1.0}
    resumed = OutcomePreferences(Groups(groups), reference, pairs=6, pairing="decision", whole_pages=whole_pages)
    resumed.set_state(data.get_state())
    assert resumed._groups.taken == data._groups.taken and resumed.figures() == data.figures()
    following, same = data.next_batch(), resumed.next_batch()
    assert (following[PAIRS] == same[PAIRS]).all() and (following["obs"]["state"] == same["obs"]["state"]).all()

    equal = [[replace(episode, reward=0.5) for episode in group] for group in groups]
    with pytest.raises(NoPreferences, match="no episode was better than another"):
        OutcomePreferences(Groups(equal), reference, pairs=1, pairing="decision").next_batch()


def test_every_pair_of_rollouts_is_used_as_often_as_asked_and_new_ones_come_steadily(policy_folder, task):
    reference = Reference(load_policy(policy_folder))
    groups = [group_of(task, goal, 4) for goal in range(12)]
    wanted, uses = 2, 6

    def source() -> OutcomePreferences:
        return OutcomePreferences(Groups(groups), reference, pairs=wanted, pairing="decision", uses=uses)

    def kept(data: OutcomePreferences) -> dict[int, int]:
        """Uses that are left, by pair; all pairs stay alive, so that none is taken for another."""
        everything.extend(pair for pair, _ in data._pairs)
        return {id(pair): left for pair, left in data._pairs}

    everything, met, taken = [], {}, []
    data = source()
    for batch in range(90):
        if batch == 45:
            state = data.get_state()
            data, other = source(), source()
            data.set_state(state)
            other.set_state(state)
            assert (data.next_batch()[PAIRS] == other.next_batch()[PAIRS]).all()
        before, groups_before = kept(data), data.groups
        assert len(data.next_batch()[PAIRS]) == wanted
        after = kept(data)
        taken.append(data.groups - groups_before)
        for pair, left in before.items():
            assert left - after.get(pair, 0) in (0, 1), "a pair came twice in a batch, or went before its last use"
        for pair in after.keys() - before.keys():
            met[pair] = batch
    assert len(met) > 20 and min(after.values()) >= 1 and max(after.values()) <= uses
    # As many pairs come as are used up: a group has at most this many, and none is far from the others.
    most = max(len(data._pairs_of(group)) for group in groups)
    assert max(sum(taken[start : start + 10]) for start in range(10, 80)) <= 2 + 10 * wanted / uses
    assert sum(taken[10:]) >= 80 * wanted / uses / most - 1


def test_whole_episodes_are_compared_by_the_sum_of_their_log_ratios(policy_folder, task):
    model = load_policy(policy_folder)
    reference = Reference(model)
    better, worse = group_of(task, 3, 2)[::-1]
    data = OutcomePreferences(Groups([[better, worse]]), reference, pairs=1, pairing="trajectory")
    batch = data.next_batch()

    decisions = [[step for step in one.steps if len(step.choices) > 1] for one in (better, worse)]

    def total(steps) -> float:
        chosen = torch.tensor([step.chosen for step in steps])
        return torch.as_tensor(reference.logits(steps)).log_softmax(-1).gather(1, chosen[:, None]).sum().item()

    logits = model({key: torch.as_tensor(value) for key, value in batch["obs"].items()})[0]
    columns = {key: torch.as_tensor(value) for key, value in batch.items() if key != "obs"}
    pairs = episode_pairs(logits, columns)
    totals = [total(steps) for steps in decisions]
    assert pairs.margin.item() == pytest.approx(totals[0] - totals[1], abs=1e-2)
    assert pairs.reference_margin.item() == pytest.approx(pairs.margin.item(), abs=1e-2)
    assert pairs.divergence.abs().max() < 1e-3
    # What both began with is left out, of each side as many decisions.
    shared = len(decisions[0]) - int(pairs.lengths[0, 0])
    assert shared >= 0 and pairs.lengths.tolist() == [[len(steps) - shared for steps in decisions]]
    # With other logits than the reference's: each side's divergence is the sum over its own pages.
    logits, reference_logits = 2 * logits.detach(), columns[REFERENCE_LOGITS]
    sides = (columns["sign"] < 0).long()
    by_page = torch.nn.functional.kl_div(
        reference_logits.log_softmax(-1), logits.log_softmax(-1), log_target=True, reduction="none"
    ).sum(-1)
    expected = [by_page[sides == side].sum().item() for side in (0, 1)]
    assert episode_pairs(logits, columns).divergence[0].tolist() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("pairing", ["decision", "trajectory", "branch"])
def test_dpo_learns_from_rollouts_while_they_are_played(policy_folder, trajectories, tmp_path, pairing, task):
    mixed = pairing == "decision"
    config = dpo(policy_folder, trajectories if mixed else None, imitation_weight=0.0).training(
        preferences="mixed" if mixed else "rollouts", pairing=pairing, task=task.spec, group_size=4,
        rollout_workers=1, refresh_reference_every=2, train_batch_size_per_learner=4,
    )  # fmt: skip
    run = train(tmp_path / "run", config, 3, every=2)
    last = run.rows[-1]
    assert last["seconds/waiting for rollouts"] >= 0
    assert 0 < last["learners/rollouts_unequal_share" if mixed else "learners/unequal_share"] <= 1
    assert ("learners/recorded_tied_share" in last) == mixed
    assert 0 <= last["rollouts/success"] < 1
    before, after = (load_policy(folder) for folder in (policy_folder, run.policy_folder))
    assert not torch.allclose(weights(before), weights(after))


@pytest.mark.parametrize("loss", ["dpo", "kto", "simpo"])
def test_recorded_episodes_of_one_goal_can_be_compared(policy_folder, trajectories, tmp_path, loss):
    folder = trajectories / "groups"
    config = dpo(policy_folder, folder, imitation_weight=0.5).training(
        pairing="trajectory", train_batch_size_per_learner=2, loss=loss
    )
    run = train(tmp_path / "run", config, 4, every=100)
    assert run.rows[-1]["learners/reward_margin"] > run.rows[0]["learners/reward_margin"]
    with pytest.raises(NoPreferences, match="no goal has a better and a worse one"):
        RecordedGroups([episode for episode in read_trajectories(folder) if episode.reward == 0])


def test_batches_take_every_row_once_an_epoch_and_go_on_from_a_state():
    batches = EpisodeBatches([3, 1, 4, 2], 4, seed=0)
    rows = [batches.next() for _ in range(3)]
    assert sorted(np.concatenate(rows)) == list(range(10))
    state = batches.get_state()
    following = [batches.next().tolist() for _ in range(4)]
    other = EpisodeBatches([3, 1, 4, 2], 4, seed=0)
    other.set_state(state)
    assert [other.next().tolist() for _ in range(4)] == following
    with pytest.raises(ValueError, match="no decision to learn from"):
        EpisodeBatches([], 4, seed=0)


def test_episodes_that_do_not_fit_a_state_are_left_out_and_counted(policy_folder, trajectories, capsys):
    whole = load_decision_encoder(policy_folder)
    every = fitting_trajectories(trajectories, whole, minimum_reward=0.0)
    assert capsys.readouterr().out == ""
    tokens = sorted(whole.tokens(one.goal["instruction_text"]) for one in every)
    narrow = TextDecisionEncoder(policy_folder, replace(SMALL, state_tokens=tokens[len(tokens) // 2]))
    some = fitting_trajectories(trajectories, narrow, minimum_reward=0.0)
    assert 0 < len(some) < len(every)
    assert all(narrow.fits(one.goal["instruction_text"]) for one in some)
    assert f"left out {len(every) - len(some)} episodes" in capsys.readouterr().out
    assert len(fitting_trajectories(trajectories, narrow, minimum_reward=0.0, maximum=3)) == 3
    with pytest.raises(TrajectoryError, match="no trajectory that fits"):
        fitting_trajectories(
            trajectories, TextDecisionEncoder(policy_folder, replace(SMALL, state_tokens=4)), minimum_reward=0.0
        )


def test_what_an_offline_run_lacks_is_named(policy_folder, trajectories, tmp_path):
    with pytest.raises(ValueError, match="trajectories is not set"):
        ImitationConfig().training(policy=str(policy_folder)).build_algo()
    with pytest.raises(ValueError, match="beta is 0"):
        offline(DPOConfig(), policy_folder, trajectories, beta=0).build_algo()
    with pytest.raises(ValueError, match="pair_uses is 0"):
        offline(DPOConfig(), policy_folder, trajectories, pair_uses=0).validate()
    with pytest.raises(ValueError, match="pair_uses is for pairs from rollouts"):
        offline(DPOConfig(), policy_folder, trajectories, pair_uses=2).validate()
    with pytest.raises(ValueError, match="pairing by branch needs rollouts"):
        offline(DPOConfig(), policy_folder, trajectories, pairing="branch").validate()
    with pytest.raises(ValueError, match="imitation_weight is -1"):
        offline(DPOConfig(), policy_folder, trajectories, imitation_weight=-1).validate()
    with TrajectoryWriter(tmp_path) as writer:
        writer.append(next(one for one in read_trajectories(trajectories / "groups") if one.reward < 1))
    with pytest.raises(TrajectoryError, match="no trajectory has a reward of at least 1.0"):
        offline(ImitationConfig(), policy_folder, tmp_path).build_algo()


@pytest.mark.parametrize("pairing", ["decision", "trajectory"])
def test_a_batch_of_more_pairs_than_can_be_made_is_refused(policy_folder, trajectories, pairing):
    """It was collected for without end."""
    config = dpo(policy_folder, trajectories / "groups" if pairing == "trajectory" else trajectories)
    config.training(pairing=pairing, train_batch_size_per_learner=100_000)
    with pytest.raises(NoPreferences, match="a batch of 100000 pairs is asked for, .* are there; take a smaller batch"):
        config.build_algo()


def test_a_few_recorded_episodes_fill_a_batch_as_they_come_again(tmp_path, policy_folder, trajectories):
    by_goal: dict[int, dict] = {}  # goal -> reward -> an episode
    for episode in read_trajectories(trajectories / "groups"):
        by_goal.setdefault(episode.goal_index, {})[episode.reward] = episode
    with TrajectoryWriter(tmp_path) as writer:
        for episode in list(max(by_goal.values(), key=len).values())[:2]:
            writer.append(episode)
    config = dpo(policy_folder, tmp_path, imitation_weight=0.0)
    algorithm = config.training(pairing="trajectory", train_batch_size_per_learner=8).build_algo()
    assert "dpo_loss" in str(algorithm.train()["learners"])
    algorithm.stop()


def test_frozen_layers_stay(policy_folder, trajectories):
    config = imitation(policy_folder, trajectories).learners(learner_config_dict={HEAD_RATE: 1.0, FROZEN_LAYERS: 1})
    algorithm = config.build_algo()
    before = load_policy(policy_folder).state_dict()
    algorithm.train()
    after = current_policy(algorithm).state_dict()
    algorithm.stop()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any(name.startswith(("encoder.bert.embeddings", "encoder.bert.encoder.layer.0")) for name in changed)
    assert any(name.startswith("encoder.bert.encoder.layer.1") for name in changed)
    assert any(name.startswith("scorer") for name in changed)


def test_only_decisions_reach_ppos_learner_with_standard_advantages():
    mask = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0], [1, 1, 0]])
    batch = {
        "default_policy": {
            "obs": {"mask": mask, "state": torch.arange(5)[:, None]},
            "loss_mask": torch.tensor([True, True, True, False, False]),
            "advantages": torch.tensor([1.0, 9.0, 3.0, 9.0, 9.0]),
            "action_dist_inputs": torch.zeros(5, 3),
        }
    }
    kept = KeepDecisions()(rl_module=None, batch=batch, episodes=[])["default_policy"]
    assert kept["obs"]["state"].flatten().tolist() == [0, 2]
    assert kept["advantages"].mean().item() == pytest.approx(0.0)
    assert "loss_mask" not in kept


def test_ppo_trains_on_parallel_rollouts_and_goes_on_after_a_kill(policy_folder, shop_folder, tmp_path, monkeypatch):
    interrupt(tmp_path / "run", ppo(policy_folder, shop_folder, workers=1), 3, monkeypatch)
    run = train(tmp_path / "run", ppo(policy_folder, shop_folder), 4, every=100)
    assert [row["iteration"] for row in run.rows] == [1, 2, 3, 4]
    for row in run.rows:
        assert row["rollouts/num_env_steps_sampled_lifetime"] >= 64 * row["iteration"]
        assert 0 <= row["rollouts/score"] <= 100 and row["learners/entropy"] > 0
        assert 0 < row["learners/kept_share"] <= 1 and row["learners/vf_loss"] >= 0
        assert row["rollouts/steps_per_second"] > 0
        assert row["learners/tokens"] > 64 and row["learners/tokens_per_second"] > 0
    bought = [row["rollouts/parts/r_type"] for row in run.rows if "rollouts/parts/r_type" in row]
    assert bought and all(0 <= part <= 1 for part in bought)  # parts are of purchases, of which a batch may have none
    assert not torch.allclose(weights(load_policy(run.policy_folder)), weights(load_policy(policy_folder)))


def test_ppo_credits_no_episode_that_ran_out_of_steps(policy_folder, shop_folder):
    """Through RLlib's own advantages: two steps, never a purchase, and a value head that expects a reward of 1."""
    algorithm = ppo(policy_folder, shop_folder, workers=0, max_steps=2).build_algo()
    learner = algorithm.learner_group._learner
    pieces = [type(piece).__name__ for piece in connectors_of(learner).connectors]
    order = [pieces.index(name) for name in ("StartValues", "GeneralAdvantageEstimation", "FitValues", "KeepDecisions")]
    assert order == sorted(order)
    learner._values.start([1.0])
    targets = []
    learner._values.learn = lambda states, found: targets.append(found)
    algorithm.train()
    algorithm.stop()
    (found,) = targets
    last = found[found.abs() < 0.5]
    # Of the two steps of an episode the first still expects 0.95 x 0 + 0.05 x 1, by GAE's lambda and the discount.
    assert len(last) == len(found) >= 64 and (last == 0).any()


def test_ppo_writes_the_average_of_its_weights_and_rolls_out_with_the_last(policy_folder, shop_folder):
    config = ppo(policy_folder, shop_folder, workers=0)
    algorithm = config.build_algo()
    start = weights(load_policy(policy_folder))
    assert torch.equal(weights(current_policy(algorithm)), start)
    learner, found = algorithm.learner_group._learner, []
    for _ in range(2):
        algorithm.train()
        found.append(weights(learner.module["default_policy"].unwrapped().model))
    played = weights(algorithm.env_runner.module.unwrapped().model)
    written, state = [current_policy(algorithm)], pickle.loads(pickle.dumps(algorithm.get_state()))
    algorithm.stop()
    for average, learners in ((True, 2), (False, 0)):
        other = config.copy(copy_frozen=False).training(average_weights=average).learners(num_learners=learners)
        algorithm = other.build_algo()
        algorithm.set_state(state)
        written.append(current_policy(algorithm))
        algorithm.stop()
    for model in written:
        del model.value_head  # it is learnt apart, and not averaged
    *averaged, last = map(weights, written)
    for one in averaged:
        assert torch.allclose(one, 0.2 * found[0] + 0.8 * found[1], atol=1e-6)
    assert torch.equal(last, found[1]) and torch.equal(played, found[1])
    assert not torch.allclose(found[0], found[1])


def test_a_state_of_weights_has_nothing_else(policy_folder, shop_folder, trajectories):
    config = ppo(policy_folder, shop_folder, workers=0)
    algorithm = config.training(imitation_weight=1.0, trajectories=str(trajectories)).build_algo()
    learner = algorithm.learner_group._learner
    kept, weights = learner.get_state(), learner.get_state(components=COMPONENT_RL_MODULE)
    algorithm.stop()
    others = {"average", "values", "demonstrations", "loss_scaler", "updates"}
    assert others <= kept.keys() and not others & weights.keys()


def test_ppo_is_held_near_its_start_and_its_demonstrations(policy_folder, shop_folder, trajectories, tmp_path):
    last = {}
    for name, kl, imitation_weight in (("near", 10.0, 1e-6), ("imitating", 1e-6, 10.0)):
        config = ppo(policy_folder, shop_folder, workers=0)
        config.training(kl_weight=kl, imitation_weight=imitation_weight, trajectories=str(trajectories))
        last[name] = train(tmp_path / name, config, 3, every=100).rows[-1]
    assert 0 <= last["near"]["learners/kl"] < last["imitating"]["learners/kl"]
    assert last["imitating"]["learners/imitation_loss"] < last["near"]["learners/imitation_loss"]
    for settings, message in (
        ({"kl_weight": -0.5}, "kl_weight is -0.5"),
        ({"imitation_weight": 1.0}, "needs demonstrations"),
        ({"doubt": 1.0}, "doubt is 1.0, it must be at least 0 and below 1"),
    ):
        with pytest.raises(ValueError, match=message):
            ppo(policy_folder, shop_folder).training(**settings).build_algo()


@pytest.fixture(scope="module")
def ppo_algorithm(policy_folder, shop_folder):
    """Two rollout workers; the last test that uses them breaks them."""
    algorithm = ppo(policy_folder, shop_folder).build_algo()
    yield algorithm
    algorithm.stop()


def test_ppos_workers_start_with_the_policys_weights_and_their_own_goals(ppo_algorithm, policy_folder):
    expected = load_policy(policy_folder).encoder.state_dict()

    def inspect(runner):
        encoder = runner.module.model.encoder.state_dict()
        first = runner.env.unwrapped.envs[0].unwrapped
        return {name: tensor.numpy() for name, tensor in encoder.items()}, set(first._goals.tolist())

    found = ppo_algorithm.env_runner_group.foreach_env_runner(inspect, local_env_runner=False)
    assert len(found) == 2
    for state, _ in found:
        for name, tensor in expected.items():
            np.testing.assert_array_equal(state[name], tensor.numpy())
    assert not found[0][1] & found[1][1]


def test_a_failing_worker_stops_the_run_with_its_traceback(ppo_algorithm, shop_folder):
    def break_search(runner):
        def fail(query):
            raise RuntimeError("the index burnt down")

        shared_shop(str(shop_folder)).hits = fail

    ppo_algorithm.env_runner_group.foreach_env_runner(break_search, local_env_runner=False)
    with pytest.raises(WorkerFailure, match=r"rollout worker \d failed:(.|\n)*the index burnt down"):
        ppo_algorithm.train()


def test_a_run_whose_workers_never_come_back_is_given_up(monkeypatch):
    class Nobody:
        """An algorithm all of whose workers are gone."""

        env_runner_group = None

    monkeypatch.setattr("algorithms.ppo.env_runner.unhealthy_env_runners", lambda group: {})
    watch = FailFast()
    sampled = {"env_runners": {"num_env_steps_sampled_lifetime": 64.0}}
    watch.on_train_result(algorithm=Nobody, result=sampled)
    watch.on_train_result(algorithm=Nobody, result=sampled)
    monkeypatch.setattr("algorithms.ppo.env_runner.PATIENCE_S", 0.0)
    with pytest.raises(WorkerFailure, match="no environment step was sampled in 0 s"):
        watch.on_train_result(algorithm=Nobody, result=sampled)


def test_a_request_that_does_not_fit_says_what_is_short(ray_session, policy_folder, shop_folder):
    with pytest.raises(ClusterError, match=r"CPU: 1\d\d needed.*lower --num-workers"):
        connect_for(ppo(policy_folder, shop_folder, workers=100))


def test_a_run_folder_of_other_settings_is_refused(policy_folder, trajectories, tmp_path):
    TrainingRun(tmp_path, {"lr": 1}).open()
    TrainingRun(tmp_path, {"lr": 1}).open()
    TrainingRun(tmp_path, {"lr": 3}).open()  # nothing was trained yet, so nothing is lost
    Checkpoints(tmp_path / "checkpoints").save({}, 1)
    TrainingRun(tmp_path, {"lr": 3}).open()
    with pytest.raises(SettingsError, match="lr: 3 before, 2 now"):
        TrainingRun(tmp_path, {"lr": 2}).open()


def test_evaluations_are_rows_of_the_progress(policy_folder, trajectories, tmp_path):
    evaluation = Evaluation(lambda model: {"success": 0.5}, every=2)
    run = train(tmp_path / "run", imitation(policy_folder, trajectories), 3, evaluation=evaluation)
    points = [row["iteration"] for row in run.rows if "evaluation/success" in row]
    assert points == [0, 2, 3]


def test_a_policy_is_kept_as_it_was_after_so_many_minutes(policy_folder, trajectories, tmp_path, monkeypatch):
    a_minute_an_iteration = property(lambda run: 60.0 * sum("seconds" in row for row in run.rows))
    monkeypatch.setattr(TrainingRun, "seconds", a_minute_an_iteration)
    config = imitation(policy_folder, trajectories)
    run = train(tmp_path / "run", config, 4, snapshot_minutes=(2, 3, 9))
    kept = snapshot_folder(run.folder, 2)
    assert sorted(one.name for one in kept.parent.iterdir()) == ["2-minutes", "3-minutes", "9-minutes"]
    shorter = json.loads((snapshot_folder(run.folder, 9) / "training.json").read_text())
    assert shorter["iterations"] == 4 and shorter["training_seconds"] == 240.0
    training = json.loads((kept / "training.json").read_text())
    assert training["iterations"] == 2 and training["training_seconds"] == 120.0
    two = train(tmp_path / "two", imitation(policy_folder, trajectories), 2)
    torch.testing.assert_close(weights(load_policy(kept)), weights(load_policy(two.policy_folder)))


def test_learners_of_which_one_has_no_decision_all_say_so(ray_session, tmp_path):
    @ray_session.remote(num_cpus=0.5)
    def keep(rank: int, decisions: list[int]) -> list:
        import torch

        from algorithms.ppo.connectors import KeepDecisions

        torch.distributed.init_process_group("gloo", f"file://{tmp_path}/meeting", rank=rank, world_size=2)
        found = []
        for count in decisions:
            mask = torch.tensor([[1, 1]] * count + [[1, 0]])
            batch = {
                "obs": {"mask": mask},
                "advantages": torch.arange(len(mask), dtype=torch.float32),
                "action_dist_inputs": torch.zeros(len(mask), 2),
            }
            try:
                found.append(len(KeepDecisions()(rl_module=None, batch={"p": batch}, episodes=[])["p"]["advantages"]))
            except UserError as error:
                found.append(str(error))
        return found

    said = "no step of this iteration was a choice: sample more --rollout-steps"
    assert ray.get([keep.remote(0, [3, 4, 2]), keep.remote(1, [1, 0, 5])], timeout=120) == [[3, said, 5]] * 2


def test_ppo_with_updates_lays_its_rates_out_over_them(policy_folder, shop_folder):
    config = ppo(policy_folder, shop_folder, workers=0).training(lr=[[0, 1e-3], [6, 1e-4]], doubt=0.0, num_epochs=2)
    algorithm = config.learners(learner_config_dict={LAST_UPDATE: 6, HEAD_RATE: 1.0}).build_algo()
    learner = algorithm.learner_group._learner
    try:
        while learner._updates < 6:
            algorithm.train()
        optimizers = [each for _, each in learner.get_optimizers_for_module(DEFAULT_MODULE_ID)]
        assert [float(each.param_groups[0]["lr"]) for each in optimizers] == [pytest.approx(1e-4)] * 2
    finally:
        algorithm.stop()


def test_what_ppos_environments_lack_is_named(policy_folder):
    with pytest.raises(ValueError, match="env_config lacks task and policy: .environment"):
        PPOConfig().training(policy=str(policy_folder)).build_algo()


def test_own_spaces_stay(policy_folder, trajectories):
    own = spaces.Discrete(7)
    config = imitation(policy_folder, trajectories).environment(action_space=own)
    config.validate()
    assert config.action_space is own and "state" in config.observation_space.spaces


def test_algorithms_need_no_home(policy_folder, trajectories, shop_folder, tmp_path, monkeypatch):
    (tmp_path / "home").write_text("no folder")
    monkeypatch.setattr("ray.tune.trainable.trainable.DEFAULT_STORAGE_PATH", str(tmp_path / "home" / "ray_results"))
    for config in (imitation(policy_folder, trajectories), ppo(policy_folder, shop_folder, workers=0)):
        algorithm = config.build_algo()
        algorithm.stop()
        assert not os.listdir(algorithm.logdir)
        os.rmdir(algorithm.logdir)


def test_tune_knows_the_algorithms_by_name(policy_folder, trajectories, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")
    register_with_ray()
    config = dpo(policy_folder, trajectories).training(beta=tune.grid_search([0.5, 1.0]), updates_per_iteration=1)
    found = tune.run(
        "DPO", config=config.to_dict(), stop={"training_iteration": 1}, storage_path=str(tmp_path), verbose=0
    )
    assert sorted(trial.config["beta"] for trial in found.trials) == [0.5, 1.0]
    assert all("dpo_loss" in str(trial.last_result["learners"]) for trial in found.trials)
    ppos = {get_trainable_cls(name) for name in ("ChoicePPO", "WebShopPPO")}  # the latter in searches of before
    assert ppos == {PPO}


def test_a_pairs_gradient_is_that_of_the_whole_page(policy_folder, trajectories):
    found = measure_updates(str(policy_folder), str(trajectories))
    assert found["difference"] < 1e-5
    assert all(rate > 0 for name in ("fast", "slow", "mkl", "bfloat16") for rate in found[name])
