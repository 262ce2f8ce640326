"""The policy as a recommender: what it buys for a request, over several shopping sessions, is what it recommends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rl_recsys.encoding import DecisionEncoder
from rl_recsys.matching import named_choices
from rl_recsys.shop import Goal, Shop, StepResult
from rl_recsys.shop.goals import named_options

if TYPE_CHECKING:  # the sessions of a request, and what the search finds, need no torch
    from policies.choice_model import ChoiceModel
    from policies.episodes import Episode

EPISODES = 16  # sessions a request


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A product with the options to choose; ``share`` of the sessions, in [0, 1], bought it with them."""

    asin: str
    options: dict[str, str]
    share: float


def recommend(
    model: ChoiceModel,
    encoder: DecisionEncoder,
    shop: Shop,
    requests: Sequence[str],
    *,
    top: int = 5,
    episodes: int = EPISODES,
    seed: int = 0,
) -> Iterator[list[Recommendation]]:
    """For each request, in words, ``top`` different products, or as many as there are, the best first.

    Of ``episodes`` sessions the first takes the policy's best actions, in the others they are drawn. What was bought
    most often stands first, of what was bought equally often the earlier; then comes what the search finds.
    """
    from policies.episodes import SESSIONS_AT_ONCE, play_together

    wishes = [Goal.from_words(request) for request in requests]
    for start in range(0, len(wishes), SESSIONS_AT_ONCE):
        some = wishes[start : start + SESSIONS_AT_ONCE]
        best = play_together(model, encoder, shop, some, [0] * len(some), greedy=True)
        bought = [[_bought(*played)] for played in best]
        draws = range(1, episodes)
        repeated = [wish for wish in some for _ in draws]
        sampled = play_together(model, encoder, shop, repeated, [*draws] * len(some), greedy=False, seed=seed)
        for wish, purchases in zip(some, bought, strict=True):
            purchases += [_bought(*next(sampled)) for _ in draws]
            yield _ranked(shop, wish.instruction_text, purchases)[:top]


def search_only(shop: Shop, request: str) -> list[Recommendation]:
    """What the search finds, in its order, each with the options that the request names: what to compare with."""
    wanted = named_options(request)
    found = dict.fromkeys(asin for query in shop.search_candidates(request)[:1] for asin in shop.search(query))
    return [Recommendation(asin, named_choices(wanted, shop.product(asin)), 0.0) for asin in found]


def _ranked(shop: Shop, request: str, purchases: Sequence[tuple[str, tuple] | None]) -> list[Recommendation]:
    counts = Counter(one for one in purchases if one is not None)
    found: dict[str, Recommendation] = {}
    for (asin, options), count in counts.most_common():  # equal ones in the order in which they were met
        # Of a product that was bought with several choices of options the most frequent.
        found.setdefault(asin, Recommendation(asin, dict(options), count / len(purchases)))
    for one in search_only(shop, request):
        found.setdefault(one.asin, one)
    return list(found.values())


def _bought(episode: Episode, result: StepResult) -> tuple[str, tuple] | None:
    """What an episode ended with: product and options, or nothing."""
    session = episode.choices.session
    return (session.product.asin, tuple(session.options.items())) if result.done else None
