"""Many customers of Virtual-Taobao at once, as gymnasium's vector environment in arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.arguments import require_whole
from envs.options import read_options
from envs.settings import read_settings
from envs.virtual_taobao import ACTION_SPACE, observation_space, read_actions
from rl_recsys.console.ranges import COUNT
from rl_recsys.virtual_taobao import Settings, World


class VirtualTaobaoVectorEnv(VectorEnv):
    """``num_envs`` customers at once (``make_vec("VirtualTaobao-v0", n, vectorization_mode="vector_entry_point")``).

    Customers, observations and clicks are those of ``VirtualTaobaoEnv`` in the paired stream. A place whose customer
    has left gets the next customer at the next step, whose action there is not used (autoreset mode "next step").
    ``info["customer"]`` [num_envs] has their numbers. Arguments: those of the settings, which must keep
    ``stream="paired"`` for more than one.
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": []}

    def __init__(self, num_envs: int = 1, **arguments: Any):
        self.num_envs = require_whole("num_envs", num_envs, COUNT)
        self.world = World(read_settings(Settings, arguments), self.num_envs)
        self.single_action_space = ACTION_SPACE
        self.single_observation_space = observation_space(self.world.settings)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self._next_customer = 0

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Fill all places with the next customers; a seed begins with the first customer of that seed."""
        super().reset(seed=seed)
        read_options(options, ())
        if seed is not None:
            self.world.seed_customers(seed)
            self._next_customer = 0
        self._fill(np.arange(self.num_envs))
        return self.world.observation(), self._info()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Show every customer a page [num_envs, 27]. Raises ``ArgumentError``."""
        actions = read_actions("actions", actions, self.action_space.shape)
        gone = np.flatnonzero(self.world.left)
        clicks = self.world.show(actions) if len(gone) < self.num_envs else np.zeros(self.num_envs)
        terminated = self.world.left.copy()
        terminated[gone] = False
        if len(gone):
            self._fill(gone)
        no = np.zeros(self.num_envs, bool)
        return self.world.observation(), clicks.astype(float), terminated, no, self._info()

    def _fill(self, places: np.ndarray) -> None:
        self.world.begin(places, np.arange(self._next_customer, self._next_customer + len(places)))
        self._next_customer += len(places)

    def _info(self) -> dict[str, Any]:
        return {"customer": self.world.customers.copy()}
