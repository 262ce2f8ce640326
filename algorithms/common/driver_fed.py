"""Algorithms whose driver makes the train batches: an RLlib Algorithm and its config, without environment runners."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.metrics import LEARNER_RESULTS, LEARNER_UPDATE_TIMER, TIMERS

from algorithms.common.config import SettingsConfig, check_learner_settings, set_given
from algorithms.common.iteration_timing import count_seconds
from algorithms.common.learner import PRECISION
from algorithms.common.rllib_compat import LogsAside, MultiAgentBatch, SeedsLightly, WithoutEnvRunners
from algorithms.common.start_policy import space_from_policy, start_from_policy
from policies.base import Policy, read_architecture
from policies.rllib import module_spec


class DriverFedConfig(SettingsConfig, AlgorithmConfig):
    """The config of an algorithm that starts from a policy folder and has no environment runners."""

    def __init__(self, algo_class: type):
        super().__init__(algo_class=algo_class)
        self.policy: str | None = None
        self.apply_settings(self.settings())

    def training(self, *, policy: str = NotProvided, **kwargs: Any) -> DriverFedConfig:
        """``policy``: folder of the policy to start from."""
        super().training(**kwargs)
        return set_given(self, policy=policy)

    @property
    def folders(self) -> tuple[str, ...]:
        """The settings that must name a folder."""
        return ("policy",)

    def validate(self) -> None:
        """Raises ValueError where a folder is not named, or settings do not go together, or not with the policy."""
        for name in self.folders:
            if not getattr(self, name):
                raise ValueError(f"{name} is not set: .training({name}=FOLDER)")
        space_from_policy(self)
        super().validate()
        check_learner_settings(self)

    @property
    def is_online(self) -> bool:
        """There are no environments that RLlib samples from."""
        return False

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """The architecture of the policy to start from."""
        return module_spec(read_architecture(self.policy), self.learner_config_dict[PRECISION])


class DriverFedAlgorithm(SeedsLightly, LogsAside, WithoutEnvRunners):
    """Makes batches in the driver and hands them to the learners."""

    def begin(self, policy: Policy) -> None:
        """Called once the learners are built; ``policy`` is what the run starts from."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it learns from")

    def setup(self, config: DriverFedConfig) -> None:
        """Build the learners with the policy's weights, and what is learnt from."""
        super().setup(config)
        count_seconds(self.metrics)
        self.begin(start_from_policy(self))

    def learn(self, batches: list[MultiAgentBatch], timesteps: dict[str, Any], **passes: Any) -> None:
        """Have each learner learn from a batch of its own. ``passes``: see ``LearnerGroup.update``."""
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            data = {"batches": batches} if self.config.num_learners else {"batch": batches[0]}
            results = self.learner_group.update(**data, timesteps=timesteps, **passes)
            self.metrics.aggregate(results, key=LEARNER_RESULTS)
