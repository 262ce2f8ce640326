"""What may be chosen about how a shop behaves; the defaults are the original's behaviour without its mistakes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal, get_args

from rl_recsys.errors import UserError

RewardRule = Literal["original", "corrected"]
Quirk = Literal["goal_draw", "catalog_filters"]
Protocol = Literal["1k", "original", "product-disjoint", "product-disjoint-all"]
#: Reward rules that mean something else than they did: runs go on only where they mean the same.
_REVISED = {"corrected": "corrected, titles by their words"}


class RulesError(UserError, ValueError):
    """A rule that there is not; the message lists those there are."""


@dataclass(frozen=True, slots=True)
class ShopRules:
    """``prepare`` writes them into the shop folder, so that every process that opens it follows the same.

    Raises ``RulesError`` for a name that is not listed.
    """

    reward: RewardRule = "original"
    """corrected: option values are compared with values and colours are whole words, so that every goal can be won;
    titles are compared by their words, however they are spelled, and not by what a tagger takes for nouns."""
    protocol: Protocol = "1k"
    """Which goals are for training and which for the test: the first 500 for the test (1k), another 1,000 for choosing
    settings (original: dev), or no product of test and dev ever trained on (product-disjoint; its test and dev have at
    most 500 goals each, those of product-disjoint-all all there are)."""
    show_attributes: bool = False
    """Item pages have WebShop's Attributes button."""
    quirks: tuple[Quirk, ...] = ()
    """The original's mistakes to repeat. goal_draw: a random goal is never the first, and twice as often the last.
    catalog_filters: searches that begin with <r>, <a>, <c> or <q> list the catalogue and not what was searched for."""

    def __post_init__(self) -> None:
        if not isinstance(self.show_attributes, bool):
            raise RulesError(f"show_attributes {self.show_attributes!r}: choose one of True, False")
        quirks = (self.quirks,) if isinstance(self.quirks, str) else self.quirks
        if not isinstance(quirks, Iterable):
            raise RulesError(f"quirks {quirks!r}: give a list of them, of {', '.join(get_args(Quirk))}")
        object.__setattr__(self, "quirks", tuple(sorted(set(quirks))))  # equal rules are equal however they are written
        for name, values, known in (
            ("reward", (self.reward,), RewardRule),
            ("protocol", (self.protocol,), Protocol),
            ("quirks", self.quirks, Quirk),
        ):
            for value in values:
                if value not in get_args(known):
                    raise RulesError(f"{name} {value!r}: choose one of {', '.join(get_args(known))}")

    @property
    def identity(self) -> dict[str, object]:
        """What the rules stand for now, as JSON has it: other rules, or other meanings, are another world."""
        return asdict(self) | {"reward": _REVISED.get(self.reward, self.reward)}

    def changed(self, changes: Mapping[str, object]) -> ShopRules:
        """These rules with others in the place of some."""
        names = [field.name for field in fields(self)]
        if unknown := [name for name in changes if name not in names]:
            raise RulesError(f"no rule {', '.join(map(repr, unknown))}: there are {', '.join(names)}")
        return replace(self, **changes)
