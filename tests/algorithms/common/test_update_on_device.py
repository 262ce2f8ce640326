"""An update reads no number of its device, so no GPU is waited for. Shown on torch's meta device, which has no numbers
and mixes with no tensor of the host, before there is a GPU at hand."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns

from algorithms.common.learner import FROZEN_LAYERS, PRECISION
from algorithms.common.offline import encode_steps
from algorithms.common.reference import Reference
from algorithms.common.rllib_compat import train_batch
from algorithms.common.start_policy import space_from_policy
from algorithms.dpo import DPOConfig
from algorithms.dpo.columns import decision_columns, trajectory_columns
from algorithms.grpo import GRPOConfig
from algorithms.grpo.steps import REFERENCE_LOGP
from algorithms.imitation import ImitationConfig
from algorithms.ppo import PPOConfig
from envs import CHOICE_ID
from policies.base import load_policy
from rl_recsys.core.preferences import Preference
from rl_recsys.core.trajectory import read_trajectories

pytestmark = pytest.mark.usefixtures("ray_session")
META = torch.device("meta")


@pytest.fixture(scope="module")
def steps(scripted):
    found = [step for each in read_trajectories(scripted(6)) for step in each.steps if len(step.choices) > 1]
    return found[:8]


@pytest.fixture
def on_meta(monkeypatch, without_autocast):
    """Makes one update of a config's learner there."""
    optimizers = sys.modules["torch.optim.optimizer"]  # which torch.optim hides
    monkeypatch.setattr(optimizers, "_get_fused_kernels_supported_devices", lambda: ["meta"])
    steps = []  # the kernel of a step is the one that has no form for that device
    monkeypatch.setattr(torch, "_fused_adam_", lambda *_, found_inf, **__: steps.append(found_inf))

    def update(config, columns, rows):
        config.learners(learner_config_dict={FROZEN_LAYERS: 0, PRECISION: "float32"})
        config.training(grad_clip=1.0)
        space_from_policy(config)
        learner = config.debugging(seed=0, log_level="ERROR").build_learner()
        module = learner.module[DEFAULT_MODULE_ID].unwrapped().to(META)
        module.value_head.requires_grad_(False)
        groups = module.model.parameter_groups()
        for name, optimizer in learner.get_optimizers_for_module(DEFAULT_MODULE_ID):
            moved = list(groups[name.removeprefix(f"{DEFAULT_MODULE_ID}_")])
            optimizer.param_groups[0]["params"] = learner._optimizer_parameters[optimizer] = moved
            learner._params |= {parameter: parameter for parameter in moved}
        learner._device = META
        batch = learner._convert_batch_type(train_batch(columns, rows=rows)).policy_batches
        assert {tensor.device.type for tensor in batch[DEFAULT_MODULE_ID][Columns.OBS].values()} == {"cpu"}
        learnt = learner.module.forward_train(batch)
        gradients = learner.compute_gradients(learner.compute_losses(fwd_out=learnt, batch=batch))
        assert len(gradients) > 20 and all(gradient.device == META for gradient in gradients.values())
        learner.apply_gradients(learner.postprocess_gradients(gradients))
        assert len(steps) == 2 and all(found_inf.device == META for found_inf in steps)

    return update


def test_imitation(on_meta, policy_folder, scripted, steps):
    encoder = Reference(load_policy(policy_folder)).encoder
    columns = {Columns.OBS: encode_steps(encoder, steps), Columns.ACTIONS: np.array([step.chosen for step in steps])}
    config = ImitationConfig().training(policy=str(policy_folder), trajectories=str(scripted(2)))
    on_meta(config, columns, len(steps))


@pytest.mark.parametrize("pairing", ["decision", "trajectory"])
def test_dpo(on_meta, policy_folder, scripted, steps, pairing):
    reference = Reference(load_policy(policy_folder))
    if pairing == "decision":
        preferences = [Preference(step, (step.chosen + 1) % len(step.choices)) for step in steps]
        columns = decision_columns(reference, preferences, whole_pages=True)
    else:
        columns = trajectory_columns(reference, [(steps[:2], steps[2:5]), (steps[5:6], steps[6:8])])
    config = DPOConfig().training(
        policy=str(policy_folder), trajectories=str(scripted(2)), ties="resample", imitation_weight=0.1
    )
    on_meta(config, columns, len(steps))


def sampled_columns(policy_folder, steps):
    encoder = Reference(load_policy(policy_folder)).encoder
    return {
        Columns.OBS: encode_steps(encoder, steps),
        Columns.ACTIONS: np.array([step.chosen for step in steps]),
        Columns.ACTION_LOGP: np.full(len(steps), -1.0, np.float32),
        Columns.ADVANTAGES: np.ones(len(steps), np.float32),
    }


def test_ppo(on_meta, policy_folder, shop_folder, steps):
    config = PPOConfig().environment(CHOICE_ID, env_config={"task": f"webshop:{shop_folder}"})
    on_meta(config.training(policy=str(policy_folder)), sampled_columns(policy_folder, steps), len(steps))


def test_grpo(on_meta, policy_folder, shop_folder, steps):
    columns = sampled_columns(policy_folder, steps)
    columns[REFERENCE_LOGP] = columns[Columns.ACTION_LOGP]
    config = GRPOConfig().training(task=f"webshop:{shop_folder}", kl_weight=0.1, entropy_coeff=0.1)
    on_meta(config.training(policy=str(policy_folder)), columns, len(steps))
