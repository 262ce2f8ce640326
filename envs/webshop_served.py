"""The shop as a server offers it: opened once for all sessions, and sessions that are told what to do in JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from envs.options import OptionsError
from envs.webshop_text import WebShopTextEnv
from envs.wire import from_array
from rl_recsys.core.encoding import DecisionEncoder, load_decision_encoder, require_readable
from rl_recsys.storage.locations import Place, is_uri, local_folder
from rl_recsys.webshop import Goal, Shop, StepResult, shared_shop
from rl_recsys.webshop.data.manifest import MANIFEST
from rl_recsys.webshop.goals.splits import split_names
from rl_recsys.webshop.observe.decisions import MAX_STEPS, ChoiceSession
from rl_recsys.webshop.task import WebShop

#: A goal as clients send it: a record with these keys.
GoalRecord = Goal


class EpisodeOverError(OptionsError):
    """A step where there is no episode: none was begun, or it is over; reset begins one."""


class ServedShop:
    """A shop that many sessions share, and that may be replaced while they play.

    ``place``: the shop's folder. ``policy``: a policy folder, whose encoder makes the arrays for those who ask for
    them. ``observation_mode``, ``max_steps``: of sessions that say nothing else. ``reveal_goal``: whether a session may
    ask for its goal, which holds the answer. Raises ``ShopError``, and ``EncodingError`` for a policy of another task.
    """

    def __init__(
        self,
        place: Place,
        *,
        policy: Place | None = None,
        observation_mode: str = "text",
        max_steps: int | None = None,
        reveal_goal: bool = False,
    ):
        self.place = place
        self.observation_mode, self.max_steps, self.reveal_goal = observation_mode, max_steps, reveal_goal
        self.encoder: DecisionEncoder | None = None if policy is None else load_decision_encoder(policy)
        self._seen = self._status()
        self.shop = self._opened()

    def _opened(self) -> Shop:
        """The shop, with all open that it opens when it is first used: its folder may be another's by then."""
        shop = shared_shop(self.place)
        if self.encoder is not None:
            require_readable(WebShop(shop), self.encoder)
        WebShopTextEnv(shop, observation_mode=self.observation_mode)
        goal = shop.goal(0)
        shop.search(goal.query)
        shop.search_candidates(goal.instruction_text)
        shop.drawing_weights("all")
        return shop

    def _status(self) -> tuple[int, int] | None:
        if is_uri(self.place):
            return None  # this node's copy stays as it is
        try:
            found = (local_folder(self.place) / MANIFEST).stat()
        except FileNotFoundError:
            return None  # opening it says what is amiss
        return found.st_ino, found.st_mtime_ns

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the shop's splits."""
        return "all", *split_names(self.shop.rules.protocol)

    def goal_of(self, split: str, place: int) -> int:
        """The index of a split's goal. Raises ``ShopError``, and ``OptionsError`` for a place that it does not have."""
        goals = self.shop.split(split)
        if not 0 <= place < len(goals):
            raise OptionsError(f"split {split!r} has {len(goals)} goals, none at {place}")
        return goals[place]

    def task(self, split: str, place: int) -> dict[str, Any]:
        """A split's goal without its answer: {"id", "split", "index", "goal", "instruction_text"}; see ``goal_of``."""
        goal = self.goal_of(split, place)
        text = self.shop.goal(goal).instruction_text
        return {"id": f"{split}-{place}", "split": split, "index": place, "goal": goal, "instruction_text": text}

    def open_what_replaced_it(self) -> bool:
        """Open the shop that took the folder's place, for the episodes to come; whether there was one.

        Episodes that have begun go on in the old one, whose files stay mapped. Raises ``ShopError`` and ``OSError``.
        """
        status = self._status()
        if status == self._seen:
            return False
        self.shop, self._seen = self._opened(), status
        return True

    def session(self) -> ServedSession:
        """A new session, without an episode."""
        return ServedSession(self)


class ServedSession:
    """One client's episodes, one after the other. ``steps`` counts the actions of the present one."""

    __slots__ = ("_done", "_env", "_random", "_settings", "episode_id", "served", "steps")

    def __init__(self, served: ServedShop):
        self.served, self.steps, self.episode_id = served, 0, None
        self._env: WebShopTextEnv | None = None
        self._settings: dict[str, Any] | None = None
        self._random: np.random.Generator | None = None
        self._done = True

    def reset(
        self,
        *,
        seed: int | None = None,
        episode_id: str | None = None,
        goal: int | Mapping | None = None,
        session: int | str | None = None,
        split: str | None = None,
        index: int | None = None,
        goals: Sequence[int | Mapping] | None = None,
        observation_mode: str | None = None,
        max_steps: int | None = None,
        reveal_goal: bool = False,
        arrays: bool = False,
    ) -> dict[str, Any]:
        """Begin an episode: what is observed (see ``envs.wire``). No setting outlasts the episode, but for the draws.

        seed: of the goals that are drawn from now on. Sessions that are reset with one seed, or one goal, start alike.
        episode_id: a name for ``state``. goal: an index, or a record with the original's goal keys. session: as in the
        original, a goal's index or a name that URLs show. split: to draw a goal from; with ``index``, its goal of this
        place. goals: a list to draw from instead. observation_mode: "text", "text_rich", "html" or "url". max_steps:
        after which the episode is truncated. reveal_goal: observe the goal too. arrays: observe the decision as
        WebShopChoice-v0 has it too; an episode then has at most 15 steps unless it says otherwise.

        Raises ``UserError`` or ``ValueError`` for what cannot be followed; the episode before then goes on.
        """
        served = self.served
        if reveal_goal and not served.reveal_goal:
            raise OptionsError("reset setting reveal_goal: this server shows no goals, as they hold the answers")
        if arrays and served.encoder is None:
            raise OptionsError("reset setting arrays: this server has no policy to say how pages become arrays")
        if goals is not None and split is not None:
            raise OptionsError("reset settings split and goals: goals are drawn from one of them")
        if index is not None:
            if split is None or goal is not None:
                raise OptionsError("reset setting index: it is of a split, and stands in the place of a goal")
            goal = served.goal_of(split, index)
        settings = {
            "shop": served.shop,
            "observation_mode": observation_mode or served.observation_mode,
            "goals": (split or "all") if goals is None else goals,
            "max_steps": max_steps or served.max_steps,
            "reveal_goal": reveal_goal,
        } | ({"encoder": served.encoder} if arrays else {})
        env = self._env
        if settings != self._settings:
            env = (_WithArrays if arrays else WebShopTextEnv)(**settings)
        if self._random is not None:
            env.np_random = self._random  # drawing goes on
        options = {"goal": goal, "session": session}
        text, info = env.reset(seed=seed, options={name: of for name, of in options.items() if of is not None})
        if seed is not None or (goal is None and not isinstance(session, int)):
            self._random = env.np_random
        self._env, self._settings = env, settings
        self.steps, self.episode_id, self._done = 0, episode_id, False
        return _observed(text, info, truncated=False)

    def prepare_score(self) -> None:
        """See ``Session.prepare_score``."""
        self._env.session.prepare_score()

    def step(self, action: str) -> tuple[dict[str, Any], float, bool]:
        """Take an action: what is observed, the reward, whether the episode is over. Raises ``EpisodeOverError``."""
        if self._done:
            raise EpisodeOverError("no episode is under way: reset begins one")
        text, reward, terminated, truncated, info = self._env.step(action)
        self.steps += 1
        self._done = terminated or truncated
        return _observed(text, info, truncated=truncated), reward, self._done

    @property
    def env(self) -> WebShopTextEnv:
        """The environment of the episode. Raises ``EpisodeOverError`` before the first."""
        if self._env is None:
            raise EpisodeOverError("no episode was begun: reset begins one")
        return self._env

    @property
    def state(self) -> dict[str, Any]:
        """{"episode_id", "step_count", "done"}, and of an episode its session, instruction, URL and page."""
        state = {"episode_id": self.episode_id, "step_count": self.steps, "done": self._done}
        if self._env is None:
            return state
        session = self._env.session
        return state | {
            "session_id": session.session_id,
            "instruction_text": session.goal.instruction_text,
            "url": session.page.url,
            "page": session.page.text_rich,
        }


def _observed(text: str, info: Mapping[str, Any], *, truncated: bool) -> dict[str, Any]:
    observed = {"text": text, **info, "truncated": truncated}
    if isinstance(goal := observed.get("goal"), Goal):
        observed["goal"] = asdict(goal)
    return observed


class _WithArrays(WebShopTextEnv):
    """The shop in strings, and beside them the arrays and choices of ``WebShopChoice-v0``."""

    def __init__(self, shop: Shop, *, encoder: DecisionEncoder, max_steps: int | None = None, **arguments: Any):
        super().__init__(shop, max_steps=max_steps or MAX_STEPS, **arguments)
        self._encoder = encoder

    def _begin(self, options: Mapping[str, Any] | None) -> None:
        super()._begin(options)
        self._choices = ChoiceSession(self.session, max_steps=self._max_steps, max_choices=self._encoder.choices)

    def _act(self, action: str) -> StepResult:
        return self._choices.act(action)

    def _info(self, reward_parts: dict) -> dict[str, Any]:
        decision = self._choices.decision
        choices = () if self._choices.truncated else decision.choices
        decision = type(decision)(decision.state, choices, decision.dropped)
        arrays = {name: from_array(array) for name, array in self._encoder.encode(decision).items()}
        return super()._info(reward_parts) | {
            "arrays": arrays,
            "actions": [choice.action for choice in choices],
            "texts": [choice.text for choice in choices],
            "dropped": decision.dropped,
        }
