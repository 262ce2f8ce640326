"""Which simulator has which settings."""

from __future__ import annotations

from rl_recsys.recogym.cluster import ClusterWorld
from rl_recsys.recogym.crowd import ClusterCrowd, Crowd, LatentCrowd
from rl_recsys.recogym.latent import LatentWorld
from rl_recsys.recogym.settings import ClusterSettings, Settings
from rl_recsys.recogym.world import World


def open_world(settings: Settings) -> World:
    """The simulator for one user at a time."""
    return (ClusterWorld if isinstance(settings, ClusterSettings) else LatentWorld)(settings)


def open_crowd(settings: Settings, size: int) -> Crowd:
    """The simulator for ``size`` users at once. Raises ``SettingsError`` in the original's stream."""
    return (ClusterCrowd if isinstance(settings, ClusterSettings) else LatentCrowd)(settings, size)
