"""The numbers of the RLlib configs: in their ranges whichever way they are set, before anything is built."""

from __future__ import annotations

import math

import pytest
from ray import tune

from algorithms.common.ranges import CONFIG, LEARNER_CONFIG
from algorithms.dpo import DPOConfig
from algorithms.grpo import GiGPOConfig, GRPOConfig
from algorithms.imitation import ImitationConfig
from algorithms.ppo import PPOConfig
from rl_recsys.console.ranges import RangeError

CONFIGS = [ImitationConfig, DPOConfig, GRPOConfig, GiGPOConfig, PPOConfig]


@pytest.mark.parametrize("kind", CONFIGS)
def test_no_number_of_a_config_is_ever_outside_its_range(kind):
    """RLlib takes -1 for a setting that was not given, and would train with the default."""
    config = kind()
    names = [name for name in CONFIG if hasattr(config, name)]
    assert {"lr", "seed", "train_batch_size_per_learner"} <= set(names)
    for name in names:
        before = getattr(config, name)
        for value in (-1, -0.5, math.nan, math.inf, 2**70):
            with pytest.raises(RangeError, match=f"^{name} is "):
                setattr(config, name, value)
        assert getattr(config, name) == before


def test_the_learners_settings_are_checked_too(policy_folder):
    config = DPOConfig().training(policy=str(policy_folder), trajectories="x")
    config.learners(learner_config_dict={"frozen_layers": 2}).validate()
    for name in LEARNER_CONFIG:
        with pytest.raises(RangeError, match=f"^{name} is -1"):
            config.copy().learners(learner_config_dict={name: -1}).validate()
    with pytest.raises(ValueError, match="frozen_layers is 99, the policy has 2 layers"):
        config.copy().learners(learner_config_dict={"frozen_layers": 99}).validate()


def test_what_rllib_calls_with_is_checked():
    falling = [[0, 1e-5], [9, -1]]
    for given in ({"beta": -1}, {"label_smoothing": 0.5}, {"group_size": 1}, {"lr": math.nan}, {"lr": falling}):
        with pytest.raises(ValueError, match=next(iter(given))):
            DPOConfig().training(**given)
    for given in ({"gamma": 1.5}, {"clip_param": 0.0}, {"num_epochs": 0}, {"doubt": 1.0}, {"entropy_coeff": -0.1}):
        with pytest.raises(ValueError, match=next(iter(given))):
            PPOConfig().training(**given)
    with pytest.raises(ValueError, match="seed"):
        PPOConfig().debugging(seed=2**31)


def test_what_tune_draws_from_is_a_setting_and_what_it_draws_is_checked():
    config = DPOConfig().training(beta=tune.loguniform(0.3, 3.0), lr=[[0, 1e-5], [9, 0.0]])
    drawn = config.copy().update_from_dict({"beta": 0.7})
    assert drawn.beta == 0.7
    with pytest.raises(RangeError):
        config.copy().update_from_dict({"beta": -1.0})
