"""Shopping agents: the shop, trajectories and evaluation. Knows neither Ray nor torch."""

from rl_recsys.webshop import Goal, Product, Session, Shop, ShopError

__all__ = ["Goal", "Product", "Session", "Shop", "ShopError"]
