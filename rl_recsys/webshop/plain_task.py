"""WebShop met on plain pages, as a task of its own: a policy, a recording or a result is of one of the two."""

from __future__ import annotations

from rl_recsys.core.example_sessions import ExampleSession, example_session
from rl_recsys.core.task import Baseline
from rl_recsys.core.trajectory import Trajectory
from rl_recsys.webshop.observe.plain_pages import PLAIN_FORMAT, PlainKind, PlainSession
from rl_recsys.webshop.shoppers import PLAIN_SCRIPTED, plain_shopper
from rl_recsys.webshop.task import WebShop


class PlainWebShop(WebShop):
    """A compiled shop as published agents meet it: see ``PlainSession``. Its rules and rewards are ``WebShop``'s.

    Of the baselines only the rule goes by nothing but the page.
    """

    name = "webshop-plain"
    kinds = tuple(kind.name.lower() for kind in PlainKind)
    decision_format = PLAIN_FORMAT
    session_type = PlainSession
    baselines = {"rule": WebShop.baselines["rule"]}
    demonstrator = Baseline(plain_shopper, PLAIN_SCRIPTED)

    def example(self, episode: Trajectory, *, quote: bool) -> ExampleSession:
        """See ``rl_recsys.core.example_sessions``."""
        return example_session(episode, self.kinds, quote=quote)
