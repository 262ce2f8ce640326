"""Give a shop a query model's search candidates: every job that opens the new folder offers them on the search page.

    python jobs/add_queries.py --shop shops/webshop-1k --model runs/queries --out shops/webshop-1k-queries

The report says how often the wanted product is among the first 10 and 50 found, for what is typed first.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from rl_recsys.console.command import Flags, run_job
from rl_recsys.console.progress import progress
from rl_recsys.console.ranges import COUNT
from rl_recsys.console.terminal import say
from rl_recsys.core.policy_folder import TRAINING_FILE, read_policy_file
from rl_recsys.errors import UserError
from rl_recsys.runs.outputs import replaces_its_out
from rl_recsys.storage.folders import require_replaceable
from rl_recsys.storage.locations import Place, place_of, same_place
from rl_recsys.webshop import Shop
from rl_recsys.webshop.data.manifest import KIND, files_of_manifest
from rl_recsys.webshop.goals.goal import search_words, typed, without_price_clause

AT_ONCE = 64
RECALLS = (10, 50)


@dataclass(kw_only=True)
class Arguments(Flags):
    """Add search candidates to a shop."""

    shop: Place
    """Shop folder made by jobs/prepare.py; it stays as it is."""
    model: Place
    """Query model made by jobs/train_queries.py."""
    out: Place
    """Shop folder to write, and recall.json in it."""
    count: Annotated[int, COUNT] = 3
    """Queries an instruction, besides the instruction itself."""
    measured: Annotated[int, COUNT] = 500
    """Test goals that recall is measured on."""


@replaces_its_out
def main(arguments: Arguments) -> None:
    """Predict for every goal, write the shop, and print the recall."""
    from policies.queries import load_query_model

    if same_place(place_of(arguments.out), arguments.shop):
        raise UserError(f"{place_of(arguments.out)} is the shop itself; name another folder")
    require_replaceable(arguments.out, kind=KIND, unlisted=files_of_manifest)
    shop = Shop.open(arguments.shop)
    trained = read_policy_file(arguments.model, TRAINING_FILE)
    model = load_query_model(arguments.model)
    texts = list(dict.fromkeys(shop.goal(index).instruction_text for index in range(shop.goal_count)))
    queries: dict[str, list[str]] = {}
    with progress("queries", len(texts)) as task:
        for start in range(0, len(texts), AT_ONCE):
            some = texts[start : start + AT_ONCE]
            queries |= dict(
                zip(some, model.candidates([without_price_clause(text) for text in some], arguments.count), strict=True)
            )
            task.update(start + len(some))
    test = shop.split("test")
    goals = random.Random(0).sample(list(test), min(arguments.measured, len(test)))
    recall = _recall(shop, goals, queries)
    made_by = {"model": str(arguments.model), "training": trained}
    shop.with_queries(arguments.out, queries, made_by, {"goals": len(goals), "recall": recall})
    say(f"{place_of(arguments.out)}: {len(texts)} instructions; the wanted product found, on {len(goals)} test goals:")
    for name, found in recall.items():
        say(f"  {name}: " + ", ".join(f"{share:.1%} in the first {first}" for first, share in found.items()))


def _recall(shop: Shop, goals: Sequence[int], queries: dict[str, list[str]]) -> dict[str, dict[int, float]]:
    found = {"the instruction's own words": [], "the model's first query": [], "any of them": []}
    for index in goals:
        goal = shop.goal(index)
        predicted = [_rank(shop, typed(query), goal.asin) for query in queries[goal.instruction_text]]
        own = _rank(shop, search_words(goal.instruction_text), goal.asin)
        for ranks, rank in zip(found.values(), (own, predicted[0], min([own, *predicted])), strict=True):
            ranks.append(rank)
    return {
        name: {first: sum(rank < first for rank in ranks) / len(ranks) for first in RECALLS}
        for name, ranks in found.items()
    }


def _rank(shop: Shop, query: str, asin: str) -> float:
    results = shop.search(query)
    return results.index(asin) if asin in results else float("inf")


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)
