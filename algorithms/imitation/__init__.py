"""Imitation of recorded decisions: its settings, config, learner and algorithm."""

from algorithms.common.lazy import load_on_demand

__all__ = ["Imitation", "ImitationConfig", "ImitationSettings"]

__getattr__ = load_on_demand(
    __name__, {"Imitation": "algorithm", "ImitationConfig": "config", "ImitationSettings": "settings"}
)
