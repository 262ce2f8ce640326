"""A title is the same however it is spelled: under the corrected rule; the original's tagger decides otherwise."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_recsys.webshop.data.nouns import title_nouns
from rl_recsys.webshop.play.reward import score_purchase, title_words
from rl_recsys.webshop.spelling import SPELLINGS, difference_table, differences, listed, spelled

WORDS = st.sampled_from(
    ["2-Pack", "3 Pack", "9.5oz", "12 OZ", "|", "Beef", "jerky", "Größe", "straße", "T-Shirt", "(6 count)"]
)


@given(
    st.lists(WORDS | st.text("abcÄß12-|. ", max_size=6), max_size=8).map(" ".join), st.sampled_from(sorted(SPELLINGS))
)
def test_no_spelling_changes_the_words_of_a_title(title, spelling):
    assert title_words(SPELLINGS[spelling](title)) == title_words(title)


def test_words_are_of_letters_and_small_ones_are_left_out():
    assert title_words("Soft T-Shirt for Men | 2-Pack, 12oz (with Café)") == {
        "soft",
        "shirt",
        "men",
        "pack",
        "oz",
        "café",
    }


@pytest.fixture(scope="module")
def few(shop):
    """Products whose titles are sellers', wanted and bought among each other."""
    titles = [
        "Teriyaki Beef Jerky | Traditional Smoked | 1 Jar",
        "Mascara Fixer Natural Volume | Long Lasting | 2 Pack",
        "Hot Sauce Set 2-Pack",
    ]
    goals = [replace(shop.goal(index), name=title) for index, title in enumerate(titles)]
    products = [
        replace(shop.product(goal.asin), asin=f"B{at}", title=title, nouns=title_nouns(title))
        for at, (goal, title) in enumerate(zip(goals, titles, strict=True))
    ]
    return products, [replace(goal, asin=product.asin) for goal, product in zip(goals, products, strict=True)]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_corrected_reward_pays_alike_for_every_spelling(few, spelling):
    products, goals = few
    for goal, wanted in zip(goals, products, strict=True):
        for product, other in zip(products, spelled(products, spelling), strict=True):
            found = [score_purchase(one, (), goal, wanted.nouns, "corrected") for one in (product, other)]
            assert found[0] == found[1]


def test_the_purchases_that_would_pay_otherwise_are_counted_and_listed(few):
    products, goals = few
    spellings = {name: spelled(products, name) for name in ("small letters", "a dash for a bar")}
    found = list(differences(products, goals, spellings))
    assert {one.rule for one in found} == {"original"}
    of_a_bar = [one for one in found if one.spelling == "a dash for a bar" and one.alone]
    # The tagger takes a bar for a noun, which both titles then have; without it they have none in common.
    assert {(one.wanted, one.bought, one.after) for one in of_a_bar} == {("B0", "B1", 0.0), ("B1", "B0", 0.0)}
    nouns = {product.asin: product.nouns for product in products}
    for one in found:  # each is what the reward itself says
        bought = next(other for other in spellings[one.spelling] if other.asin == one.bought)
        goal = next(goal for goal in goals if goal.asin == one.wanted)
        if one.alone:
            assert score_purchase(bought, (), goal, nouns[one.wanted]).parts["r_type"] == one.after != one.before
    about = Counter({goal.asin: 10 for goal in goals})
    table = difference_table(products, about, spellings, found)
    alone = sum(one.alone for one in found)
    assert sum(int(row[3]) for row in table.rows) == 10 * alone
    assert len(listed(found, about).splitlines()) == 1 + alone
