from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_recsys.webshop.data.catalog import Product
from rl_recsys.webshop.goals.goal import (
    NO_PRICE_LIMIT,
    Goal,
    goal_weight,
    human_goals,
    price_clause,
    synthetic_goals,
    webshop_order,
)


def product(**changes) -> Product:
    values = {
        "asin": "B1", "title": "A Shirt", "category": "fashion", "query": "shirts", "product_category": "A › B",
        "description": "", "bullets": (), "price_text": "$12.0", "price": 12.0, "options": {}, "attributes": (),
        "image": "", "nouns": ("shirt",),
    }  # fmt: skip
    return Product(**values | changes)


@given(st.floats(0.01, 2000), st.integers())
def test_the_price_limit_is_one_of_the_next_four_tens_but_the_first(price, seed):
    limit, clause = price_clause(price, random.Random(seed))
    above = [10.0 * step for step in range(1, 100) if 10.0 * step > price][:4]
    if len(above) < 2:
        assert (limit, clause) == (NO_PRICE_LIMIT, "")
    else:
        assert limit in above[1:]
        assert clause == f", and price lower than {limit:.2f} dollars"


def test_synthetic_goals_are_all_combinations_with_one_clause():
    shirt = product(options={"size": ("s", "m"), "color": ("red",)}, price=995.0)
    goals = list(
        synthetic_goals(shirt, {"instruction": "Find shirts", "instruction_attributes": ["soft", "warm"]}, seed=0)
    )
    assert [goal.instruction_text for goal in goals] == [
        "Find shirts with color: red, and size: s",
        "Find shirts with color: red, and size: m",
    ]
    assert goals[0].goal_options == {"color": "red", "size": "s"}
    assert goals[0].price_upper == NO_PRICE_LIMIT
    mug = list(synthetic_goals(product(), {"instruction": "Find mugs", "instruction_attributes": ["warm"]}, seed=0))
    assert [goal.instruction_text.rpartition(" lower than ")[0] for goal in mug] == ["Find mugs, and price"]
    assert list(synthetic_goals(product(), {"instruction_attributes": ["warm"]}, seed=0)) == []
    assert list(synthetic_goals(product(), {}, seed=0)) == []


def test_a_goals_weight_is_the_mean_rarity_of_its_attributes():
    # soft is in 2 goals, warm in 3
    counts = {"soft": 2, "warm": 3}
    assert goal_weight(("soft", "warm"), counts) == pytest.approx(5 / 12)
    assert goal_weight(("warm",), counts) == pytest.approx(1 / 3)


def test_human_goals_skip_instructions_without_attributes():
    said = [
        {"instruction": "i want a shirt.", "instruction_attributes": ["soft"], "instruction_options": ["red"]},
        {"instruction": "anything", "instruction_attributes": [], "instruction_options": []},
    ]
    goal, skipped = human_goals(product(), said, seed=0)
    assert skipped is None
    assert goal.instruction_text.startswith("i want a shirt, and price lower than ")
    assert goal.goal_options == ("red",)
    assert goal.weight == 1


def test_the_order_is_the_originals():
    numbers = list(range(5))
    random.seed(233)
    random.shuffle(numbers)
    assert list(webshop_order(5)) == numbers


@given(st.one_of(st.dictionaries(st.text(), st.text()), st.lists(st.text()).map(tuple)))
def test_a_goal_survives_its_row(options):
    goal = Goal("B", "c", "q", "n", "p", "i", ("a",), 20.0, options, 0.5)
    assert Goal.from_row(goal.to_row()) == goal


def test_a_mapping_without_a_key_is_refused():
    with pytest.raises(ValueError, match="lacks the keys asin"):
        Goal.from_mapping({"category": ""})


def test_the_real_1k_has_the_known_goals(webshop):
    assert webshop.goal_count == 6910
    assert len(webshop.split("test")) == 500
    assert webshop.split("train") == range(500, 6910)
