"""The shop: products, search, goals, pages, sessions and reward, as WebShop behaves."""

from rl_recsys.webshop.data.catalog import Product, RawDataError
from rl_recsys.webshop.goals.goal import Goal
from rl_recsys.webshop.play.session import Session, StepResult
from rl_recsys.webshop.rules import ShopRules
from rl_recsys.webshop.shop import Shop, ShopError, shared_shop

__all__ = [
    "Goal",
    "Product",
    "RawDataError",
    "Session",
    "Shop",
    "ShopError",
    "ShopRules",
    "StepResult",
    "shared_shop",
]
