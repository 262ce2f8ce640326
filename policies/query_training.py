"""Training of a query model, and how good it is on instructions that were held out."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from policies.queries import BartQueries, KeywordQueries, QueryModel, token_f1
from rl_recsys.console.progress import phase, progress
from rl_recsys.core.policy_folder import CONFIG_FILE, TRAINING_FILE, read_policy_file
from rl_recsys.errors import UserError
from rl_recsys.storage.locations import place_of

HELD_OUT = 0.1  # of the instructions


@dataclass(frozen=True)
class TrainedQueries:
    """A trained model, from how many (instruction, query) ``pairs`` and in which time.

    ``held_out``: the number of "instructions" that were, the mean best F1 of the model's first query on them,
    "token_f1", and "token_f1_of_the_instruction" itself, both in [0, 1].
    """

    model: QueryModel
    pairs: int
    seconds: float
    held_out: dict[str, float]


def is_trained(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Whether a folder has a model of these settings. Raises ``UserError`` where it has one of others."""
    if not (folder / CONFIG_FILE).is_file():
        return False
    if read_policy_file(folder, TRAINING_FILE, fields={"settings": dict})["settings"] != settings:
        raise UserError(f"{place_of(folder)} was trained with other settings; use another --out")
    return True


def train_query_model(
    queries: Mapping[str, Sequence[str]],
    *,
    name: Literal["keywords", "bart"],
    start: str,
    epochs: int,
    batch: int,
    learning_rate: float,
    seed: int,
) -> TrainedQueries:
    """A model that is trained on nine tenths of the instructions and measured on the others.

    ``queries``: instruction -> what people typed for it, two instructions at least. ``start``: what ``name``'s
    ``from_encoder`` or ``from_pretrained`` takes. ``batch``: examples a gradient step. ``seed`` decides which
    instructions are held out, a fresh head's weights and the order.
    """
    instructions = random.Random(seed).sample(sorted(queries), len(queries))
    held_out_count = max(1, round(HELD_OUT * len(instructions)))
    held_out, learnt = instructions[:held_out_count], instructions[held_out_count:]
    pairs = [(instruction, query) for instruction in learnt for query in queries[instruction]]
    torch.manual_seed(seed)
    model: QueryModel
    if name == "bart":
        with phase(f"loading {start}"):
            model = BartQueries.from_pretrained(start)
    else:
        model = KeywordQueries.from_encoder(start)
    began = time.monotonic()
    with progress(f"train {name}", model.updates(pairs, epochs=epochs, batch=batch)) as bar:
        model.train_on(
            pairs, epochs=epochs, rate=learning_rate, batch=batch, seed=seed,
            progress=lambda loss: bar.advance(note=f"loss {loss:.3f}"),
        )  # fmt: skip
    seconds = time.monotonic() - began
    return TrainedQueries(model, len(pairs), seconds, _scores(model, {text: queries[text] for text in held_out}))


def _scores(model: QueryModel, held_out: Mapping[str, Sequence[str]]) -> dict[str, float]:
    candidates = model.candidates(list(held_out), 1)
    of_model = [token_f1(first, typed) for (first, *_), typed in zip(candidates, held_out.values(), strict=True)]
    of_instruction = [token_f1(instruction, typed) for instruction, typed in held_out.items()]
    return {
        "instructions": len(held_out),
        "token_f1": sum(of_model) / len(held_out),
        "token_f1_of_the_instruction": sum(of_instruction) / len(held_out),
    }
