"""The arguments of both simulators, named as the original's, and the switches for what it does by accident."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from rl_recsys.console.ranges import COUNT, COUNT_OR_ZERO, SEED, SHARE, WEIGHT, Range, check_ranges
from rl_recsys.errors import UserError

Stream = Literal["paired", "original"]
Quirk = Literal["first_taste", "prob_leave_bandit", "phantom_rows", "user_limit"]
QUIRKS: tuple[Quirk, ...] = get_args(Quirk)
MOST_USERS = 65_535  # of the original's logs, whose column of user ids has 16 bits


class SettingsError(UserError, ValueError):
    """Settings that contradict each other; the message names them and what they may be."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What both simulators have: products, the Markov chain between shop and elsewhere, and where chance comes from."""

    num_products: Annotated[int, COUNT] = 10
    """Products, of which each recommendation names one."""
    random_seed: Annotated[int, SEED] = 0
    """Decides the catalogue, and the users until a reset names another seed for them."""
    prob_leave_organic: Annotated[float, SHARE] = 0.01
    """Probability that a user leaves for good after a view."""
    prob_leave_bandit: Annotated[float, SHARE] = 0.01
    """Probability that a user leaves for good after a recommendation."""
    prob_bandit_to_organic: Annotated[float, SHARE] = 0.05
    """Probability that a user goes to the shop after a recommendation."""
    prob_organic_to_bandit: Annotated[float, SHARE] = 0.25
    """Probability that a user goes elsewhere, to recommendations, after a view."""
    stream: Stream = "paired"
    """"paired": what a user's event draws depends on the seed, the user and the number of the event alone, so all arms
    meet the same users. "original": one generator for all, in the original's order, seed for seed."""
    quirks: Collection[Quirk] | None = None
    """The original's accidents that are wanted; None for all of them in the original's stream, none in the paired."""

    def __post_init__(self) -> None:
        """Raise ``RangeError`` or ``SettingsError`` for what cannot be."""
        check_ranges(self, flag=False)
        if self.stream not in get_args(Stream):
            raise SettingsError(
                f"stream is {self.stream!r}, it must be one of {', '.join(map(repr, get_args(Stream)))}"
            )
        if self.quirks is None:
            object.__setattr__(self, "quirks", QUIRKS if self.stream == "original" else ())
        known = QUIRKS if self.stream == "original" else [quirk for quirk in QUIRKS if quirk != "first_taste"]
        if isinstance(self.quirks, str) or not set(self.quirks) <= set(known):
            raise SettingsError(
                f"quirks is {self.quirks!r}, with stream {self.stream!r} it may list: {', '.join(known)}"
            )
        object.__setattr__(self, "quirks", tuple(sorted(self.quirks)))
        for place, row in zip(("organic", "bandit"), self.moves, strict=False):
            if min(row) < 0:
                raise SettingsError(f"the two probabilities of going on from {place} add up to more than 1: lower one")

    @property
    def moves(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Probabilities of the next state (organic, bandit, stop): a row from organic, and one from bandit."""
        leave = self.prob_leave_organic if "prob_leave_bandit" in self.quirks else self.prob_leave_bandit
        to_bandit, to_organic = self.prob_organic_to_bandit, self.prob_bandit_to_organic
        return (
            (1 - to_bandit - self.prob_leave_organic, to_bandit, self.prob_leave_organic),
            (to_organic, 1 - to_organic - leave, leave),
        )


@dataclass(frozen=True, kw_only=True)
class ClusterSettings(Settings):
    """RecoGym-v0: products in clusters; a user is no more than the product that was viewed last."""

    num_clusters: Annotated[int, COUNT] = 2
    """Clusters of equally many products; a user stays in one."""
    phi_var: Annotated[float, WEIGHT] = 0.1
    """Variance of what makes the click probabilities of pairs of products differ, on the logit's scale."""

    def __post_init__(self) -> None:
        """As above."""
        super().__post_init__()
        if self.num_products % self.num_clusters:
            raise SettingsError(
                f"num_products is {self.num_products}, it must be a multiple of num_clusters, {self.num_clusters}"
            )


@dataclass(frozen=True, kw_only=True)
class LatentSettings(Settings):
    """RecoGym-v1: products and users are vectors, and a user's taste drifts."""

    K: Annotated[int, COUNT] = 5
    """Width of the vectors."""
    sigma_omega_initial: Annotated[float, WEIGHT] = 1.0
    """Standard deviation of a new user's taste."""
    sigma_omega: Annotated[float, WEIGHT] = 0.1
    """Standard deviation of a drift of the taste, for each unit of time."""
    sigma_mu_organic: Annotated[float, WEIGHT] = 3.0
    """Standard deviation of the products' popularity."""
    number_of_flips: Annotated[int, COUNT_OR_ZERO] = 0
    """Pairs of similar products that change places where clicks are decided: how far clicks differ from views."""
    change_omega_for_bandits: bool = False
    """Whether the taste drifts after recommendations too."""
    normalize_beta: bool = False
    """Whether the vectors that decide clicks have length 1."""
    normal_time: tuple[float, float] | None = None
    """Mean and standard deviation of the normal whose size is the time between events; None: one unit each."""

    def __post_init__(self) -> None:
        """As above."""
        super().__post_init__()
        if self.normal_time is not None:
            finite, size = Range(), WEIGHT
            try:
                mean, deviation = self.normal_time
                fits = mean in finite and deviation in size
            except (TypeError, ValueError):
                fits = False
            if not fits:
                allowed = "None or a mean and a standard deviation of at least 0"
                raise SettingsError(f"normal_time is {self.normal_time!r}, it must be {allowed}")
            object.__setattr__(self, "normal_time", (float(mean), float(deviation)))
