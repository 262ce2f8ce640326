"""Requests in words: limits, options and what is searched for; WebShop's own words are read as everywhere."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rl_recsys.webshop.goals.goal import named_options, price_limit, without_options
from rl_recsys.webshop.goals.wish import choices, lacking, understand, within_limit
from tests.rl_recsys.webshop.test_goals import product


@pytest.mark.parametrize(
    ("request_", "words", "limit", "options"),
    [
        ("running shoes for women under $50", "running shoes for women", 50, {}),
        ("earbuds lower than $10", "earbuds", 10, {}),
        ("mugs below 30 bucks", "mugs", 30, {}),
        ("i want a chair, not over 60 dollars", "i want a chair", 60, {}),
        ("hats at most 25", "hats", 25, {}),
        ("cable cheaper than 19.99", "cable", 19.99, {}),
        ("cable $20 or less", "cable", 20, {}),
        ("shirt for 25$ or under", "shirt", 25, {}),
        ("socks max $15", "socks", 15, {}),
        ("a lamp between $10 and $20", "a lamp", 20, {}),
        ("a lamp between 10 and 20", "a lamp", 20, {}),
        ("a lamp, $10-$20", "a lamp", 20, {}),
        ("mug, price lower than 10.00 dollars", "mug", 10, {}),
        ("mug, and price lower than 10.00 dollars.", "mug", 10, {}),
        ("shoes with color: navy, and price lower than 40.00 dollars.", "shoes", 40, {"color": "navy"}),
        ("a toy that costs less than 20", "a toy", 20, {}),
        ("a sofa with a price of no more than $1,200.50 please", "a sofa", 1200.5, {}),
        ("my budget is 50 dollars, a coat", "a coat", 50, {}),
        ("shoes for women under 50", "shoes for women", 50, {}),
        ("a dress within 20 dollars, and price lower than 80.00 dollars", "a dress", 20, {}),
        ("UNDER $5 MUGS!", "mugs", 5, {}),
        ("shoes size 9", "shoes", None, {"size": "9"}),
        ("mugs with size: 12 oz and color: white", "mugs", None, {"size": "12 oz", "color": "white"}),
        ("shoes, size: 9, color: black, under $50", "shoes", 50, {"size": "9", "color": "black"}),
        ("shirt in size x-large in color red for under 25$", "shirt", 25, {"size": "x-large", "color": "red"}),
        ("dress with fit type: slim fit; colour: navy; max 30", "dress", 30, {"fit type": "slim fit", "color": "navy"}),
        ("shirts for men, size: large and under $30", "shirts for men", 30, {"size": "large"}),
        # No limit, and no option.
        ("size 9 under bed storage", "under bed storage", None, {"size": "9"}),
        ("12 under counter lights", "12 under counter lights", None, {}),
        ("over the door hooks", "over the door hooks", None, {}),
        ("toys under 5 years", "toys under 5 years", None, {}),
        ("toys for kids under 3", "toys for kids under 3", None, {}),
        ("rope up to 6 feet", "rope up to 6 feet", None, {}),
        ("tent for at most 3 people", "tent for at most 3 people", None, {}),
        ("not under $50 watch", "not under $50 watch", None, {}),
        ("no less than $20 watch", "no less than $20 watch", None, {}),
        ("a phone over $200", "a phone over $200", None, {}),
        ("lights less than 50% off", "lights less than 50% off", None, {}),
        ("tv 16:9 monitor", "tv 16:9 monitor", None, {}),
        ("http://x.y/z mugs", "http://x.y/z mugs", None, {}),
        ("[new] mugs [2 pack]", "new mugs 2 pack", None, {}),
        ("蓝牙耳机 黑色", "蓝牙耳机 黑色", None, {}),
        ("under $50", "", 50, {}),
        ("", "", None, {}),
        ("\u200b\u202e ...", "", None, {}),
    ],
)
def test_a_request_is_understood(request_, words, limit, options):
    wish = understand(request_)
    assert (wish.words, wish.limit, dict(wish.options)) == (words, limit, options)


def read_as_a_goal(instruction: str) -> bool:
    wish = understand(instruction)
    said = without_options(instruction), price_limit(instruction), named_options(instruction), instruction
    return (wish.words, wish.limit, list(wish.options), wish.instruction) == said


def test_the_demo_shops_goals_are_read_as_environments_read_them(shop):
    assert all(read_as_a_goal(shop.goal(goal).instruction_text) for goal in range(shop.goal_count))


def test_the_real_goals_are_read_as_environments_read_them(webshop):
    assert all(read_as_a_goal(webshop.goal(goal).instruction_text) for goal in range(webshop.goal_count))


@given(st.one_of(st.text(), st.text("und ermaxst$0159.,:; sizecolorwithand-\n%[]=")))
@example("size: a, size: b")
@example("= : =")
@example("0;A:0\n0")
@example("mugs under $" + "9" * 400)
def test_what_was_understood_is_said_in_words_that_policies_read(request_):
    wish = understand(request_)
    if wish.limit is None and not wish.options:
        assert wish.instruction == request_.strip()
    elif wish.words:
        limit = price_limit(wish.instruction)
        assert limit == pytest.approx(wish.limit, abs=0.006) if wish.limit is not None else limit is None
        assert named_options(wish.instruction) == list(wish.options)


SHOES = product(
    asin="B1", title="Walking Shoes", price_text="$20.00 to $60.00",
    options={"Color": ("Black", "Navy Blue"), "size": ("9", "9 wide", "10.5 wide")},
)  # fmt: skip
MUGS = product(asin="B2", title="Mug", price_text="$9.99", options={"size": ("12oz", "16oz"), "finish": ("Matte",)})


def test_the_catalogue_says_what_a_value_is():
    searched = []

    def search(words: str):
        searched.append(words)
        return [SHOES, MUGS]

    wish = understand("shoes in navy blue for my wife, size: 9 wide, under 70, please", search)
    assert (wish.words, dict(wish.options)) == ("shoes for my wife", {"size": "9 wide", "color": "navy blue"})
    assert searched == ["shoes in navy blue for my wife"]
    wish = understand("shoes size: 9 for my wife in a hurry", search)
    assert (wish.words, dict(wish.options)) == ("shoes for my wife in a hurry", {"size": "9"})
    assert understand("shoes in bulk", search).options == ()


def test_options_are_chosen_by_name_or_by_the_words():
    assert choices(understand("shoes with color: black, and size: 9"), SHOES) == {"Color": "Black", "size": "9"}
    assert choices(understand("black shoes size 10.5"), SHOES) == {"Color": "Black", "size": "10.5 wide"}
    assert choices(understand("navy blue shoes"), SHOES) == {"Color": "Navy Blue"}
    assert choices(understand("matte mug size: 12 oz."), MUGS) == {"size": "12oz", "finish": "Matte"}
    assert choices(understand("mug size 9"), MUGS) == {} and lacking(understand("mug size 9"), MUGS) == ["size: 9"]
    assert lacking(understand("shoes size 9"), SHOES) == []


def test_a_price_is_that_of_the_page():
    def prices(text: str) -> list[bool | None]:
        return [within_limit(understand(text), one) for one in (SHOES, MUGS, product(price_text=""))]

    assert prices("mugs") == [None, None, None]
    assert prices("mugs under $60") == [True, True, None]
    assert prices("mugs under $30") == [None, True, None]
    assert prices("mugs under $9.98") == [False, False, None]


@pytest.mark.parametrize("amount", ["40 euros", "£30", "30 EUR", "€ 40", "1,200.50 GBP"])
@pytest.mark.parametrize("limit", ["under {}", "cheaper than {}", "price below {}", "my budget is {}", "{} or less"])
def test_an_amount_in_another_currency_is_no_limit_and_is_said(limit, amount):
    wish = understand(f"running shoes {limit.format(amount)}")
    assert wish.limit is None
    assert wish.unused == (amount,) and wish.to_mapping()["unused"] == [amount]
    assert f"{amount} is not in dollars and not used" in str(wish)
