"""What can be had by name: this project's own, and what other packages offer through Python entry points.

A package of somebody else's offers a world, a policy or a loss in its pyproject.toml:

    [project.entry-points."rl_recsys.tasks"]
    menu = "my_package.menu:Menu"
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from rl_recsys.errors import UserError

TASKS, ENCODERS, POLICIES, LOSSES = "rl_recsys.tasks", "rl_recsys.encoders", "rl_recsys.policies", "rl_recsys.losses"
#: This project's own, named here and not by entry points: a checkout that is not installed has none.
BUILT_IN: Mapping[str, Mapping[str, str]] = {
    TASKS: {
        "webshop": "rl_recsys.webshop.task:WebShop",
        "webshop-plain": "rl_recsys.webshop.plain_task:PlainWebShop",
        "recogym": "rl_recsys.recogym.task:RecoGym",
    },
    ENCODERS: {
        "text": "rl_recsys.core.text_encoding:TextDecisionEncoder",
        "views": "rl_recsys.recogym.view_encoding:ViewEncoder",
    },
    POLICIES: {"bert_choice": "policies.bert_choice.model:BertChoice", "two_tower": "policies.two_tower:TwoTower"},
    LOSSES: {
        "dpo": "algorithms.dpo.losses:dpo_loss",
        "ipo": "algorithms.dpo.losses:ipo_loss",
        "kto": "algorithms.dpo.losses:kto_loss",
        "simpo": "algorithms.dpo.losses:simpo_loss",
    },
}
#: What others call an entry of a group, for messages.
_CALLED = {TASKS: "task", ENCODERS: "encoder", POLICIES: "policy type", LOSSES: "loss"}


class RegistryError(UserError):
    """Nothing of this name is registered, or it cannot be loaded; the message says what there is."""


@cache
def _offered(group: str) -> Mapping[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}


def registered(group: str) -> list[str]:
    """The names of a group, in order."""
    return sorted({*BUILT_IN[group], *_offered(group)})


def require_registered(group: str, name: str) -> None:
    """Raise ``RegistryError``, which says what there is, where nothing of this name is; nothing is loaded."""
    if name not in registered(group):
        names = ", ".join(registered(group))
        raise RegistryError(
            f"no {_CALLED[group]} {name!r} is known: there are {names}; install the package that offers it (an entry "
            f"point of the group {group!r})"
        )


def load(group: str, name: str) -> Any:
    """The object of this name. Raises ``RegistryError``."""
    require_registered(group, name)
    if target := BUILT_IN[group].get(name):
        module, _, attribute = target.partition(":")
        return getattr(import_module(module), attribute)
    entry = _offered(group)[name]
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise RegistryError(f"{_CALLED[group]} {name!r}: {entry.value} cannot be loaded ({error})") from error
