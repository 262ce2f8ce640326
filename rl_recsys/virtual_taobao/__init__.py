"""Virtual-Taobao (Shi et al. 2019), as published: customers who are shown pages of items, click on some, and leave.

``networks`` decide all of it; ``weights`` says whose they are: those of a user's own checkout (``conversion``) or
drawn by chance (``stand_in``). ``world`` plays any number of customers; ``draws`` and ``torch_stream`` say where chance
comes from, ``boredom`` is ours. ``agents`` recommend, ``search`` finds the best that is the same for everybody, and
``evaluation`` compares.
"""

from rl_recsys.virtual_taobao.settings import Settings, SettingsError
from rl_recsys.virtual_taobao.world import World

__all__ = ["Settings", "SettingsError", "World"]
