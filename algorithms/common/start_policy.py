"""What an algorithm's config takes from the policy it starts from."""

from __future__ import annotations

from gymnasium import spaces
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import DEFAULT_MODULE_ID

from envs.spaces import encoding_space
from policies.base import Policy, load_policy
from policies.module_state import module_state
from rl_recsys.core.encoding import load_decision_encoder


def space_from_policy(config: AlgorithmConfig) -> None:
    """Set the spaces of ``config``, where it has none, to those that its policy reads and chooses from."""
    encoder = load_decision_encoder(config.policy)
    if config.observation_space is None:
        config.environment(observation_space=encoding_space(encoder))
    if config.action_space is None:
        config.environment(action_space=spaces.Discrete(encoder.choices))


def start_from_policy(algorithm: Algorithm) -> Policy:
    """Give the learners the weights of the policy that the algorithm's config names, and return it."""
    policy = load_policy(algorithm.config.policy)
    algorithm.learner_group.set_weights({DEFAULT_MODULE_ID: module_state(policy)})
    return policy
