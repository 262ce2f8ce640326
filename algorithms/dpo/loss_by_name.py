"""Preference losses by name, with what each needs: its hyper-parameters, and whether it needs whole pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, TypeVar

from algorithms.dpo.settings import LOSS_SETTINGS, DPOSettings
from rl_recsys.core.registry import LOSSES, RegistryError, load

if TYPE_CHECKING:
    from torch import Tensor

    from algorithms.dpo.pairs import Pairs

Function = TypeVar("Function", bound=Callable)
_WHOLE_PAGES = "needs_whole_pages"


def on_whole_pages(function: Function) -> Function:
    """Mark a loss that needs each side's own log-probability, or the divergence, and not only margins.

    All actions of a page are then encoded, not only the two of a pair: an update takes longer.
    """
    setattr(function, _WHOLE_PAGES, True)
    return function


@dataclass(frozen=True)
class PreferenceLoss:
    """A loss: ``function(pairs, *, ...)`` -> scalar, whose keyword-only parameters are the settings that it has."""

    name: str
    function: Callable[..., Tensor]
    settings: tuple[str, ...]
    whole_pages: bool

    def __call__(self, pairs: Pairs, config: Any) -> Tensor:
        """The loss of the pairs with a config's values of its settings."""
        return self.function(pairs, **{name: getattr(config, config_name(name)) for name in self.settings})

    def require_only_own(self, config: Any) -> None:
        """Raise ValueError where a config changes a setting that this loss does not have: it would change nothing."""
        for name in LOSS_SETTINGS:
            if name not in self.settings and getattr(config, config_name(name)) != getattr(DPOSettings, name):
                having = ", ".join(self.settings) or "none"
                raise ValueError(f"{name} is no setting of the loss {self.name!r}, which has {having}: leave it out")


def config_name(setting: str) -> str:
    """The field of the RLlib config that holds a setting."""
    return DPOSettings.config_names.get(setting, setting)


def preference_loss(name: str) -> PreferenceLoss:
    """The loss of a name: this project's, or another package's entry point of the group "rl_recsys.losses".

    Raises ``RegistryError``, which says what names there are, or how a loss must be written.
    """
    function = load(LOSSES, name)
    try:
        parameters = list(signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise RegistryError(f"loss {name!r}: {function!r} is no function ({error}): see docs/extend.md") from error
    settings = [one for one in parameters if one.kind is Parameter.KEYWORD_ONLY]
    if len(parameters) - len(settings) != 1:
        raise RegistryError(
            f"loss {name!r}{signature(function)} must take pairs, and settings by name, as "
            "loss(pairs, *, beta) does; losses took two margins before (docs/upgrading.md)"
        )
    unknown = [one.name for one in settings if one.name not in LOSS_SETTINGS and one.default is Parameter.empty]
    if unknown:
        raise RegistryError(
            f"loss {name!r} asks for {', '.join(unknown)}, which no flag sets: give it a default (flags set "
            f"{', '.join(LOSS_SETTINGS)})"
        )
    known = tuple(one.name for one in settings if one.name in LOSS_SETTINGS)
    return PreferenceLoss(name, function, known, getattr(function, _WHOLE_PAGES, False))
