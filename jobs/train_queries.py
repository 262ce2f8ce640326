"""Train a query model: from an instruction to what people typed into the search for it.

    python jobs/train_queries.py --pairs goal_query_map.json --out runs/queries
    python jobs/train_queries.py --pairs goal_query_map.json --model bart --start facebook/bart-base --out runs/bart

The pairs are a JSON object, instruction -> list of queries. A tenth of the instructions is held out, and the report
compares the model with the instruction itself on them. jobs/add_queries.py gives a shop the trained model's candidates.
"""

from __future__ import annotations

import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from algorithms.common.ranges import LEARNING_RATE
from policies.bert.encoder_folder import BUNDLED
from rl_recsys.console.command import Flags, run_job
from rl_recsys.console.progress import format_seconds, phase, progress
from rl_recsys.console.ranges import COUNT, SEED
from rl_recsys.console.terminal import say
from rl_recsys.core.policy_folder import CONFIG_FILE, TRAINING_FILE, read_policy_file
from rl_recsys.errors import UserError
from rl_recsys.runs.outputs import replaces_its_out
from rl_recsys.runs.settings import SHOWN
from rl_recsys.storage.files import read_object
from rl_recsys.storage.folders import require_replaceable
from rl_recsys.storage.locations import Place, place_of
from rl_recsys.webshop.goals.goal import without_price_clause

HELD_OUT = 0.1  # of the instructions


@dataclass(kw_only=True)
class Arguments(Flags):
    """Train a query model."""

    pairs: Path
    """JSON object: instruction -> list of queries (WebShop's goal_query_map.json)."""
    out: Place
    """Folder of the trained model."""
    model: Literal["keywords", "bart"] = "keywords"
    """keywords: a BERT says which words of the instruction to keep. bart: a sequence model writes the query."""
    start: str = BUNDLED
    """What to start from: for keywords a BERT ("minilm" is bundled), for bart a BART; a folder or a hub name."""
    epochs: Annotated[int, COUNT] = 4
    """Passes over the pairs."""
    batch: Annotated[int, COUNT] = 16
    """Examples a gradient step."""
    learning_rate: Annotated[float, LEARNING_RATE] = 5e-5
    """AdamW's rate."""
    seed: Annotated[int, SEED] = 0
    """Decides which instructions are held out, and the order."""


@replaces_its_out
def main(arguments: Arguments) -> None:
    """Train, write the model, and print how good it is on what was held out."""
    import torch

    from policies.queries import KIND, BartQueries, KeywordQueries, token_f1

    settings = {name: str(value) for name, value in asdict(arguments).items() if name not in ("out", SHOWN)}
    if (arguments.out / CONFIG_FILE).is_file():
        if read_policy_file(arguments.out, TRAINING_FILE, fields={"settings": dict})["settings"] != settings:
            raise UserError(f"{place_of(arguments.out)} was trained with other settings; use another --out")
        say(f"{place_of(arguments.out)}: trained already")
        return
    require_replaceable(arguments.out, kind=KIND)
    queries = _read(arguments.pairs)
    order = random.Random(arguments.seed).sample(sorted(queries), len(queries))
    held = order[: max(1, round(HELD_OUT * len(order)))]
    pairs = [(text, query) for text in order[len(held) :] for query in queries[text]]
    torch.manual_seed(arguments.seed)
    if arguments.model == "bart":
        with phase(f"loading {arguments.start}"):
            model = BartQueries.from_pretrained(arguments.start)
        updates = -(-len(pairs) // arguments.batch) * arguments.epochs
    else:
        model = KeywordQueries.from_encoder(arguments.start)
        updates = -(-len({without_price_clause(text) for text, _ in pairs}) // arguments.batch) * arguments.epochs
    start = time.monotonic()
    with progress(f"train {arguments.model}", updates) as task:
        model.train_on(
            pairs,
            epochs=arguments.epochs,
            rate=arguments.learning_rate,
            batch=arguments.batch,
            seed=arguments.seed,
            progress=lambda loss: task.advance(note=f"loss {loss:.3f}"),
        )
    seconds = time.monotonic() - start
    found = model.candidates(held, 1)
    scores = {
        "instructions": len(held),
        "token_f1": sum(token_f1(one[0], queries[text]) for one, text in zip(found, held, strict=True)) / len(held),
        "token_f1_of_the_instruction": sum(token_f1(without_price_clause(text), queries[text]) for text in held)
        / len(held),
    }
    training = {"settings": settings, "seconds": round(seconds, 1), "held_out": scores}
    model.save_pretrained(arguments.out, training)
    shown, took = {name: round(value, 3) for name, value in scores.items()}, format_seconds(seconds)
    say(f"{place_of(arguments.out)}: {len(pairs)} pairs in {took}; on held-out instructions {shown}")


def _read(path: Path) -> dict[str, list[str]]:
    expected = "--pairs is an object, instruction -> list of queries, with two instructions or more"
    queries = read_object(path, expected)
    right = all(
        isinstance(found, list) and found and all(isinstance(query, str) and query.strip() for query in found)
        for found in queries.values()
    )
    if not right or len(queries) < 2:
        raise UserError(f"{path}: not the pairs of a query model; {expected}")
    alike: dict[str, list[str]] = {}  # what differs in the price only must not be held out and learnt from
    for text, found in queries.items():
        alike.setdefault(without_price_clause(text), []).extend(found)
    return alike


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)
