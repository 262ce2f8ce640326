"""Worlds as gymnasium environments; importing this package registers them with gymnasium."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from inspect import signature
from typing import Any

import gymnasium

from envs.choice import ChoiceEnv
from envs.recogym import RecoGymEnv
from envs.recogym_vector import RecoGymVectorEnv
from envs.virtual_taobao import VirtualTaobaoEnv
from envs.virtual_taobao_vector import VirtualTaobaoVectorEnv
from envs.webshop_choice import WebShopChoiceEnv
from envs.webshop_remote import RemoteShopError, RemoteWebShopEnv, webshop_env
from envs.webshop_text import WebShopTextEnv
from envs.wire import SCHEMES
from rl_recsys.errors import UserError

CHOICE_ID = "Choice-v0"  # any task
WEBSHOP_TEXT_ID, WEBSHOP_CHOICE_ID = "WebShop-v0", "WebShopChoice-v0"
RECOGYM_IDS = ("RecoGym-v0", "RecoGym-v1")
VIRTUAL_TAOBAO_ID = "VirtualTaobao-v0"

for _id, _entry in (
    (CHOICE_ID, "envs.choice:ChoiceEnv"),
    (WEBSHOP_TEXT_ID, "envs.webshop_remote:webshop_env"),
    (WEBSHOP_CHOICE_ID, "envs.webshop_choice:WebShopChoiceEnv"),
):
    if _id not in gymnasium.registry:
        gymnasium.register(_id, entry_point=_entry)

for _id, _entry, _vector_entry in (
    (RECOGYM_IDS[0], "envs.recogym:RecoGymV0Env", "envs.recogym_vector:RecoGymV0VectorEnv"),
    (RECOGYM_IDS[1], "envs.recogym:RecoGymV1Env", "envs.recogym_vector:RecoGymV1VectorEnv"),
    (VIRTUAL_TAOBAO_ID, "envs.virtual_taobao:VirtualTaobaoEnv", "envs.virtual_taobao_vector:VirtualTaobaoVectorEnv"),
):
    if _id not in gymnasium.registry:
        gymnasium.register(_id, entry_point=_entry, vector_entry_point=_vector_entry)

#: Of the environments that policies learn in: what an RLlib ``env_config`` must name.
REQUIRED = {CHOICE_ID: ("task", "policy"), WEBSHOP_CHOICE_ID: ("shop", "tokenizer")}


class ConfigError(UserError, TypeError):
    """An RLlib ``env_config`` has a key that the environment does not know; the message lists those that it knows."""


def register_with_ray() -> None:
    """Register the environments with Ray: ``config.environment("Choice-v0", env_config={...})`` then works."""
    from ray.tune.registry import register_env

    register_env(WEBSHOP_TEXT_ID, _text_env)
    register_env(CHOICE_ID, partial(_choice_env, CHOICE_ID, ChoiceEnv))
    register_env(WEBSHOP_CHOICE_ID, partial(_choice_env, WEBSHOP_CHOICE_ID, WebShopChoiceEnv))


def _text_env(config: Mapping[str, Any]) -> gymnasium.Env:
    remote = str(config.get("shop", "")).startswith(SCHEMES)
    return webshop_env(**_known(config, WEBSHOP_TEXT_ID, RemoteWebShopEnv if remote else WebShopTextEnv))


def _choice_env(name: str, environment: type[ChoiceEnv], config: Mapping[str, Any]) -> ChoiceEnv:
    """Each RLlib worker gets its shard of the goals by its index; the local one (index 0) has them all."""
    index, workers = getattr(config, "worker_index", 0), getattr(config, "num_workers", 0)
    shard = {"shard": index - 1, "shards": workers} if index > 0 and workers > 0 else {}
    return environment(**{"words": False, **shard, **_known(config, name, environment)})


def _known(config: Mapping[str, Any], name: str, environment: type) -> Mapping[str, Any]:
    """``config``, where the environment has an argument for each of its keys. Raises ``ConfigError``."""
    arguments = list(signature(environment).parameters)
    unknown = [key for key in config if key not in arguments]
    if unknown:
        listed = ", ".join(map(repr, unknown))
        raise ConfigError(f"env_config of {name} has {listed}, it may have: {', '.join(arguments)}")
    return config


__all__ = [
    "CHOICE_ID",
    "RECOGYM_IDS",
    "REQUIRED",
    "VIRTUAL_TAOBAO_ID",
    "WEBSHOP_CHOICE_ID",
    "WEBSHOP_TEXT_ID",
    "ChoiceEnv",
    "RecoGymEnv",
    "RecoGymVectorEnv",
    "RemoteShopError",
    "RemoteWebShopEnv",
    "VirtualTaobaoEnv",
    "VirtualTaobaoVectorEnv",
    "WebShopChoiceEnv",
    "WebShopTextEnv",
    "register_with_ray",
]
