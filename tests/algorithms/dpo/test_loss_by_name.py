"""Preference losses by name: this project's, and those of other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest
import torch

from algorithms.common.learner import FROZEN_LAYERS
from algorithms.dpo import DPOConfig
from algorithms.dpo.losses import dpo_loss, ipo_loss, preference_loss
from rl_recsys.core import registry
from rl_recsys.errors import UserError
from tests.jobs.test_tune import arguments_of


def squared_hinge(margin, reference_margin, beta, label_smoothing=0.0):
    """Somebody else's loss."""
    return (1 - beta * (margin - reference_margin)).clamp(min=0).square().mean()


@pytest.fixture
def other_package(monkeypatch):
    entry = EntryPoint("hinge", f"{__name__}:squared_hinge", registry.LOSSES)
    offered = registry._offered
    monkeypatch.setattr(
        registry, "_offered", lambda group: {**offered(group), **({"hinge": entry} if group == entry.group else {})}
    )


FLAGS = ["--shop", "a", "--policy", "b", "--trajectories", "c", "--out", "d", "--loss"]


def test_a_loss_is_found_by_its_name(other_package):
    assert [preference_loss(name) for name in ("dpo", "ipo", "hinge")] == [dpo_loss, ipo_loss, squared_hinge]
    assert arguments_of("dpo", *FLAGS, "hinge").loss == "hinge"


def test_an_unknown_one_is_refused_with_the_names(policy_folder):
    with pytest.raises(UserError, match="^no loss 'nix' is known: there are dpo, ipo[^\n]*$"):
        arguments_of("dpo", *FLAGS, "nix")
    config = DPOConfig().training(policy=str(policy_folder), trajectories="x", loss="nix")
    with pytest.raises(ValueError, match="no loss 'nix' is known: there are dpo, ipo"):
        config.learners(learner_config_dict={FROZEN_LAYERS: 0}).validate()


@pytest.mark.parametrize("name", ["ipo", "hinge"])
def test_a_policy_learns_with_another_loss(name, policy_folder, scripted, other_package, ray_session):
    """The first update starts at the reference: every margin is the reference's, and the loss is known."""
    config = DPOConfig().training(
        policy=str(policy_folder), trajectories=str(scripted(30)), loss=name, beta=0.5, updates_per_iteration=1, lr=1e-3
    )
    config.learners(learner_config_dict={FROZEN_LAYERS: 0, "precision": "float32"})
    algorithm = config.debugging(log_level="ERROR").build_algo()
    try:
        learners = algorithm.train()["learners"]["default_policy"]
        again = algorithm.train()["learners"]["default_policy"]
    finally:
        algorithm.stop()
    at_reference = preference_loss(name)(torch.zeros(4), torch.zeros(4), 0.5, 0.0).item()
    assert learners[f"{name}_loss"] == pytest.approx(at_reference, rel=1e-3)
    assert again[f"{name}_loss"] != pytest.approx(at_reference, rel=1e-3) and "dpo_loss" not in again
