"""VirtualTaobao-v0: a customer an episode, who is shown pages of items until leaving."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.arguments import refused, require_render_mode
from envs.options import read_person
from envs.settings import read_settings
from rl_recsys.virtual_taobao import Settings, World
from rl_recsys.virtual_taobao.networks import CLICKS, FEATURES, ITEM_ATTRIBUTES, LEAVES, SECONDS, SHOWN

ACTION_SPACE = spaces.Box(-1.0, 1.0, (ITEM_ATTRIBUTES,), np.float32)


def observation_space(settings: Settings) -> spaces.Box:
    """Of one customer: features, the last page's two answers, pages shown; where bored, the last pages' actions."""
    remembered = settings.bored_memory * ITEM_ATTRIBUTES if settings.leave_when_bored else 0
    bound = 1.0 if settings.clip_actions else np.inf
    low = np.array([0.0] * (FEATURES + 3) + [-bound] * remembered, np.float32)
    high = np.array([1.0] * FEATURES + [CLICKS - 1, SECONDS - 1, LEAVES - 1] + [bound] * remembered, np.float32)
    return spaces.Box(low, high)


class VirtualTaobaoEnv(gymnasium.Env):
    """
    ## Description
    A customer with a query is shown one page of ten items after the other and clicks on some of them. Virtual-Taobao as
    published (Shi et al. 2019, VirtualTB-v0). It is a contextual bandit, and one constant action earns a click rate of
    0.9996: docs/worlds/virtual-taobao.md.

    ## Action Space
    Box(-1, 1, (27,)): a weight of each item attribute, by which a page's items are ranked. Clipped by default.

    ## Observation Space
    Box (float32, 91): the customer's 11 attributes, one-hot (88); the last page's clicks (0 to 10) and second answer
    (0 to 9); pages shown. With ``leave_when_bored`` also the actions of the last ``bored_memory`` pages, last first.

    ## Rewards
    The clicks on the page, 0 to 10.

    ## Starting State
    A new customer. In the paired stream ``options={"customer": number}`` names the customer; other options are refused.
    ``seed`` begins with the first customer of another seed.

    ## Episode End
    Terminates when the customer leaves; the observation is then of this customer. ``max_episode_steps`` of
    ``gymnasium.make`` truncates.

    ## Information
    "customer": the customer's number. "CTR": clicks so far, of the items shown so far. "clipped": pages so far whose
    action was clipped.

    ## Arguments
    Those of ``Settings``, which explains them; ``weights`` must be given.
    """

    metadata = {"render_modes": ["ansi"]}

    def __init__(self, *, render_mode: str | None = None, **arguments: Any):
        require_render_mode(render_mode, self.metadata)
        self.render_mode = render_mode
        self.world = World(read_settings(Settings, arguments))
        self.action_space = ACTION_SPACE
        self.observation_space = observation_space(self.world.settings)
        self._next_customer = 0
        self._place = np.zeros(1, int)

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin with a customer; see Starting State. Raises ``OptionsError``."""
        super().reset(seed=seed)
        named = read_person(options, "customer", paired=self.world.settings.stream == "paired")
        if seed is not None:
            self.world.seed_customers(seed)
            self._next_customer = 0
        if named is not None:
            self._next_customer = named
        self.world.begin(self._place, np.array([self._next_customer]))
        self._next_customer += 1
        return self.world.observation()[0], self._info()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Show a page. Raises ``ArgumentError``, and ``NoCustomerError`` where the customer has left."""
        clicks = self.world.show(read_actions("action", action, (ITEM_ATTRIBUTES,))[None])
        return self.world.observation()[0], float(clicks[0]), bool(self.world.left[0]), False, self._info()

    def _info(self) -> dict[str, Any]:
        world = self.world
        customer, pages = int(world.customers[0]), int(world.pages[0])
        rate = int(world.clicks[0]) / pages / SHOWN if pages else 0.0
        return {"customer": customer, "CTR": rate, "clipped": int(world.clipped[0])}

    def render(self) -> str | None:
        """What happened last, in a line (render mode "ansi")."""
        world = self.world
        if self.render_mode != "ansi" or world.customers[0] < 0:
            return None
        gone = ", then left" if world.left[0] else ""
        return (
            f"customer {world.customers[0]}, page {world.pages[0]}: {world.answers[0, 0]} clicks, "
            f"{world.clicks[0]} so far{gone}"
        )


def read_actions(name: str, actions: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Actions of a shape (float32). Raises ``ArgumentError`` for what is none, or is not finite."""
    try:
        read = np.asarray(actions, np.float32)
    except (TypeError, ValueError):
        read = np.empty(0, np.float32)
    if read.shape != shape or not np.isfinite(read).all():
        raise refused(name, actions, f"finite numbers {list(shape)}")
    return read
