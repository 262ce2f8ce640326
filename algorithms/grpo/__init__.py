"""Group-relative policy optimisation, GRPO and GiGPO: settings, configs, advantages, loss, learner and algorithms."""

from algorithms.common.lazy import load_on_demand

__all__ = ["GRPO", "GRPOConfig", "GRPOSettings", "GiGPO", "GiGPOConfig", "GiGPOSettings"]

__getattr__ = load_on_demand(
    __name__,
    {"GRPO": "algorithm", "GiGPO": "algorithm"}
    | {"GRPOConfig": "config", "GiGPOConfig": "config"}
    | {"GRPOSettings": "settings", "GiGPOSettings": "settings"},
)
