"""A Python function as an agent."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from rl_recsys.errors import UserError
from rl_recsys.evaluation.agents.turn import Turn

Act = Callable[[str, Mapping[str, Any]], str]


class FunctionAgent:
    """Calls ``act(observation, available_actions)`` for each action; see ``Turn`` for what these are."""

    def __init__(self, act: Act):
        self._act = act

    @classmethod
    def named(cls, name: str) -> FunctionAgent:
        """The function of "module:function"; modules of the working folder are found too. Raises ``UserError``."""
        module, separator, function = name.partition(":")
        if not (module and separator and function):
            raise UserError(f"--function {name!r}: write MODULE:FUNCTION, as docs.agents.rule_agent:act")
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())
        try:
            found = getattr(import_module(module), function, None)
        except ModuleNotFoundError as error:
            raise UserError(
                f"--function {name}: there is no module {error.name} to import here; start the command in the folder "
                "that holds it, or install it"
            ) from None
        if not callable(found):
            raise UserError(f"--function {name}: the module {module} has no function {function}")
        return cls(found)

    def act(self, turn: Turn) -> str:
        """See ``TextAgent.act``."""
        try:
            action = self._act(turn.observation, dict(turn.available_actions))
        except Exception as error:
            raise turn.error(f"the function raised {type(error).__name__}: {error}") from error
        if not isinstance(action, str):
            raise turn.error(f"the function returned {action!r}, it must return a text such as 'click[buy now]'")
        return action

    def close(self) -> None:
        """Nothing is held."""
