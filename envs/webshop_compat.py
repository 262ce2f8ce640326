"""The calls and return values of WebShop's own text environment, for code that was written for it.

>>> from envs.webshop_compat import WebAgentTextEnv                       # for web_agent_site.envs     # doctest: +SKIP
>>> env = WebAgentTextEnv("shops/webshop-1k", observation_mode="text")                          # doctest: +SKIP
>>> observation, _ = env.reset(session=17)                                                      # doctest: +SKIP
>>> observation, reward, done, _ = env.step("search[red shirt]")                                # doctest: +SKIP

docs/environments.md lists what is as in the original, what is not and what is not there.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from envs.webshop_options import goal_of
from envs.webshop_text import WebShopTextEnv
from rl_recsys.errors import UserError
from rl_recsys.webshop import Goal, Session, Shop

SESSION_LETTERS = 10  # of a session that nobody named


class CompatibilityError(UserError, ValueError):
    """An argument asks for another shop than the folder holds; the message says how to make that one."""


class WebAgentTextEnv:
    """The original's text environment on a compiled shop.

    ``shop`` stands for the original's file_path and attr_path. ``goals`` are those that a session's number means, as
    indices of the shop's or as records with the original's keys; by default all of the shop's. ``human_goals`` and
    ``num_products`` are what the shop was prepared with: they are compared with it where they are given. ``seed``
    decides the goals that are drawn and the names of sessions, which the original leaves to chance. ``server``: that of
    another environment, to share its goals and sessions. The other arguments are the original's. ``env.unwrapped`` is
    the ``WebShop-v0`` beneath.
    """

    def __init__(
        self,
        shop: str | Path | Shop,
        observation_mode: str = "html",
        server: Server | None = None,
        *,
        goals: Sequence[int | Goal | Mapping] | None = None,
        filter_goals: Callable[[int, dict], bool] | None = None,
        limit_goals: int = -1,
        num_products: int | None = None,
        human_goals: bool | None = None,
        show_attrs: bool | None = None,
        session: int | str | None = None,
        session_prefix: str | None = None,
        num_prev_obs: int = 0,
        num_prev_actions: int = 0,
        seed: int | None = None,
    ):
        rules = None if show_attrs is None else {"show_attributes": bool(show_attrs)}
        self._random = random.Random(seed)
        self.unwrapped = WebShopTextEnv(
            shop, observation_mode=observation_mode, rules=rules, goals="all" if goals is None else goals
        )
        self._check(human_goals, num_products)
        if server is None:
            server = Server(self.unwrapped.shop, self._chosen(filter_goals, limit_goals))
        self.server = server
        self.unwrapped.goals = server.goals.chosen
        self.action_space, self.observation_space = self.unwrapped.action_space, self.unwrapped.observation_space
        self.observation_mode = observation_mode
        self.session_prefix = session_prefix
        self.num_prev_obs, self.num_prev_actions = num_prev_obs, num_prev_actions
        self.session = ""
        self._named = True
        self.unwrapped.reset(seed=self._random.randrange(2**31))
        self.reset(session)

    def _check(self, human_goals: bool | None, num_products: int | None) -> None:
        shop = self.unwrapped.shop
        made = shop.manifest["goals"]
        if human_goals is not None and bool(human_goals) != (made == "human"):
            wanted = "human" if human_goals else "synthetic"
            raise CompatibilityError(
                f"human_goals={human_goals}: the goals of {shop.folder} are {made}; make a shop with jobs/prepare.py "
                f"--goals {wanted}"
            )
        if num_products is not None and num_products < shop.product_count:
            raise CompatibilityError(
                f"num_products={num_products}: {shop.folder} has {shop.product_count}; make a shop with "
                f"jobs/prepare.py --limit {num_products}"
            )

    def _chosen(self, filter_goals: Callable[[int, dict], bool] | None, limit_goals: int) -> Sequence[Any]:
        env, goals = self.unwrapped, self.unwrapped.goals
        if filter_goals is not None:
            records = (original_goal(goal_of(env.shop, goal)) for goal in goals)
            goals = [goal for place, (goal, record) in enumerate(zip(goals, records, strict=True))
                     if filter_goals(place, record)]  # fmt: skip
            if not goals:
                raise CompatibilityError(f"filter_goals leaves none of the {len(env.goals)} goals of {env.shop.folder}")
        if limit_goals != -1 and limit_goals < len(goals):
            env.goals = goals
            weights = env.goal_weights()
            rng = np.random.default_rng(self._random.randrange(2**31))
            drawn = rng.choice(len(goals), size=limit_goals, replace=False, p=weights / weights.sum())
            goals = [goals[place] for place in drawn]
        return goals

    def reset(self, session: int | str | None = None, instruction_text: str | None = None) -> tuple[str, None]:
        """Begin the session of a goal's index, or of a name: one that is known keeps its goal. Returns (page, None).

        ``instruction_text`` becomes ``env.instruction_text`` and nothing else, as in the original: no page shows it.
        """
        server = self.server
        if not self._named:
            server.user_sessions.pop(self.session, None)  # nobody can ask for it again
        self._named = session is not None
        name = self._random_name() if session is None else str(session)
        self.session = (self.session_prefix or "") + name
        known = server.user_sessions.get(self.session)
        options: dict[str, Any] = {"session": self.session}
        if known is not None:
            options["goal"] = known.goal
        elif isinstance(session, (int, np.integer)):
            if not -len(server.goals) <= session < len(server.goals):
                raise IndexError(f"session {session}: there are {len(server.goals)} goals")
            options["goal"] = server.goals.chosen[session]
        else:
            options["goal"] = self.unwrapped.draw_goal()
        observation, _ = self.unwrapped.reset(options=options)
        server.user_sessions[self.session] = UserSession(self.unwrapped.session, options["goal"], known)
        self.instruction_text = self.get_instruction_text() if instruction_text is None else instruction_text
        self.prev_obs, self.prev_actions = [observation], []
        return observation, None

    def _random_name(self) -> str:
        return "".join(self._random.choices(string.ascii_lowercase, k=SESSION_LETTERS))

    def step(self, action: str) -> tuple[str, float, bool, None]:
        """Take an action. Returns (state, reward, done, None): the page, after the earlier ones that are asked for."""
        observation, reward, done, _, info = self.unwrapped.step(action)
        if done:
            self.server.user_sessions[self.session].bought(reward, info["reward_parts"])
        texts = [observation]
        self.prev_actions.append(action)
        for back in range(1, 1 + max(self.num_prev_obs, self.num_prev_actions)):
            if back <= min(len(self.prev_actions), self.num_prev_actions):
                texts.append(self.prev_actions[-back])
            if back <= min(len(self.prev_obs), self.num_prev_obs):
                texts.append(self.prev_obs[-back])
        self.prev_obs.append(observation)
        return " [SEP] ".join(reversed(texts)), reward, done, None

    def get_available_actions(self) -> dict[str, Any]:
        """{"has_search_bar": bool, "clickables": [label, ...]}."""
        return self.unwrapped.get_available_actions()

    def get_instruction_text(self) -> str:
        """The instruction as the page shows it, with "Instruction:" before it."""
        return self.unwrapped.get_instruction_text()

    @property
    def observation(self) -> str:
        """The page in the observation mode."""
        return self.unwrapped.session.page.observe(self.observation_mode)

    @property
    def state(self) -> dict[str, str]:
        """{"url", "html", "instruction_text"} of the page."""
        page = self.unwrapped.session.page
        return {"url": page.url, "html": page.html, "instruction_text": self.instruction_text}

    def render(self, mode: str = "human") -> None:
        """Nothing, as in the original."""

    def close(self) -> None:
        """Nothing, as in the original: the shop is shared."""


class Server:
    """The goals of an environment and its sessions, as the original's server has them."""

    def __init__(self, shop: Shop, chosen: Sequence[int | Goal | Mapping]):
        self.goals = Goals(shop, chosen)
        self.user_sessions: dict[str, UserSession] = {}


class Goals(Sequence[dict]):
    """Records of goals with the original's keys, each made when it is asked for. ``chosen``: what they are made of."""

    def __init__(self, shop: Shop, chosen: Sequence[int | Goal | Mapping]):
        self._shop, self.chosen = shop, chosen

    def __len__(self) -> int:
        return len(self.chosen)

    @overload
    def __getitem__(self, place: int) -> dict: ...
    @overload
    def __getitem__(self, place: slice) -> list[dict]: ...
    def __getitem__(self, place: int | slice) -> dict | list[dict]:
        if isinstance(place, slice):
            return [original_goal(goal_of(self._shop, goal)) for goal in self.chosen[place]]
        return original_goal(goal_of(self._shop, self.chosen[place]))


class UserSession(Mapping[str, Any]):
    """What the original's server remembers of a session: "goal", "done", "asin", "options", ... as they are now.

    After a purchase "reward" and "verbose_info" are there as well; a later episode of the session keeps them.
    """

    def __init__(self, session: Session, goal: int | Goal | Mapping, before: UserSession | None):
        self._session, self.goal = session, goal
        self._purchase = dict(before._purchase) if before is not None else {}

    def bought(self, reward: float, parts: Mapping[str, Any]) -> None:
        """A purchase was made."""
        self._purchase = {"reward": reward, "verbose_info": dict(parts)}

    def _all(self) -> dict[str, Any]:
        session = self._session
        searched = bool(session.keywords)
        return {
            "goal": original_goal(session.goal),
            "done": session.done,
            "keywords": list(session.keywords) if searched else None,
            "page": session.page_number if searched else None,
            "asin": session.product.asin if session.product else None,
            "asins": set(session.visited),
            "options": dict(session.options),
        } | self._purchase

    def __getitem__(self, key: str) -> Any:
        return self._all()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def original_goal(goal: Goal) -> dict[str, Any]:
    """A goal as the original has it: a mapping with lists."""
    found = {field: getattr(goal, field) for field in Goal.__slots__}
    options = goal.goal_options
    return found | {
        "attributes": list(goal.attributes),
        "goal_options": dict(options) if isinstance(options, Mapping) else list(options),
    }
