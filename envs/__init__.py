"""The shop as gymnasium environments; importing this package registers them with gymnasium."""

from __future__ import annotations

from typing import Any

import gymnasium

from envs.choice import WebShopChoiceEnv
from envs.text import WebShopTextEnv

TEXT_ID, CHOICE_ID = "WebShop-v0", "WebShopChoice-v0"

for _id, _entry in ((TEXT_ID, "envs.text:WebShopTextEnv"), (CHOICE_ID, "envs.choice:WebShopChoiceEnv")):
    if _id not in gymnasium.registry:
        gymnasium.register(_id, entry_point=_entry)


def register_with_ray() -> None:
    """Register both environments with Ray: ``config.environment("WebShopChoice-v0", env_config={...})`` then works."""
    from ray.tune.registry import register_env

    register_env(TEXT_ID, _text_env)
    register_env(CHOICE_ID, _choice_env)


def _text_env(config: Any) -> WebShopTextEnv:
    return WebShopTextEnv(**config)


def _choice_env(config: Any) -> WebShopChoiceEnv:
    """Each RLlib worker gets its shard of the goals by its index; the local one (index 0) has them all."""
    index, workers = getattr(config, "worker_index", 0), getattr(config, "num_workers", 0)
    shard = {"shard": index - 1, "shards": workers} if index > 0 and workers > 0 else {}
    return WebShopChoiceEnv(**{**shard, **config})


__all__ = ["CHOICE_ID", "TEXT_ID", "WebShopChoiceEnv", "WebShopTextEnv", "register_with_ray"]
