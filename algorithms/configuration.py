"""What the three configs do alike with the settings that they add to RLlib's."""

from __future__ import annotations

from typing import Any, TypeVar

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided

Config = TypeVar("Config", bound=AlgorithmConfig)


def set_given(config: Config, **settings: Any) -> Config:
    """Set those of the settings that were given."""
    for name, value in settings.items():
        if value is not NotProvided:
            setattr(config, name, value)
    return config


def refuse_negative(config: AlgorithmConfig, *names: str) -> None:
    """Raise ValueError for a negative setting."""
    for name in names:
        if getattr(config, name) < 0:
            config._value_error(f"{name} is {getattr(config, name)}, it must not be negative")
