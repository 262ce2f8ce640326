"""What the three configs do alike with the settings that they add to RLlib's."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, ClassVar, Self, TypeVar

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided

from algorithms.common.figures import STATS
from algorithms.common.learner import FROZEN_LAYERS, GATHERED_BATCHES, HEAD_RATE, LAST_UPDATE, PRECISION
from algorithms.common.ranges import CONFIG, LEARNER_CONFIG
from algorithms.common.settings import LearningSettings, learning_rates
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


class SettingsConfig(InRange):
    """A config whose defaults are those of a dataclass of settings, which the algorithm's job has as its flags."""

    settings: ClassVar[type[LearningSettings]]

    def __init__(self, algo_class: type | None = None):
        super().__init__(algo_class=algo_class)
        self.reporting(custom_stats_cls_lookup=STATS)

    def apply_settings(self, settings: LearningSettings, *, num_learners: int = 1) -> Self:
        """Take over every hyper-parameter of ``settings``, which may hold more, as a job's flags do."""
        given = {field.name: getattr(settings, field.name) for field in fields(self.settings)}
        self.learner_config_dict = {
            HEAD_RATE: given.pop("head_rate"),
            FROZEN_LAYERS: given.pop("frozen_layers"),
            PRECISION: given.pop("precision"),
            GATHERED_BATCHES: given.pop("gather"),
            LAST_UPDATE: None,
        }
        for name in ("iterations", "warmup", "final_rate"):  # which the schedule has
            del given[name]
        given["learning_rate"] = learning_rates(settings, settings.schedule_length(num_learners))
        self.grad_clip_by = "global_norm"
        self._take(given)
        return self

    def _take(self, given: dict[str, Any]) -> None:
        """Set the fields that hold these settings."""
        for name, value in given.items():
            setattr(self, self.settings.config_names.get(name, name), value)


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
    settings = config.learner_config_dict
    for name, allowed in LEARNER_CONFIG.items():
        require_in_range(name, settings[name], allowed)
    frozen, layers = settings[FROZEN_LAYERS], freezable_layers(config.policy)
    if frozen > layers:
        raise ValueError(f"{FROZEN_LAYERS} is {frozen}, the policy has {layers} layers")
