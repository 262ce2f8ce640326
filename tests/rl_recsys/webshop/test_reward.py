from __future__ import annotations

import pytest

from rl_recsys.webshop.data.catalog import Product
from rl_recsys.webshop.goals.goal import Goal
from rl_recsys.webshop.play.reward import COLOR_WORDS, RULES, color_rule, color_word, score_purchase


def product(**changes) -> Product:
    values = {
        "asin": "B1", "title": "Soft Cotton Shirt", "category": "fashion", "query": "shirts",
        "product_category": "Clothing › Men › Shirts", "description": "Feels warm.", "bullets": ("Easy care",),
        "price_text": "$12.0", "price": 12.0, "options": {}, "attributes": ("machine wash",), "image": "",
        "nouns": ("cotton", "shirt"),
    }  # fmt: skip
    return Product(**values | changes)


def goal(**changes) -> Goal:
    values = {
        "asin": "B1", "category": "fashion", "query": "shirts", "name": "Soft Cotton Shirt",
        "product_category": "Clothing › Men › Shirts", "instruction_text": "", "attributes": ("machine wash",),
        "price_upper": 20.0, "goal_options": {},
    }  # fmt: skip
    return Goal(**values | changes)


NOUNS = ("cotton", "shirt")


def test_there_are_102_colour_words():
    assert len(COLOR_WORDS) == 102


@pytest.mark.parametrize(
    ("value", "expected"),
    [("dark navy", "dark"), ("standard", "tan"), ("credit", "red"), ("green | white", "green"), ("30 x 40", "30 x 40")],
)
def test_the_colour_rule_takes_the_first_word_that_is_a_substring(value, expected):
    assert color_rule(value) == expected


def test_the_right_purchase_is_worth_one():
    wanted = goal(attributes=("machine wash", "warm", "easy care"), goal_options={"color": "dark navy", "size": "m"})
    reward = score_purchase(product(), ["dark navy", "m"], wanted, NOUNS)
    assert reward.total == 1.0
    assert reward.parts == {
        "r_type": 1.0, "query_match": True, "category_match": True, "title_score": 1.0, "r_att": 1.0, "w_att": 3 / 6,
        "r_price": True, "w_price": 1 / 6, "r_option": 1.0, "w_option": 2 / 6,
    }  # fmt: skip


def test_each_part_counts_its_share():
    wanted = goal(attributes=("machine wash", "steel toe"), goal_options=("red", "large"), price_upper=10.0)
    reward = score_purchase(product(), ["dark red"], wanted, NOUNS)
    # one of two attributes; "dark red" becomes "dark", which is not "red"; too dear
    assert reward.total == pytest.approx(1 / 5)
    assert (reward.parts["r_att"], reward.parts["r_option"], reward.parts["r_price"]) == (0.5, 0.0, False)


@pytest.mark.parametrize(
    ("bought_nouns", "bought_query", "expected"),
    [
        (("cotton", "shirt"), "shirts", 1.0),
        (("shirt",), "hats", 1.0),  # title score 0.5 > 0.2
        (("hat",), "shirts", 0.0),  # no common noun overrides even the query match
        ((), "shirts", 0.0),
    ],
)
def test_the_type_factor(bought_nouns, bought_query, expected):
    bought = product(nouns=bought_nouns, query=bought_query, product_category="Hats")
    assert score_purchase(bought, [], goal(), NOUNS).parts["r_type"] == expected


def test_a_low_title_score_is_worth_a_tenth_or_a_half():
    many = tuple(f"noun{n}" for n in range(11))
    assert score_purchase(product(nouns=("noun0",)), [], goal(), many).parts["r_type"] == 0.1
    other = product(nouns=("noun0",), query="hats", product_category="Hats")
    assert score_purchase(other, [], goal(), many[:6]).parts["r_type"] == 0.5


def test_a_goal_without_nouns_scores_two_tenths():
    assert score_purchase(product(), [], goal(), ()).parts["title_score"] == 0.2


def test_the_corrected_rule_reads_whole_words_and_values_of_named_options():
    assert color_rule("tapered") == "red" and color_word("tapered") == "tapered"
    assert color_word("dark navy") == "dark"
    original, corrected = RULES["original"].options, RULES["corrected"].options
    assert original(("tapered",), {"fit": "tapered"}) == 0 and corrected(("tapered",), {"fit": "tapered"}) == 1
    assert corrected(("\u2605",), {"mark": "\u2605"}) == 1  # nothing is left of it for a fuzzy match
    assert corrected(("blue",), {"color": "red"}) == 0
