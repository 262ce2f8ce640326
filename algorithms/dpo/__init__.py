"""Direct preference optimisation: its settings, config, losses, learner, pairs and algorithm."""

from algorithms.common.lazy import load_on_demand

__all__ = ["DPO", "DPOConfig", "DPOSettings"]

__getattr__ = load_on_demand(__name__, {"DPO": "algorithm", "DPOConfig": "config", "DPOSettings": "settings"})
