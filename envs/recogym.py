"""RecoGym-v0 and RecoGym-v1: users in a shop, and recommendations elsewhere, one user an episode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.arguments import refused, require_render_mode
from envs.options import OptionsError, is_index, read_person
from envs.settings import read_settings
from rl_recsys.recogym import ClusterSettings, LatentSettings, Settings, open_world
from rl_recsys.recogym.world import World

MOST_SKIPPED = 10_000  # users in turn who leave without a recommendation, before an episode is given up


class NoUserError(gymnasium.error.Error):
    """With these probabilities hardly any user ever gets a recommendation."""


class RecoGymEnv(gymnasium.Env):
    """
    ## Description
    A user looks at products in a shop (organic), and elsewhere meets recommendations (bandit), each of which is
    clicked or not. RecoGym's simulators (Rohde et al. 2018); docs/worlds/recogym.md says how they compare.

    ## Action Space
    Discrete(P): the product that is recommended.

    ## Observation Space
    "views": the products that the user viewed since the last recommendation, in order; most often none.
    "time": the user's time, float64.

    ## Rewards
    1 for a click, else 0.

    ## Starting State
    A new user, after the first views in the shop. Users who leave before any recommendation (4 % by default) are
    skipped. In the paired stream ``options={"user": number}`` names the user; other options are refused. ``seed``
    begins with the first user of another seed; the catalogue is ``random_seed``'s.

    ## Episode End
    Terminates when the user leaves. ``max_episode_steps`` of ``gymnasium.make`` truncates.

    ## Information
    "user": the user's number. "view_times": the time of each view. After a reset "skipped": users skipped before.

    ## Arguments
    Those of ``LatentSettings`` (v1) or ``ClusterSettings`` (v0), which explain them.
    """

    metadata = {"render_modes": ["ansi"]}
    settings_type: type[Settings]

    def __init__(self, *, render_mode: str | None = None, **arguments: Any):
        require_render_mode(render_mode, self.metadata)
        self.render_mode = render_mode
        self.world: World = open_world(read_settings(self.settings_type, arguments))
        products = self.world.settings.num_products
        self.action_space = spaces.Discrete(products)
        self.observation_space = spaces.Dict(
            {"views": spaces.Sequence(spaces.Discrete(products)), "time": spaces.Box(0.0, np.inf, (), np.float64)}
        )
        self._products, self._next_user = products, 0
        self._shown: int | None = None
        self._clicked = False

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin with a user; see Starting State. Raises ``OptionsError`` and ``NoUserError``."""
        super().reset(seed=seed)
        named = read_person(options, "user", paired=self.world.settings.stream == "paired")
        if seed is not None:
            self.world.seed_users(seed)
            self._next_user = 0
        if named is not None:
            self._next_user = named
        skipped = 0
        self._begin_user()
        while self.world.left:
            if named is not None:
                raise OptionsError(f"user {named} leaves without a recommendation: name another one")
            skipped += 1
            if skipped == MOST_SKIPPED:
                raise NoUserError(f"{skipped:,} users in turn left without a recommendation: lower prob_leave_organic")
            self._begin_user()
        self._shown = None
        return self._observation(), self._info() | {"skipped": skipped}

    def _begin_user(self) -> None:
        self.world.begin(self._next_user)
        self._next_user += 1

    def step(self, action: int) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Recommend a product. Raises ``ArgumentError``, and ``NoRecommendationError`` where the user has left."""
        if not (type(action) is int or is_index(action)) or not 0 <= action < self._products:
            raise refused("action", action, f"a product, from 0 to {self._products - 1}")
        self._clicked = clicked = self.world.recommend(action)
        self._shown = action
        return self._observation(), 1.0 if clicked else 0.0, self.world.left, False, self._info()

    def _observation(self) -> dict[str, Any]:
        return {"views": tuple(self.world.views), "time": np.array(self.world.time)}

    def _info(self) -> dict[str, Any]:
        return {"user": self.world.user, "view_times": tuple(self.world.view_times)}

    def render(self) -> str | None:
        """What happened last, in a line (render mode "ansi")."""
        if self.render_mode != "ansi" or self.world.user < 0:
            return None
        shown = "" if self._shown is None else f" was shown {self._shown}, {'click' if self._clicked else 'no click'};"
        return f"user {self.world.user} at {self.world.time:g}:{shown} viewed {self.world.views}"


class RecoGymV0Env(RecoGymEnv):
    """RecoGym-v0: products in clusters; ``RecoGymEnv`` is its manual."""

    settings_type = ClusterSettings


class RecoGymV1Env(RecoGymEnv):
    """RecoGym-v1: vectors of products and of users; ``RecoGymEnv`` is its manual."""

    settings_type = LatentSettings
