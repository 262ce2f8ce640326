"""WebShop-v0: the shop in strings, a drop-in for the original's text environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from envs.spaces import MAX_TEXT, FreeText
from rl_recsys.shop import Goal, Shop, shared_shop


class WebShopTextEnv(gymnasium.Env):
    """
    ## Description
    A person wants something and says so in an instruction. The agent searches a shop, opens products, chooses options
    and buys one. The shop, its pages and its reward are WebShop's (Yao et al. 2022).

    ## Action Space
    Text: "search[words]" on any page, or "click[label]" with a label of the page. Anything else changes nothing.

    ## Observation Space
    Text: the page, in the observation mode "text", "text_rich", "html" or "url".

    ## Rewards
    0, but for a purchase: the share in [0, 1] of what was wanted that the purchase fits. A success is exactly 1.

    ## Starting State
    The search page with the goal's instruction. ``options={"goal": ...}`` names the goal: an index, or a mapping with
    the original's goal keys; otherwise it is drawn by the goals' weights (by the original's slip of one goal under
    the rule "goal_draw").

    ## Episode End
    Terminates with a purchase. Truncates after ``max_steps`` actions where that is given.

    ## Arguments
    shop: folder of a compiled shop, or an open ``Shop``. observation_mode: see above. split: the goals to draw from
    ("all", "train", "test"). max_steps: actions an episode, None for no limit. rules: fields of ``ShopRules`` that
    differ from those the folder was prepared with, such as {"reward": "corrected"}.
    """

    metadata = {"render_modes": ["ansi"]}

    def __init__(
        self,
        shop: str | Path | Shop,
        *,
        observation_mode: str = "text_rich",
        split: str = "all",
        max_steps: int | None = None,
        rules: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
    ):
        self.shop = shared_shop(shop, rules)
        self.observation_mode, self.render_mode, self._max_steps = observation_mode, render_mode, max_steps
        self._goals = self.shop.split(split)
        self._weights: np.ndarray | None = None  # summed up
        self.observation_space = FreeText(max_length=MAX_TEXT, min_length=0)
        self.action_space = FreeText(max_length=10_000, min_length=1)
        self.session = None

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin a session; see Starting State."""
        super().reset(seed=seed)
        goal = (options or {}).get("goal")
        self.session = self.shop.session(self._draw_goal() if goal is None else goal)
        self._steps = 0
        return self.session.page.observe(self.observation_mode), self._info({})

    def _draw_goal(self) -> int:
        if self._weights is None:
            self._weights = np.cumsum(self.shop.goal_weights(self._goals))
        drawn = int(np.searchsorted(self._weights, self.np_random.random() * self._weights[-1], side="right"))
        slip = "goal_draw" in self.shop.rules.quirks  # the original bisects sums that begin with a 0
        return self._goals[min(drawn + slip, len(self._goals) - 1)]

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take one action; ``info`` has ``available_actions``, ``goal`` and, after a purchase, ``reward_parts``."""
        if self.session is None:
            raise gymnasium.error.ResetNeeded("call reset before step")
        result = self.session.step(action)
        self._steps += 1
        truncated = not result.done and self._max_steps is not None and self._steps >= self._max_steps
        observation = result.page.observe(self.observation_mode)
        return observation, float(result.reward), result.done, truncated, self._info(result.reward_parts)

    def _info(self, reward_parts: dict) -> dict[str, Any]:
        goal: Goal = self.session.goal
        info = {"available_actions": self.session.available_actions, "goal": goal}
        return info | ({"reward_parts": reward_parts} if reward_parts else {})

    def render(self) -> str | None:
        """The page as ``text_rich`` (render mode "ansi")."""
        return self.session.page.text_rich if self.render_mode == "ansi" and self.session else None
