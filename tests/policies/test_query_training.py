"""Query models trained and measured on what was held out."""

from __future__ import annotations

import pytest

from policies.query_training import is_trained, train_query_model
from rl_recsys.errors import UserError


def test_a_tenth_of_the_instructions_is_held_out_and_a_folder_says_what_it_was_trained_with(
    tmp_path, shop, encoder_folder
):
    queries = {f"i want {shop.goal(index).query}": [shop.goal(index).query] for index in range(40)}
    flags = {"start": str(encoder_folder), "epochs": 1, "batch": 8, "learning_rate": 1e-3, "seed": 0}
    trained = train_query_model(queries, name="keywords", **flags)
    number = round(0.1 * len(queries))
    assert trained.held_out["instructions"] == number and trained.pairs == len(queries) - number
    assert 0 <= trained.held_out["token_f1"] <= 1 and 0.5 < trained.held_out["token_f1_of_the_instruction"] < 1
    assert train_query_model(queries, name="keywords", **flags).held_out == trained.held_out
    pairs = [(text, query) for text, typed in queries.items() for query in [*typed, "again"]]
    assert trained.model.updates(pairs, epochs=3, batch=8) == 3 * -(-len(queries) // 8)  # not of every query

    folder, settings = tmp_path / "model", {"epochs": "1"}
    assert not is_trained(folder, settings)
    trained.model.save_pretrained(folder, {"settings": settings})
    assert is_trained(folder, settings)
    with pytest.raises(UserError, match="model was trained with other settings; use another --out"):
        is_trained(folder, {"epochs": "2"})
