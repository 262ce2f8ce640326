"""The shop as tools that a language model calls, for TRL and for whatever else takes functions."""

from __future__ import annotations

from typing import Any

from envs.webshop_remote import RemoteWebShopEnv

LOCAL = "ws://127.0.0.1:8000"


class ShopTools:
    """One shopper on a server that jobs/serve_environment.py runs: ``search`` and ``click`` are its tools.

    TRL makes one without arguments for each rollout of a batch, and resets it again and again. ``shop_tools`` has the
    class for another address. The text of a page marks what can be clicked: "[button] label [button_]". A session ends
    with its process or by the server's idle limit: TRL ends none.
    """

    #: The server's address, and what ``RemoteWebShopEnv`` takes beside it.
    address: str = LOCAL
    settings: dict[str, Any] = {}

    def __init__(self) -> None:
        self._env = RemoteWebShopEnv(self.address, **self.settings)
        self._reward, self._done = 0.0, True

    def reset(self, goal: int | None = None, seed: int | None = None, **_columns: Any) -> str:
        """Begin a shopping trip: the first page, which says what is wanted.

        Args:
            goal: index of the goal; without one it is drawn.
            seed: of the draw.
            _columns: the other columns of the data set, which say nothing to a shop.
        """
        page, _ = self._env.reset(seed=seed, options=None if goal is None else {"goal": goal})
        self._reward, self._done = 0.0, False
        return page

    def search(self, keywords: str) -> str:
        """Search the shop for products.

        Args:
            keywords: What to search for, in a few words.

        Returns:
            The page of the first ten products.
        """
        return self._act(f"search[{keywords}]")

    def click(self, item: str) -> str:
        """Click on something of the page: a product, an option of it, or a button such as "Buy Now".

        Args:
            item: The label as the page shows it.

        Returns:
            The page that follows.
        """
        return self._act(f"click[{item}]")

    def get_reward(self) -> float:
        """What the shopping trip earned: 0 before something is bought, then up to 1."""
        return self._reward

    def _act(self, action: str) -> str:
        if self._done:  # the model is shown what is raised
            raise ValueError("the shopping trip is over: nothing can be searched or clicked any more")
        page, reward, terminated, truncated, _ = self._env.step(action)
        self._reward, self._done = reward, terminated or truncated
        return page


def shop_tools(address: str, **settings: Any) -> type[ShopTools]:
    """``ShopTools`` of a server's address; ``settings``: token, observation_mode, goals, max_steps, timeout_s.

    >>> GRPOTrainer(environment_factory=shop_tools("ws://10.0.0.7:8000", max_steps=15), ...)     # doctest: +SKIP
    """
    return type("ShopTools", (ShopTools,), {"address": address, "settings": settings, "__doc__": ShopTools.__doc__})
