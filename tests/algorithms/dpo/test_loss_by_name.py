"""Preference losses by name: this project's, and those of other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from algorithms.common.learner import FROZEN_LAYERS
from algorithms.dpo import DPOConfig, losses
from algorithms.dpo.loss_by_name import preference_loss
from rl_recsys.core import registry
from rl_recsys.errors import UserError
from tests.jobs.test_tune import arguments_of


def squared_hinge(pairs, *, beta, power=2):
    """Somebody else's loss."""
    return (1 - beta * (pairs.margin - pairs.reference_margin)).clamp(min=0).pow(power).mean()


def two_margins(margin, reference_margin, beta, label_smoothing=0.0):
    """As losses were written before."""


def of_a_setting_that_nobody_gives(pairs, *, beta, temperature):
    """It cannot be called."""


@pytest.fixture
def other_package(monkeypatch):
    offers = {"hinge": squared_hinge, "before": two_margins, "unset": of_a_setting_that_nobody_gives}
    entries = {name: EntryPoint(name, f"{__name__}:{loss.__name__}", registry.LOSSES) for name, loss in offers.items()}
    offered = registry._offered
    monkeypatch.setattr(
        registry, "_offered", lambda group: {**offered(group), **(entries if group == registry.LOSSES else {})}
    )


FLAGS = ["--shop", "a", "--policy", "b", "--trajectories", "c", "--out", "d", "--loss"]


def test_a_loss_is_found_by_its_name(other_package):
    found = {name: preference_loss(name) for name in ("dpo", "ipo", "kto", "simpo", "hinge")}
    assert found.pop("hinge").function is squared_hinge
    assert all(loss.function is getattr(losses, f"{name}_loss") for name, loss in found.items())
    assert [name for name, loss in found.items() if loss.whole_pages] == ["kto"]
    assert arguments_of("dpo", *FLAGS, "hinge").loss == "hinge"


@pytest.mark.parametrize(
    "name, message",
    [
        ("before", r"loss 'before'\(margin, .*\) must take pairs, and settings by name.*docs/upgrading.md"),
        ("unset", "loss 'unset' asks for temperature, which no flag sets: give it a default .*beta"),
    ],
)
def test_a_loss_that_cannot_be_called_is_refused_with_the_remedy(name, message, other_package):
    with pytest.raises(UserError, match=message):
        preference_loss(name)


@pytest.mark.parametrize(
    "name, setting, having",
    [
        ("dpo", "simpo_gamma", "beta, label_smoothing"),
        ("ipo", "lambda_d", "beta, label_smoothing"),
        ("kto", "label_smoothing", "beta, lambda_d, lambda_u"),
        ("simpo", "lambda_u", "beta, gamma, label_smoothing"),
        ("hinge", "label_smoothing", "beta"),
    ],
)
def test_a_setting_that_the_loss_does_not_have_is_refused(name, setting, having, policy_folder, other_package):
    config = DPOConfig().training(policy=str(policy_folder), trajectories="x", loss=name)
    config.learners(learner_config_dict={FROZEN_LAYERS: 0}).validate()
    shown = "gamma" if setting == "simpo_gamma" else setting
    with pytest.raises(ValueError, match=f"^{shown} is no setting of the loss '{name}', which has {having}: leave it"):
        config.training(**{setting: 0.25}).validate()


def test_an_unknown_one_is_refused_with_the_names(policy_folder):
    with pytest.raises(UserError, match="^no loss 'nix' is known: there are dpo, ipo[^\n]*$"):
        arguments_of("dpo", *FLAGS, "nix")
    config = DPOConfig().training(policy=str(policy_folder), trajectories="x", loss="nix")
    with pytest.raises(ValueError, match="no loss 'nix' is known: there are dpo, ipo"):
        config.learners(learner_config_dict={FROZEN_LAYERS: 0}).validate()


@pytest.mark.parametrize("name", ["ipo", "kto", "simpo", "hinge"])
def test_a_policy_learns_with_another_loss(name, policy_folder, scripted, other_package, ray_session):
    """The first update starts at the reference: there every log-ratio and divergence is 0."""
    config = DPOConfig().training(
        policy=str(policy_folder), trajectories=str(scripted(30)), loss=name, beta=0.5, updates_per_iteration=1, lr=1e-3
    )
    config.learners(learner_config_dict={FROZEN_LAYERS: 0, "precision": "float32"})
    algorithm = config.debugging(seed=0, log_level="ERROR").build_algo()
    try:
        first, *_, last = [algorithm.train()["learners"]["default_policy"] for _ in range(8)]
    finally:
        algorithm.stop()
    at_reference = {"ipo": 1.0, "kto": 0.5, "hinge": 1.0}  # (1 / (2 beta))^2, (lambda_d + lambda_u) / 4, 1
    if name in at_reference:
        assert first[f"{name}_loss"] == pytest.approx(at_reference[name], rel=1e-3)
    assert last[f"{name}_loss"] < first[f"{name}_loss"] and "dpo_loss" not in last
    assert first["reward_margin"] == pytest.approx(0.0, abs=1e-3) and last["reward_margin"] > 0.01
