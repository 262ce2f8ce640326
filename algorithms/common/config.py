"""What the three configs do alike with the settings that they add to RLlib's."""

from __future__ import annotations

from typing import Any, TypeVar

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided

from algorithms.common.learner import FROZEN_LAYERS, learner_settings
from algorithms.common.ranges import CONFIG, LEARNER_CONFIG
from policies.base import freezable_layers
from rl_recsys.console.ranges import Range, require_in_range

Config = TypeVar("Config", bound=AlgorithmConfig)


class InRange:
    """A config none of whose numbers is ever outside its range: the assignment raises ``RangeError``, a ValueError.

    To look at them later is too late: RLlib leaves out every setting of -1, its mark for those that were not given.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name in CONFIG:
            _require(name, value, CONFIG[name])
        super().__setattr__(name, value)


def _require(name: str, value: Any, allowed: Range) -> None:
    """Check a number, or those of a schedule; what Tune draws a number from is checked when it is drawn."""
    if isinstance(value, (list, tuple)):  # a schedule: [tick, value] pairs
        value = [pair[1] for pair in value]
    if isinstance(value, (int, float, list)):
        require_in_range(name, value, allowed)


def set_given(config: Config, **settings: Any) -> Config:
    """Set those of the settings that were given."""
    for name, value in settings.items():
        if value is not NotProvided:
            setattr(config, name, value)
    return config


def check_learner_settings(config: AlgorithmConfig) -> None:
    """Raise ValueError for a number outside its range, or more frozen layers than the policy has."""
    settings = learner_settings(config)
    for name, allowed in LEARNER_CONFIG.items():
        require_in_range(name, settings[name], allowed)
    frozen, layers = settings[FROZEN_LAYERS], freezable_layers(config.policy)
    if frozen > layers:
        raise ValueError(f"{FROZEN_LAYERS} is {frozen}, the policy has {layers} layers")
