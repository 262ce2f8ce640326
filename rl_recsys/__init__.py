"""Shopping agents: the shop, trajectories and evaluation. Knows neither Ray nor torch."""

from rl_recsys.checkout import alias_rooms
from rl_recsys.webshop import Goal, Product, Session, Shop, ShopError

alias_rooms()

__all__ = ["Goal", "Product", "Session", "Shop", "ShopError"]
