"""The algorithms by name, for Ray Tune."""

from __future__ import annotations

from envs import register_with_ray as register_environments

PPO_NAME = "ChoicePPO"  # "PPO" is RLlib's own
FORMER_PPO_NAME = "WebShopPPO"  # by which searches that were begun with an earlier version know it


def register_with_ray() -> None:
    """Register the algorithms and the environments: ``tune.run("DPO", config=...)`` and ``Tuner("DPO", ...)`` work."""
    from ray.tune import register_trainable

    from algorithms.dpo import DPO
    from algorithms.grpo import GRPO, GiGPO
    from algorithms.imitation import Imitation
    from algorithms.ppo import PPO

    register_environments()
    own_names = {"Imitation": Imitation, "DPO": DPO, "GRPO": GRPO, "GiGPO": GiGPO}
    for name, algorithm in (own_names | {PPO_NAME: PPO, FORMER_PPO_NAME: PPO}).items():
        register_trainable(name, algorithm)
