"""Proximal policy optimisation: its settings, config, losses, learner, rollout workers and algorithm."""

from algorithms.common.lazy import load_on_demand

__all__ = ["PPO", "PPOConfig"]

__getattr__ = load_on_demand(__name__, {"PPO": "algorithm", "PPOConfig": "config"})
