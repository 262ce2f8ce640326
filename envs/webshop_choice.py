"""WebShopChoice-v0: a shop as a choice among the available actions, named by its folder and a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from envs.arguments import require_encoding, require_mapping
from envs.choice import ChoiceEnv, digest_of_file
from envs.webshop_options import begin_session
from rl_recsys.core.policy_folder import TOKENIZER_FILE
from rl_recsys.core.task import Session
from rl_recsys.core.text_encoding import EncodingShape, TextDecisionEncoder
from rl_recsys.storage.locations import absolute, local_folder
from rl_recsys.webshop import Shop, shared_shop
from rl_recsys.webshop.observe.decisions import ChoiceSession
from rl_recsys.webshop.task import WebShop


def _shared_encoder(tokenizer: str, shape: EncodingShape) -> TextDecisionEncoder:
    """One encoder, with its caches, for all environments of a process that have this tokenizer."""
    return _encoder(tokenizer, digest_of_file(local_folder(tokenizer) / TOKENIZER_FILE), shape)


@lru_cache(maxsize=4)
def _encoder(folder: str, content: str, shape: EncodingShape) -> TextDecisionEncoder:
    """``content``: a digest of the folder's tokenizer, which may have been replaced by another."""
    return TextDecisionEncoder(folder, shape, kinds=len(WebShop.kinds))


class WebShopChoiceEnv(ChoiceEnv):
    """
    ## Description
    The shop of ``WebShop-v0``, met as a sequence of choices: at each page the agent sees the state in tokens and picks
    one of the available actions. On the search page the actions are search queries made from the instruction.

    Spaces, rewards and the end of an episode are those of ``Choice-v0``; "kinds" are
    ``rl_recsys.webshop.observe.decisions.ChoiceKind``s.

    ## Starting State
    The search page of a goal: ``options={"goal": ...}`` or ``options={"session": ...}`` as in ``WebShop-v0``, or the
    next of this environment's goals. A goal that ``variations`` makes up is of a training product's attributes and
    options.

    ## Information
    As of ``Choice-v0``; after a reset "session_id" as well: of one of the shop's goals, its index.

    ## Arguments
    shop: folder of a compiled shop, or an open ``Shop``. tokenizer: folder with tokenizer.json (a policy folder, or an
    encoder's). encoding: an ``EncodingShape`` or its mapping. rules: fields of ``ShopRules`` that differ from those the
    folder was prepared with. The others are those of ``Choice-v0``.
    """

    def __init__(
        self,
        shop: str | Path | Shop,
        tokenizer: str | Path,
        *,
        goals: str | Sequence[int] = "train",
        shard: int = 0,
        shards: int = 1,
        group_size: int = 1,
        variations: float = 0.0,
        encoding: EncodingShape | Mapping[str, int] = EncodingShape(),
        max_steps: int | None = None,
        words: bool = True,
        rules: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
    ):
        require_mapping("rules", rules)
        encoding = require_encoding(encoding)
        self.shop = shared_shop(shop, rules)
        self._begin_with(
            WebShop(self.shop), (_shared_encoder, (absolute(tokenizer), encoding)), goals=goals, shard=shard,
            shards=shards, group_size=group_size, variations=variations, max_steps=max_steps, words=words,
            render_mode=render_mode,
        )  # fmt: skip

    def _begin(self, options: Mapping[str, Any] | None) -> tuple[Session, dict[str, Any]]:
        session = begin_session(self.shop, options, self._next_goal)
        choices = ChoiceSession(session, max_steps=self._max_steps, max_choices=self._encoder.choices)
        info = {"session_id": session.session_id, "instruction_text": session.goal.instruction_text}
        return choices, info
