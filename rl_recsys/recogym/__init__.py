"""RecoGym (Rohde et al. 2018): users who look at products in a shop, and elsewhere meet one recommendation at a time.

``settings`` has the arguments; ``world`` plays one user after the other, ``crowd`` many at once; ``cluster`` and
``latent`` are the two simulators, v0 and v1. ``draws`` says where chance comes from. ``agents``
recommend, ``logs`` and ``evaluation`` measure them.
"""

from rl_recsys.recogym.settings import ClusterSettings, LatentSettings, Settings, SettingsError
from rl_recsys.recogym.worlds import open_crowd, open_world

__all__ = ["ClusterSettings", "LatentSettings", "Settings", "SettingsError", "open_crowd", "open_world"]
