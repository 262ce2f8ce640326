"""WebShop-v0: the shop in strings, as the original's text environment shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from envs.arguments import (
    refused,
    require_flag,
    require_goals,
    require_mapping,
    require_one_of,
    require_render_mode,
    require_steps,
)
from envs.spaces import MAX_TEXT, FreeText
from envs.webshop_options import begin_session, goal_of
from rl_recsys.webshop import Goal, Session, Shop, StepResult, shared_shop
from rl_recsys.webshop.play.page import (
    BACK_TO_SEARCH,
    BUY_NOW,
    DESCRIPTION,
    FEATURES,
    NEXT,
    OBSERVATION_MODES,
    PREV,
    PageKind,
)

MAX_ACTION = 10_000  # characters
_BUTTONS = [label.lower() for label in (BACK_TO_SEARCH, NEXT, PREV, DESCRIPTION, FEATURES, BUY_NOW)]


def require_text_arguments(
    observation_mode: Any, max_steps: Any, reveal_goal: Any, render_mode: Any, metadata: Mapping[str, Any]
) -> None:
    """What the shop in strings is made with, here or on a server. Raises ``ArgumentError``."""
    require_one_of("observation_mode", observation_mode, OBSERVATION_MODES)
    require_steps(max_steps)
    require_flag("reveal_goal", reveal_goal)
    require_render_mode(render_mode, metadata)


def require_text(action: Any) -> None:
    """Raise ``ArgumentError`` for an action that is no text."""
    if not isinstance(action, str):
        raise refused("action", action, "a text such as 'search[red shirt]' or 'click[buy now]'")


class ActionText(FreeText):
    """Any text, as the shop takes any; a sample is a search for a word or two, or a click on a button."""

    def sample(self, mask: tuple[int | None, None] | None = None, probability: None = None) -> str:
        """An action, or any text of the length ``mask[0]``."""
        if mask is not None or probability is not None:
            return super().sample(mask, probability)
        if self.np_random.random() < 1 / len(_BUTTONS):
            return f"search[{super().sample()}]"
        return f"click[{self.np_random.choice(_BUTTONS)}]"


class WebShopTextEnv(gymnasium.Env):
    """
    ## Description
    A person wants something and says so in an instruction. The agent searches a shop, opens products, chooses options
    and buys one. The shop, its pages and its reward are WebShop's (Yao et al. 2022).
    ``envs.webshop_compat.WebAgentTextEnv`` has the original's calls and return values.

    ## Action Space
    Text: "search[words]" on any page, or "click[label]" with a label of the page. Anything else changes nothing.

    ## Observation Space
    Text: the page, in the observation mode "text", "text_rich", "html" or "url".

    ## Rewards
    0, but for a purchase: the share in [0, 1] of what was wanted that the purchase fits. A success is exactly 1.

    ## Starting State
    The search page with the goal's instruction. ``options={"goal": ...}`` names the goal: an index, a ``Goal``, or a
    mapping with the original's goal keys. ``options={"session": ...}`` is the original's ``reset(session=...)``: a
    goal's index, or a name for the session, which its URLs show. Without a goal one is drawn by the goals' weights (by
    the original's slip of one goal under the rule "goal_draw"). Other options are refused.

    ## Episode End
    Terminates with a purchase. Truncates after ``max_steps`` actions where that is given.

    ## Information
    "available_actions": {"has_search_bar": bool, "clickables": [label, ...]}, as the original lists them.
    "instruction_text": what the person says. "session_id": of one of the shop's goals, its index. After a purchase
    "reward_parts": what its reward is made of. With ``reveal_goal`` also "goal": the ``Goal``, which holds the answer.

    ## Arguments
    shop: folder of a compiled shop, or an open ``Shop``. observation_mode: see above. goals: to draw from, a
    split's name ("all", "train", "test") or a list of goals, each as in the option. max_steps: actions an episode,
    None for no limit.
    reveal_goal: see above. rules: fields of ``ShopRules`` that differ from those the folder was prepared with, such as
    {"reward": "corrected"}.
    """

    metadata = {"render_modes": ["ansi"]}

    def __init__(
        self,
        shop: str | Path | Shop,
        *,
        observation_mode: str = "text_rich",
        goals: str | Sequence[int | Goal | Mapping] = "all",
        max_steps: int | None = None,
        reveal_goal: bool = False,
        rules: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
    ):
        require_mapping("rules", rules)
        require_text_arguments(observation_mode, max_steps, reveal_goal, render_mode, self.metadata)
        self.shop = shared_shop(shop, rules)
        require_goals(goals, self.shop.goal, others=(Goal, Mapping))
        self.observation_mode, self.render_mode = observation_mode, render_mode
        self._max_steps, self._reveal_goal = max_steps, reveal_goal
        self.goals = self.shop.split(goals) if isinstance(goals, str) else goals
        self._split = goals if isinstance(goals, str) else None
        self._weights: np.ndarray | None = None  # summed up, of a list
        self.observation_space = FreeText(MAX_TEXT)
        self.action_space = ActionText(MAX_ACTION)
        self.session: Session | None = None
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin a session; see Starting State. Raises ``OptionsError``."""
        super().reset(seed=seed)
        self._begin(options)
        self._steps = 0
        return self.session.page.observe(self.observation_mode), self._info({})

    def _begin(self, options: Mapping[str, Any] | None) -> None:
        self.session = begin_session(self.shop, options, self.draw_goal)

    def get_available_actions(self) -> dict[str, Any]:
        """What can be done now, as ``info["available_actions"]`` says."""
        return self._begun().available_actions

    def get_instruction_text(self) -> str:
        """The instruction as the page shows it, with the "Instruction:" before it, as the original's method has it.

        Raises ``ValueError`` on the page after a purchase, which does not show it (the original fails there as well).
        """
        session = self._begun()
        if session.kind is PageKind.DONE:
            raise ValueError("the page after a purchase shows no instruction; info has it as instruction_text")
        head = "Instruction: " if session.kind is PageKind.SEARCH else "Instruction:"
        return head + session.goal.instruction_text

    def _begun(self) -> Session:
        if self.session is None:
            raise gymnasium.error.ResetNeeded("call reset first")
        return self.session

    def draw_goal(self) -> int | Goal | Mapping:
        """One of ``goals``, drawn by weight; see Starting State."""
        if self._split is not None:
            weights = self.shop.drawing_weights(self._split)
        elif self._weights is None:
            weights = self._weights = np.cumsum(self.goal_weights())
        else:
            weights = self._weights
        drawn = int(np.searchsorted(weights, self.np_random.random() * weights[-1], side="right"))
        slip = "goal_draw" in self.shop.rules.quirks  # the original bisects sums that begin with a 0
        return self.goals[min(drawn + slip, len(self.goals) - 1)]

    def goal_weights(self) -> np.ndarray:
        """How likely each of ``goals`` is to be drawn, up to a factor."""
        if all(isinstance(goal, (int, np.integer)) for goal in self.goals):
            return self.shop.goal_weights(self.goals)
        return np.array([goal_of(self.shop, goal).weight for goal in self.goals])

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take one action; see Information. Raises ``ArgumentError`` for what is no text."""
        require_text(action)
        result = self._act(action)
        self._steps += 1
        truncated = not result.done and self._max_steps is not None and self._steps >= self._max_steps
        observation = result.page.observe(self.observation_mode)
        return observation, float(result.reward), result.done, truncated, self._info(result.reward_parts)

    def _act(self, action: str) -> StepResult:
        return self._begun().step(action)

    def _info(self, reward_parts: dict) -> dict[str, Any]:
        session = self.session
        info = {
            "available_actions": session.available_actions,
            "instruction_text": session.goal.instruction_text,
            "session_id": session.session_id,
        }
        if self._reveal_goal:
            info["goal"] = session.goal
        return info | ({"reward_parts": reward_parts} if reward_parts else {})

    def render(self) -> str | None:
        """The page as ``text_rich`` (render mode "ansi")."""
        return self.session.page.text_rich if self.render_mode == "ansi" and self.session else None
