"""WebShopChoice-v0: the shop as a choice among the available actions, in token arrays, for reinforcement learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.spaces import choice_space
from rl_recsys.decision import MAX_STEPS, ChoiceSession
from rl_recsys.encoding import DecisionEncoder, EncodingShape
from rl_recsys.shop import Goal, Shop, shared_shop
from rl_recsys.shop.variations import GoalVariations


@lru_cache(maxsize=4)
def _shared_variations(shop: Shop) -> GoalVariations:
    """Reads all goals of a shop, so once for all environments of a process."""
    return GoalVariations(shop)


@lru_cache(maxsize=4)
def _shared_encoder(folder: str, shape: EncodingShape) -> DecisionEncoder:
    """One encoder, with its caches, for all environments of a process."""
    return DecisionEncoder(folder, shape)


class WebShopChoiceEnv(gymnasium.Env):
    """
    ## Description
    The shop of ``WebShop-v0``, met as a sequence of choices: at each page the agent sees the state in tokens and picks
    one of the available actions. On the search page the actions are search queries made from the instruction.

    ## Action Space
    Discrete(A): the index of a choice. An index where the mask is 0 changes nothing and counts as a step.

    ## Observation Space
    Dict of token ids, padded with 0: "state" [S] begins with the whole instruction, "actions" [A, L] are the choices,
    "kinds" [A] what each is (``rl_recsys.decision.ChoiceKind``), "mask" [A] is 1 where there is a choice. After the end
    of an episode, by a purchase or by the last step, no choice is left.

    ## Rewards
    As in ``WebShop-v0``.

    ## Starting State
    The search page of a goal: ``options={"goal": ...}``, or the next of this environment's goals, which are dealt in
    an order drawn from the seed, each once before any comes again; or, in a share ``variations`` of the episodes, a
    goal that is made up of a training product's attributes and options. With ``group_size`` k, k episodes in a row
    start alike, from one goal, for methods that compare the rollouts of a goal.

    ## Episode End
    Terminates with a purchase; truncates after ``max_steps`` actions.

    ## Arguments
    shop: folder of a compiled shop, or an open ``Shop``. tokenizer: folder with tokenizer.json (a policy folder, or an
    encoder's). goals: a split's name ("train", "test", "all") or a list of goal indices. shard, shards: this
    environment takes every ``shards``-th goal from the ``shard``-th on. group_size, variations: see Starting State.
    encoding: an ``EncodingShape`` or its mapping. max_steps: actions an episode. rules: fields of ``ShopRules`` that
    differ from those the folder was prepared with.
    """

    metadata = {"render_modes": ["ansi"]}

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
        max_steps: int = MAX_STEPS,
        rules: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
    ):
        self.shop = shared_shop(shop, rules)
        if group_size < 1:
            raise ValueError(f"group_size {group_size}: a group has at least one episode")
        if not 0 <= variations <= 1:
            raise ValueError(f"variations {variations}: a share of the episodes is in [0, 1]")
        self._variations, self._shard, self._shards = variations, shard, shards
        self.render_mode, self._max_steps, self._group_size = render_mode, max_steps, group_size
        encoding = encoding if isinstance(encoding, EncodingShape) else EncodingShape(**encoding)
        self._encoder = _shared_encoder(str(tokenizer), encoding)
        every = self.shop.split(goals) if isinstance(goals, str) else list(goals)
        self._goals = np.asarray(every)[shard::shards].copy()  # without the other shards behind it
        if not len(self._goals):
            raise ValueError(f"shard {shard} of {shards} has none of the {len(every)} goals; use fewer shards")
        self._order, self._dealt, self._goal = self._goals[:0], 0, None
        self.observation_space = choice_space(self._encoder)
        self.action_space = spaces.Discrete(encoding.choices)
        self.choices: ChoiceSession | None = None

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Begin a session; see Starting State. ``info`` has "session_id": of one of the shop's goals, its index."""
        super().reset(seed=seed)
        if seed is not None:
            self._order, self._dealt = self._goals[:0], 0
        goal = (options or {}).get("goal")
        session = self.shop.session(self._next_goal() if goal is None else goal)
        shape = self._encoder.shape
        self.choices = ChoiceSession(session, max_steps=self._max_steps, max_choices=shape.choices)
        return self._observe(), self._info({}) | {"session_id": session.session_id}

    def _next_goal(self) -> int | Goal:
        if self._dealt % self._group_size == 0:
            self._goal = self._deal()
        self._dealt += 1
        return self._goal

    def _deal(self) -> int | Goal:
        if self._variations and self.np_random.random() < self._variations:
            number = int(self.np_random.integers(2**31))
            # RLlib's seeds of one worker's environments are nearly those of the next one's.
            return _shared_variations(self.shop).goal(number * self._shards + self._shard)
        if not len(self._order):
            self._order = self.np_random.permutation(self._goals)
        goal, self._order = self._order[-1], self._order[:-1]
        return int(goal)

    def step(self, action: int) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Take the choice with this index; ``info`` has ``dropped`` and, after a purchase, ``reward_parts``."""
        if self.choices is None:
            raise gymnasium.error.ResetNeeded("call reset before step")
        result = self.choices.choose(int(action))
        info = self._info(result.reward_parts)
        return self._observe(), float(result.reward), result.done, self.choices.truncated, info

    def _observe(self) -> dict[str, np.ndarray]:
        decision = self.choices.decision
        if self.choices.truncated:  # a purchase leaves no choice by itself
            decision = replace(decision, choices=())
        return self._encoder.encode(decision)

    def _info(self, reward_parts: dict) -> dict[str, Any]:
        info: dict[str, Any] = {"dropped": self.choices.decision.dropped}
        return info | ({"reward_parts": reward_parts} if reward_parts else {})

    def render(self) -> str | None:
        """The page as ``text_rich`` (render mode "ansi")."""
        return self.choices.session.page.text_rich if self.render_mode == "ansi" and self.choices else None
