"""Proximal policy optimisation: its settings, config, losses, learner, rollout workers and algorithm."""

from algorithms.common.lazy import load_on_demand

__all__ = ["PPO", "PPOConfig", "PPOSettings"]

__getattr__ = load_on_demand(__name__, {"PPO": "algorithm", "PPOConfig": "config", "PPOSettings": "settings"})
