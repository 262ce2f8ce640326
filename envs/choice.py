"""WebShopChoice-v0: the shop as a choice among the available actions, in token arrays, for reinforcement learning."""

from __future__ import annotations

import hashlib
import operator
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.options import begin_session
from envs.spaces import choice_space
from rl_recsys.core.text_encoding import TOKENIZER_FILE, DecisionEncoder, EncodingShape, fitting_goals
from rl_recsys.storage.locations import absolute, local_folder
from rl_recsys.webshop import Goal, Shop, shared_shop
from rl_recsys.webshop.goals.variations import GoalVariations
from rl_recsys.webshop.observe.decisions import MAX_STEPS, ChoiceSession


@lru_cache(maxsize=4)
def _shared_variations(shop: Shop) -> GoalVariations:
    """Reads all goals of a shop, so once for all environments of a process."""
    return GoalVariations(shop)


def _shared_encoder(tokenizer: str | Path, shape: EncodingShape) -> DecisionEncoder:
    """One encoder, with its caches, for all environments of a process that have this tokenizer."""
    path = local_folder(tokenizer) / TOKENIZER_FILE
    content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    return _encoder(str(tokenizer), content, shape)


@lru_cache(maxsize=4)
def _encoder(folder: str, content: str, shape: EncodingShape) -> DecisionEncoder:
    """``content``: a digest of the folder's tokenizer, which may have been replaced by another."""
    return DecisionEncoder(folder, shape)


class WebShopChoiceEnv(gymnasium.Env):
    """
    ## Description
    The shop of ``WebShop-v0``, met as a sequence of choices: at each page the agent sees the state in tokens and picks
    one of the available actions. On the search page the actions are search queries made from the instruction.

    ## Action Space
    Discrete(A): the index of a choice. An index where the mask is 0 changes nothing and counts as a step; one outside
    the space is refused.

    ## Observation Space
    Dict of token ids, padded with 0: "state" [S] begins with the whole instruction, "actions" [A, L] are the choices,
    "kinds" [A] what each is (``rl_recsys.webshop.observe.decisions.ChoiceKind``), "mask" [A] is 1 where there is a choice. After the end
    of an episode, by a purchase or by the last step, no choice is left.

    ## Rewards
    As in ``WebShop-v0``.

    ## Starting State
    The search page of a goal: ``options={"goal": ...}`` or ``options={"session": ...}`` as in ``WebShop-v0``, or the
    next of this environment's goals, which are dealt in an order drawn from the seed, each once before any comes again;
    or, in a share ``variations`` of the episodes, a goal that is made up of a training product's attributes and
    options. With ``group_size`` k, k episodes in a row start alike, from one goal, for methods that compare the
    rollouts of a goal.

    ## Episode End
    Terminates with a purchase; truncates after ``max_steps`` actions.

    ## Information
    "action_mask" [A] int8: the mask, as ``action_space.sample(mask=info["action_mask"])`` takes it. "actions": the
    choices as the shop takes them, such as "click[buy now]"; "texts": the words that stand for them in the observation;
    neither with ``words=False``. "dropped": actions of the page beyond A, which are no choices. After a reset
    "session_id" (of one of the shop's goals, its index) and "instruction_text", after a purchase "reward_parts".

    ## Arguments
    shop: folder of a compiled shop, or an open ``Shop``. tokenizer: folder with tokenizer.json (a policy folder, or an
    encoder's). goals: a split's name ("train", "test", "all") or a list of goal indices; those whose instruction does
    not fit a state are left out. shard, shards: this environment takes every ``shards``-th goal from the ``shard``-th
    on. group_size, variations: see Starting State. encoding: an ``EncodingShape`` or its mapping. max_steps: actions an
    episode. words: see Information; RLlib, which stores every info and ships it to the learners, does without them
    unless its ``env_config`` says otherwise. rules: fields of ``ShopRules`` that differ from those the folder was
    prepared with.
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
        words: bool = True,
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
        self._tokenizer, self._words = absolute(tokenizer), words
        self._encoder = _shared_encoder(tokenizer, encoding)
        every = self.shop.split(goals) if isinstance(goals, str) else list(goals)
        fitting = fitting_goals(self.shop, every, self._encoder)
        if fitting.too_long:
            warnings.warn(str(fitting), stacklevel=2)
        every = fitting.goals
        self._goals = np.asarray(every)[shard::shards].copy()  # without the other shards behind it
        if not len(self._goals):
            raise ValueError(f"shard {shard} of {shards} has none of the {len(every)} goals; use fewer shards")
        self._order, self._dealt, self._goal = self._goals[:0], 0, None
        self.observation_space = choice_space(self._encoder)
        self.action_space = spaces.Discrete(encoding.choices)
        self.choices: ChoiceSession | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_encoder": self._encoder.shape}  # it is shared, and found again by the tokenizer

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__ |= state | {"_encoder": _shared_encoder(state["_tokenizer"], state["_encoder"])}

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Begin a session; see Starting State. Raises ``OptionsError``, and ``EncodingError`` for too long a goal."""
        super().reset(seed=seed)
        if seed is not None:
            self._order, self._dealt = self._goals[:0], 0
        session = begin_session(self.shop, options, self._next_goal)
        choices = self._encoder.shape.choices
        self.choices = ChoiceSession(session, max_steps=self._max_steps, max_choices=choices)
        begun = {"session_id": session.session_id, "instruction_text": session.goal.instruction_text}
        return self._outcome(begun)

    def _next_goal(self) -> int | Goal:
        if self._dealt % self._group_size == 0:
            self._goal = self._deal()
        self._dealt += 1
        return self._goal

    def _deal(self) -> int | Goal:
        if self._variations and self.np_random.random() < self._variations:
            number = int(self.np_random.integers(2**31))
            # RLlib's seeds of one worker's environments are nearly those of the next one's.
            goal = _shared_variations(self.shop).goal(number * self._shards + self._shard)
            if self._encoder.fits(goal.instruction_text):
                return goal
        if not len(self._order):
            self._order = self.np_random.permutation(self._goals)
        goal, self._order = self._order[-1], self._order[:-1]
        return int(goal)

    def step(self, action: int) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Take the choice with this index; see Information. Raises ``ValueError`` for what is not in the space."""
        if self.choices is None:
            raise gymnasium.error.ResetNeeded("call reset before step")
        result = self.choices.choose(self._index(action))
        observation, info = self._outcome({"reward_parts": result.reward_parts} if result.reward_parts else {})
        return observation, float(result.reward), result.done, self.choices.truncated, info

    def _index(self, action: object) -> int:
        size = int(self.action_space.n)
        try:
            index = operator.index(action)
        except TypeError:
            index = -1
        if not 0 <= index < size:
            raise ValueError(f"action {action!r}: it must be an integer from 0 to {size - 1}")
        return index

    def _outcome(self, info: dict[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The observation, and ``info`` with what belongs to it."""
        decision = self.choices.decision
        if self.choices.truncated:  # a purchase leaves no choice by itself
            decision = replace(decision, choices=())
        observation = self._encoder.encode(decision)
        info |= {"action_mask": observation["mask"].copy(), "dropped": decision.dropped}
        if self._words:
            info["actions"] = [choice.action for choice in decision.choices]
            info["texts"] = [choice.text for choice in decision.choices]
        return observation, info

    def render(self) -> str | None:
        """The page as ``text_rich`` (render mode "ansi")."""
        return self.choices.session.page.text_rich if self.render_mode == "ansi" and self.choices else None
