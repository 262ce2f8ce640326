"""Choice-v0: any task as a choice among the available actions, in arrays, for reinforcement learning."""

from __future__ import annotations

import hashlib
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.arguments import (
    require_flag,
    require_goals,
    require_number,
    require_render_mode,
    require_steps,
    require_whole,
)
from envs.options import OptionsError, is_index, read_options
from envs.spaces import encoding_space
from rl_recsys.console.ranges import COUNT, SHARE, Range
from rl_recsys.core.encoding import DecisionEncoder, fitting_goals, load_decision_encoder
from rl_recsys.core.policy_folder import CONFIG_FILE
from rl_recsys.core.task import Session, Task, open_task
from rl_recsys.storage.locations import absolute, local_folder


def digest_of_file(path: Path) -> str:
    """A digest of a small file; "" where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _policy_encoder(folder: str) -> DecisionEncoder:
    """One encoder, with its caches, for all environments of a process that have this policy."""
    return _encoder(folder, digest_of_file(local_folder(folder) / CONFIG_FILE))


@lru_cache(maxsize=4)
def _encoder(folder: str, content: str) -> DecisionEncoder:
    """``content``: a digest of the folder's config, which may have been replaced by another."""
    return load_decision_encoder(folder)


#: Attribute of an environment: its number among those of one process, and how many they are. They share the goals out;
#: ``set_attr`` of gymnasium's vector environments sets it, as these make all of them with equal arguments.
SIBLING = "sibling"


class ChoiceEnv(gymnasium.Env):
    """
    ## Description
    A task, met as a sequence of choices: in each decision the agent sees the state and picks one of the available
    actions.

    ## Action Space
    Discrete(A): the index of a choice. An index where the mask is 0 changes nothing and counts as a step; one outside
    the space is refused.

    ## Observation Space
    Dict of the policy's decision encoder. Of one that reads text: token ids, padded with 0, "state" [S], which begins
    with the whole instruction, and "actions" [A, L], the choices; "kinds" [A], what each is (the task's ``kinds``). In
    each "mask" [A] is 1 where there is a choice. After the end of an episode no choice is left.

    ## Rewards
    The task's, in [0, 1], at the end of an episode.

    ## Starting State
    The beginning of a goal's session: ``options={"goal": ...}``, or the next of this environment's goals, which are
    dealt in an order drawn from the seed, each once before any comes again; or, in a share ``variations`` of the
    episodes, a goal that the task makes up. With ``group_size`` k, k episodes in a row start alike, from one goal, for
    methods that compare the rollouts of a goal.

    ## Episode End
    Terminates when the agent ends it; truncates after ``max_steps`` actions.

    ## Information
    "action_mask" [A] int8: the mask, as ``action_space.sample(mask=info["action_mask"])`` takes it. "actions": the
    choices as the world takes them; "texts": the words that stand for them in the observation; neither with
    ``words=False``. "dropped": actions beyond A, which are no choices. After a reset "instruction_text", after the end
    "reward_parts".

    ## Arguments
    task: "name:place" (``rl_recsys.core.task.open_task``), or an open ``Task``. policy: folder of the policy whose
    decision encoder makes the observations. goals: a split's name ("train", "test") or a list of goal indices; those
    whose instruction does not fit a state are left out. shard, shards: this environment takes every ``shards``-th goal
    from the ``shard``-th on. group_size, variations: see Starting State. max_steps: actions an episode, by default the
    task's. words: see Information; RLlib, which stores every info and ships it to the learners, does without them
    unless its ``env_config`` says otherwise.

    Raises ``ArgumentError``, a ValueError that names the argument and what it may be.
    """

    metadata = {"render_modes": ["ansi"]}

    def __init__(
        self,
        task: str | Task,
        policy: str | Path,
        *,
        goals: str | Sequence[int] = "train",
        shard: int = 0,
        shards: int = 1,
        group_size: int = 1,
        variations: float = 0.0,
        max_steps: int | None = None,
        words: bool = True,
        render_mode: str | None = None,
    ):
        made = _policy_encoder, (absolute(policy),)
        self._begin_with(
            open_task(task), made, goals=goals, shard=shard, shards=shards, group_size=group_size,
            variations=variations, max_steps=max_steps, words=words, render_mode=render_mode,
        )  # fmt: skip

    def _begin_with(
        self,
        task: Task,
        encoder: tuple[Callable[..., DecisionEncoder], tuple],
        *,
        goals: str | Sequence[int],
        shard: int,
        shards: int,
        group_size: int,
        variations: float,
        max_steps: int | None,
        words: bool,
        render_mode: str | None,
    ) -> None:
        """``encoder``: what makes it, which is pickled in its place: it is shared, and found again."""
        shards = require_whole("shards", shards, COUNT)
        shard = require_whole("shard", shard, Range(least=0, below=shards))
        group_size = require_whole("group_size", group_size, COUNT)
        variations = require_number("variations", variations, SHARE)
        max_steps, words = require_steps(max_steps), require_flag("words", words)
        require_render_mode(render_mode, self.metadata)
        require_goals(goals, task.goal)
        self.task, self._encoder_made = task, encoder
        self._variations, self._shard, self._shards = variations, shard, shards
        self.render_mode, self._group_size, self._words = render_mode, group_size, words
        self._max_steps = task.max_steps if max_steps is None else max_steps
        make, arguments = encoder
        self._encoder = make(*arguments)
        every = task.split(goals) if isinstance(goals, str) else list(goals)
        fitting = fitting_goals(task, every, self._encoder)
        if fitting.too_long:
            warnings.warn(str(fitting), stacklevel=3)
        every = fitting.goals
        self._goals = np.asarray(every)[shard::shards].copy()  # without the other shards behind it
        if not len(self._goals):
            raise ValueError(f"shard {shard} of {shards} has none of the {len(every)} goals; use fewer shards")
        self._order, self._dealt, self._goal = self._goals[:0], 0, None
        self.sibling = (0, 1)  # SIBLING
        self.observation_space = encoding_space(self._encoder)
        self.action_space = spaces.Discrete(self._encoder.choices)
        self.session: Session | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_encoder"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        make, arguments = state["_encoder_made"]
        self.__dict__ |= {**state, "_encoder": make(*arguments)}

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Begin a session; see Starting State. Raises ``OptionsError``, and ``EncodingError`` for too long a goal."""
        super().reset(seed=seed)
        if seed is not None:
            self._order, self._dealt = self._goals[:0], 0
        self.session, info = self._begin(options)
        return self._outcome(info)

    def _begin(self, options: Mapping[str, Any] | None) -> tuple[Session, dict[str, Any]]:
        """The session that the options ask for, and what is said of it."""
        goal = read_options(options, ("goal",)).get("goal")
        if goal is None:
            goal = self._next_goal()
        elif is_index(goal):
            goal = int(goal)
        try:
            session = self.task.session(goal, max_steps=self._max_steps, max_choices=self._encoder.choices)
        except (LookupError, TypeError, ValueError) as error:
            raise OptionsError(f"reset option goal: {error}") from None
        return session, {"instruction_text": session.goal["instruction_text"]}

    def _next_goal(self) -> Any:
        if self._dealt % self._group_size == 0:
            self._goal = self._deal()
        self._dealt += 1
        return self._goal

    def _deal(self) -> Any:
        if self._variations and self.np_random.random() < self._variations:
            number = int(self.np_random.integers(2**31))
            # RLlib's seeds of one worker's environments are nearly those of the next one's.
            goal = self.task.variation(number * self._shards + self._shard)
            if self._encoder.fits(self.task.instruction(goal)):
                return goal
        if not len(self._order):
            number, siblings = self.sibling
            own = self._goals[number::siblings]
            self._order = self.np_random.permutation(own if len(own) else self._goals)
        goal, self._order = self._order[-1], self._order[:-1]
        return int(goal)

    def step(self, action: int) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Take the choice with this index; see Information. Raises ``ValueError`` for what is not in the space."""
        if self.session is None:
            raise gymnasium.error.ResetNeeded("call reset before step")
        result = self.session.choose(self._index(action))
        observation, info = self._outcome({"reward_parts": result.reward_parts} if result.reward_parts else {})
        return observation, float(result.reward), result.done, self.session.truncated, info

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
        decision = self.session.decision
        if self.session.truncated:  # an end that the agent makes leaves no choice by itself
            decision = replace(decision, choices=())
        observation = self._encoder.encode(decision)
        info |= {"action_mask": observation["mask"].copy(), "dropped": decision.dropped}
        if self._words:
            info["actions"] = [choice.action for choice in decision.choices]
            info["texts"] = [choice.text for choice in decision.choices]
        return observation, info

    def render(self) -> str | None:
        """All that the world shows, as text (render mode "ansi")."""
        return self.session.observation if self.render_mode == "ansi" and self.session else None
