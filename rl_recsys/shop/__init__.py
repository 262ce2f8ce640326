"""The shop: products, search, goals, pages, sessions and reward, as WebShop behaves."""

from rl_recsys.shop.catalog import Product, RawDataError
from rl_recsys.shop.goals import Goal
from rl_recsys.shop.rules import ShopRules
from rl_recsys.shop.session import Session, StepResult
from rl_recsys.shop.shop import Shop, ShopError, shared_shop

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
