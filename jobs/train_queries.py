"""Train a query model: from an instruction to what people typed into the search for it.

    python jobs/train_queries.py --pairs goal_query_map.json --out runs/queries
    python jobs/train_queries.py --pairs goal_query_map.json --model bart --start facebook/bart-base --out runs/bart

The pairs are a JSON object, instruction -> list of queries. A tenth of the instructions is held out, and the report
compares the model with the instruction itself on them. jobs/add_queries.py gives a shop the trained model's candidates.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from algorithms.common.ranges import LEARNING_RATE
from policies.bert.encoder_folder import BUNDLED
from rl_recsys.console.command import Flags, run_job
from rl_recsys.console.progress import format_seconds
from rl_recsys.console.ranges import COUNT, SEED
from rl_recsys.console.terminal import say
from rl_recsys.runs.outputs import replaces_its_out
from rl_recsys.runs.settings import SHOWN
from rl_recsys.storage.folders import require_replaceable
from rl_recsys.storage.locations import Place, place_of
from rl_recsys.webshop.goals.query_pairs import read_query_pairs


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
    from policies.queries import KIND
    from policies.query_training import is_trained, train_query_model

    settings = {name: str(value) for name, value in asdict(arguments).items() if name not in ("out", SHOWN)}
    if is_trained(arguments.out, settings):
        say(f"{place_of(arguments.out)}: trained already")
        return
    require_replaceable(arguments.out, kind=KIND)
    trained = train_query_model(
        read_query_pairs(arguments.pairs), name=arguments.model, start=arguments.start, epochs=arguments.epochs,
        batch=arguments.batch, learning_rate=arguments.learning_rate, seed=arguments.seed,
    )  # fmt: skip
    training = {"settings": settings, "seconds": round(trained.seconds, 1), "held_out": trained.held_out}
    trained.model.save_pretrained(arguments.out, training)
    scores = {name: round(value, 3) for name, value in trained.held_out.items()}
    took = format_seconds(trained.seconds)
    say(f"{place_of(arguments.out)}: {trained.pairs} pairs in {took}; on held-out instructions {scores}")


if __name__ == "__main__":
    run_job(main, Arguments, __doc__)
