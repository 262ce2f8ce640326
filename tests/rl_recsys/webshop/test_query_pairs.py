"""Instructions with what people typed for them, as files have them."""

from __future__ import annotations

import json

import pytest

from rl_recsys.errors import UserError
from rl_recsys.webshop.goals.query_pairs import read_query_pairs

CHEAP, DEAR = (f"I want a Red Mug, and price lower than {limit}.00 dollars" for limit in (10, 90))


def test_instructions_that_differ_in_the_price_only_are_one(tmp_path):
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps({CHEAP: ["red mug"], DEAR: ["mug", "red mug"], "a lamp": ["lamp"]}))
    assert read_query_pairs(path) == {"i want a red mug": ["red mug", "mug", "red mug"], "a lamp": ["lamp"]}


@pytest.mark.parametrize(
    "pairs", [{}, {"a lamp": ["lamp"]}, {CHEAP: ["mug"], DEAR: ["mug"]}, {"a": ["b"], "c": []}, {"a": ["b"], "c": " "}]
)
def test_what_nothing_can_be_learnt_from_is_refused(tmp_path, pairs):
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps(pairs))
    with pytest.raises(UserError, match=r"pairs\.json: not the pairs of a query model; .* two instructions or more"):
        read_query_pairs(path)
