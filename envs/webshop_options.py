"""What ``reset(options=...)`` of WebShop's environments may name, and the session that begins with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from envs.options import OptionsError, is_index, read_options
from rl_recsys.webshop import Goal, Session, Shop

OPTIONS = ("goal", "session")


def begin_session(shop: Shop, options: Mapping[str, Any] | None, draw: Callable[[], int | Goal]) -> Session:
    """The session that ``options`` ask for; ``draw`` gives the goal where they name none.

    "goal": an index, a ``Goal``, or a mapping with the original's goal keys. "session", as in the original: a goal's
    index, or a name for the session. Raises ``OptionsError``.
    """
    named = read_options(options, OPTIONS)
    goal, session_id = named.get("goal"), named.get("session")
    if is_index(session_id):
        if goal is not None:
            raise OptionsError(f"reset option session {session_id} is a goal's index: give it without the option goal")
        goal, session_id = session_id, None
    elif session_id is not None and not isinstance(session_id, str):
        raise OptionsError(f"reset option session is {session_id!r}, it must be a goal's index or a name")
    if goal is None:
        return shop.session(draw(), session_id=session_id)
    if not is_index(goal) and not isinstance(goal, (Goal, Mapping)):
        raise OptionsError(
            f"reset option goal is {goal!r}, it must be an index, a Goal, or a mapping with the original's goal keys"
        )
    try:
        return shop.session(goal, session_id=session_id)
    except (LookupError, TypeError, ValueError) as error:
        raise OptionsError(f"reset option goal: {error}") from None


def goal_of(shop: Shop, goal: int | Goal | Mapping) -> Goal:
    """The ``Goal`` that an index of the shop's, a ``Goal`` or a mapping with the original's goal keys stands for."""
    if isinstance(goal, Goal):
        return goal
    return shop.goal(int(goal)) if is_index(goal) else Goal.from_mapping(goal)
