"""Many RecoGym users at once, as gymnasium's vector environment in arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.arguments import refused, require_whole
from envs.options import read_options
from envs.recogym import MOST_SKIPPED, NoUserError
from envs.settings import read_settings
from rl_recsys.console.ranges import COUNT
from rl_recsys.recogym import ClusterSettings, LatentSettings, Settings, open_crowd


class RecoGymVectorEnv(VectorEnv):
    """``num_envs`` users at once (``gymnasium.make_vec("RecoGym-v1", n, vectorization_mode="vector_entry_point")``).

    The users, their views and clicks are those of ``RecoGymEnv`` in the paired stream, number for number. What is
    observed is summed up, in arrays: "counts" [num_envs, P] (int32), this user's views so far, and "last" [num_envs],
    the product viewed last. Rewards are 1 for a click. A place whose user has left gets the next user at the next step,
    whose action there is not used (autoreset mode "next step"). ``info["user"]`` [num_envs] has the users' numbers.
    Arguments: those of the settings, which must keep ``stream="paired"``.
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": []}
    settings_type: type[Settings]

    def __init__(self, num_envs: int = 1, **arguments: Any):
        self.num_envs = require_whole("num_envs", num_envs, COUNT)
        self.crowd = open_crowd(read_settings(self.settings_type, arguments), self.num_envs)
        products = self.crowd.settings.num_products
        self.single_action_space = spaces.Discrete(products)
        self.single_observation_space = spaces.Dict(
            {"counts": spaces.Box(0, np.iinfo(np.int32).max, (products,), np.int32), "last": spaces.Discrete(products)}
        )
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self._products, self._next_user = products, 0

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Fill all places with the next users; a seed begins with the first user of that seed."""
        super().reset(seed=seed)
        read_options(options, ())
        if seed is not None:
            self.crowd.seed_users(seed)
            self._next_user = 0
        self._fill(np.arange(self.num_envs))
        return self._observation(), self._info()

    def step(
        self, actions: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Recommend a product to every user [num_envs]."""
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.dtype.kind not in "iu":
            raise refused("actions", actions, f"{self.num_envs} products")
        if actions.min() < 0 or actions.max() >= self._products:
            raise refused("actions", actions, f"products from 0 to {self._products - 1}")
        gone = np.flatnonzero(self.crowd.left)
        clicked = self.crowd.recommend(actions)
        terminated = self.crowd.left.copy()
        terminated[gone] = False
        self._fill(gone)
        return self._observation(), clicked.astype(float), terminated, np.zeros(self.num_envs, bool), self._info()

    def _fill(self, places: np.ndarray) -> None:
        """Give places their next users, those who leave before any recommendation left out."""
        for _ in range(MOST_SKIPPED):
            if not len(places):
                return
            self.crowd.begin(places, np.arange(self._next_user, self._next_user + len(places)))
            self._next_user += len(places)
            places = places[self.crowd.left[places]]
        raise NoUserError(f"{MOST_SKIPPED:,} users in turn left without a recommendation: lower prob_leave_organic")

    def _observation(self) -> dict[str, np.ndarray]:
        return {"counts": self.crowd.counts.copy(), "last": self.crowd.last.copy()}

    def _info(self) -> dict[str, Any]:
        return {"user": self.crowd.users.copy()}


class RecoGymV0VectorEnv(RecoGymVectorEnv):
    """Of RecoGym-v0."""

    settings_type = ClusterSettings


class RecoGymV1VectorEnv(RecoGymVectorEnv):
    """Of RecoGym-v1."""

    settings_type = LatentSettings
