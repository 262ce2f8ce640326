"""Precision, gathered batches, several learners and learning rates, with the imitation of a tiny policy."""

from __future__ import annotations

import pytest
import torch

from algorithms.common.iteration_timing import parts_of, shares
from algorithms.common.learner import FROZEN_LAYERS, GATHERED_BATCHES, HEAD_RATE, PRECISION, computing_precision
from algorithms.common.settings import LearningSettings, learning_rates
from algorithms.dpo import DPOConfig
from algorithms.imitation import ImitationConfig
from algorithms.imitation.learner import ImitationLearner
from algorithms.ppo import PPOConfig
from algorithms.runs.training_run import current_policy, flatten
from envs import CHOICE_ID
from policies.base import ENCODER, HEAD

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def trajectories(scripted):
    return scripted(30)


@pytest.fixture
def learn(policy_folder, trajectories):
    """One iteration of imitation; returns the weights and the row of progress."""

    def run(updates=3, batch=8, num_learners=0, learner=ImitationLearner, **settings):
        config = ImitationConfig().training(
            policy=str(policy_folder), trajectories=str(trajectories), updates_per_iteration=updates,
            train_batch_size_per_learner=batch, lr=1e-3,
        )  # fmt: skip
        config.learners(
            learner_class=learner, num_learners=num_learners,
            learner_config_dict={HEAD_RATE: 1.0, FROZEN_LAYERS: 0, PRECISION: "float32"} | settings,
        )  # fmt: skip
        algorithm = config.debugging(seed=0, log_level="ERROR").build_algo()
        try:
            row = flatten(algorithm.train())
            parameters = current_policy(algorithm).parameters()
            return torch.cat([parameter.detach().flatten() for parameter in parameters]), row
        finally:
            algorithm.stop()

    return run


def test_gathered_batches_and_several_learners_step_as_one_large_batch_does(learn):
    large, _ = learn(batch=8)
    gathered, row = learn(batch=4, **{GATHERED_BATCHES: 2})
    shared, row = learn(batch=4, num_learners=2)
    assert row["learners/updates"] == 3
    fewer, _ = learn(batch=4)
    assert row["learners/skipped_updates"] == 0 and row["learners/updates"] == 3
    # Adam makes a whole step of a gradient that is nothing but rounding error: few weights may differ.
    apart = [((weights - large).abs() > 1e-4).float().mean().item() for weights in (gathered, shared, fewer)]
    assert max(apart[:2]) < 1e-3 and apart[2] > 0.1


def test_dpo_on_two_learners_reaches_every_weight_that_it_trains(policy_folder, trajectories):
    """Torch's DDP raises where a loss leaves one out, and looks for none that may be left out."""
    config = DPOConfig().training(
        policy=str(policy_folder), trajectories=str(trajectories), ties="resample", updates_per_iteration=3,
        train_batch_size_per_learner=2, lr=1e-3,
    )  # fmt: skip
    config.learners(num_learners=2, learner_config_dict={FROZEN_LAYERS: 1})
    algorithm = config.debugging(seed=0, log_level="ERROR").build_algo()
    row = flatten(algorithm.train())
    algorithm.stop()
    assert row["learners/updates"] == 3 and row["learners/skipped_updates"] == 0


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_lower_precision_learns_alike_and_clips_gradients_as_they_are(learn, precision):
    usual, exact = learn(updates=1)
    weights, row = learn(updates=1, **{PRECISION: precision})
    assert weights.dtype == torch.float32 and torch.isfinite(weights).all()
    assert row["learners/imitation_loss"] == pytest.approx(exact["learners/imitation_loss"], rel=0.02)
    assert not torch.equal(weights, usual)
    norm = "learners/gradient_norm"
    assert row[norm] == pytest.approx(exact[norm], rel=0.1)  # with the loss scale in it, it would be 65,536 times that
    assert ("learners/loss_scale" in row) == (precision == "float16")


def test_what_an_update_made_old_is_not_used_again(policy_folder, trajectories):
    config = ImitationConfig().training(policy=str(policy_folder), trajectories=str(trajectories), lr=1e-2)
    config.learners(learner_config_dict={FROZEN_LAYERS: 0, PRECISION: "float32"})
    algorithm = config.debugging(seed=0, log_level="ERROR").build_algo()
    module = algorithm.learner_group._learner.module["default_policy"].unwrapped()
    columns = algorithm.source.next_batch()["obs"]
    observation = {key: torch.as_tensor(value) for key, value in columns.items()}

    def kept() -> torch.Tensor:
        with torch.no_grad():
            return module.model(observation)[0]

    before = kept()
    algorithm.train()
    anew = module.model(observation)[0].detach()
    algorithm.stop()
    assert not torch.allclose(before, anew, atol=1e-3)
    torch.testing.assert_close(kept(), anew, atol=1e-4, rtol=1e-4)


class Overflowing(ImitationLearner):
    """Whose second loss has an infinite gradient."""

    losses = 0

    def compute_loss_for_module(self, **kwargs):
        self.losses += 1
        loss = super().compute_loss_for_module(**kwargs)
        return loss * float("inf") if self.losses == 2 else loss


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_step_without_finite_gradients_is_skipped_and_counted(learn, precision):
    usual, _ = learn(updates=1, **{PRECISION: precision})
    weights, row = learn(updates=2, learner=Overflowing, **{PRECISION: precision})
    torch.testing.assert_close(weights, usual, atol=0, rtol=0)
    assert row["learners/skipped_updates"] == 1
    if precision == "float16":
        assert row["learners/loss_scale"] < 2.0**16  # what torch starts with


def test_an_optimizer_of_before_fused_steps_goes_on_and_skips_what_is_not_finite(policy_folder, trajectories):
    config = ImitationConfig().training(policy=str(policy_folder), trajectories=str(trajectories), lr=1e-3)
    config.learners(learner_class=Overflowing, learner_config_dict={FROZEN_LAYERS: 0, PRECISION: "float32"})
    algorithm = config.training(updates_per_iteration=1).debugging(seed=0, log_level="ERROR").build_algo()
    learner = algorithm.learner_group._learner
    try:
        algorithm.train()
        state = learner.get_state()
        for optimizer in state["optimizer"].values():
            for group in optimizer["state"]["param_groups"]:
                group["fused"] = None
        learner.set_state(state)

        def weights() -> torch.Tensor:
            return torch.cat([each.detach().flatten() for each in current_policy(algorithm).parameters()])

        before = weights()
        row = flatten(algorithm.train())
        torch.testing.assert_close(weights(), before, atol=0, rtol=0)
        assert row["learners/skipped_updates"] == 1
        algorithm.train()
        assert not torch.equal(weights(), before)
    finally:
        algorithm.stop()


def test_a_state_is_gone_on_from_with_the_rates_that_the_config_has(policy_folder, trajectories):
    """And what is reported is the rate that was used: RLlib reports the next one, and first uses the state's."""

    def built(rate):
        config = ImitationConfig().training(policy=str(policy_folder), trajectories=str(trajectories), lr=rate)
        config.training(updates_per_iteration=2, train_batch_size_per_learner=2)
        config.learners(learner_config_dict={FROZEN_LAYERS: 0, HEAD_RATE: 3.0, PRECISION: "float32"})
        return config.debugging(seed=0, log_level="ERROR").build_algo()

    def rates(row):
        return [row[f"learners/learning_rate/{name}"] for name in (ENCODER, HEAD)]

    first, second = built([[0, 1e-3], [4, 2e-3]]), built([[0, 2e-3], [4, 4e-3]])
    try:
        # Updates are made with the rate of the tick before: those of ticks 0 and 0, then 1 and 2.
        assert rates(flatten(first.train())) == pytest.approx([1e-3, 3e-3])
        second.set_state(first.get_state())
        assert rates(flatten(first.train())) == pytest.approx([1.375e-3, 4.125e-3])
        assert rates(flatten(second.train())) == pytest.approx([2.75e-3, 8.25e-3])
    finally:
        first.stop()
        second.stop()


def test_ppo_learns_from_the_last_minibatches_of_an_iteration_and_on_two_learners(policy_folder, shop_folder):
    config = PPOConfig().environment(
        CHOICE_ID, env_config={"task": f"webshop:{shop_folder}", "policy": str(policy_folder)}
    )
    config.env_runners(num_env_runners=0, num_envs_per_env_runner=2)
    config.training(policy=str(policy_folder), train_batch_size_per_learner=32, minibatch_size=16, lr=1e-3)
    config.learners(num_learners=2, learner_config_dict={GATHERED_BATCHES: 100, FROZEN_LAYERS: 0})
    algorithm = config.debugging(seed=0, log_level="ERROR").build_algo()
    before = algorithm.learner_group.get_weights()["default_policy"]
    row = flatten(algorithm.train())
    states = algorithm.learner_group.foreach_learner(lambda learner: learner.get_state()["rl_module"])
    algorithm.stop()
    first, second = (result.get()["default_policy"] for result in states)
    name = next(name for name in first if "output.2.weight" in name)
    assert (first[name] == second[name]).all() and (first[name] != before[name]).any()
    assert row["seconds/rollouts"] > 0 and row["seconds/learner"] > 0


def test_learning_rates_rise_and_fall():
    flags = LearningSettings(learning_rate=1e-4, warmup=0.1, final_rate=0.5)
    assert learning_rates(flags, 1000) == [[0, 1e-6], [100, 1e-4], [1000, 5e-5]]
    flags = LearningSettings(learning_rate=1e-4)
    assert learning_rates(flags, 1000) == [[0, 1e-4], [1000, 1e-4]]


def test_a_part_that_took_no_time_hides_no_other():
    timers = {"offline_sampling_timer": 2.0, "rollout_wait": float("nan"), "learner_update_timer": 3.0}
    assert parts_of(timers) == {"seconds/learner": 3.0, "seconds/preparing batches": 2.0}
    assert parts_of(timers | {"rollout_wait": 0.5})["seconds/preparing batches"] == 1.5


def test_shares_of_time_are_of_all_iterations():
    rows = [
        {"seconds": 10.0, "seconds/learner": 6.0, "seconds/rollouts": 1.0},
        {"seconds": 10.0, "seconds/learner": 9.0},
        {"evaluation/success": 1.0},
    ]
    assert shares(rows) == {"learner": 0.75, "rest": 0.2, "rollouts": 0.05}
    assert shares([]) == {}


def test_auto_is_the_fastest_precision_of_the_hardware(monkeypatch):
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    for has, found in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr("policies.bert.products.bfloat16_pays", lambda has=has: has)
        assert computing_precision("auto", cpu) is found
    for has, found in ((True, torch.bfloat16), (False, torch.float16)):  # a T4 has none, but says that it emulates it
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True, has=has: has)
        assert computing_precision("auto", gpu) is found
    assert computing_precision("float16", cpu) is torch.float16
