"""Requests in words: limits, options and what is searched for; WebShop's own words are read as everywhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rl_recsys.webshop.goals.goal import named_options, price_limit, without_options
from rl_recsys.webshop.goals.wish import choices, lacking, narrowed, reaches_floor, understand, within_limit
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
        ("vitamins for women over 50", "vitamins for women over 50", None, {}),
        ("pack of at least 15", "pack of at least 15", None, {}),
        ("elegant scarf, more than 20 colors", "elegant scarf, more than 20 colors", None, {}),
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


PIECES = (
    "under over $50 20 40 euros € - to and with size: size 9 color: red in : ; , . ( ) shoes between from $20-$40 or "
    "less more at least max not price lower than 20.00 dollars"
).split()


@given(
    st.one_of(
        st.text(),
        st.lists(st.sampled_from(PIECES)).map(" ".join),
        st.text("und ermaxst$0159.,:; sizecolorwithand-\n%[]="),
    )
)
@example("size: a, size: b")
@example("= : =")
@example("0;A:0\n0")
@example("mugs under $" + "9" * 400)
def test_what_was_understood_is_said_in_words_that_policies_read(request_):
    wish = understand(request_)
    if wish.limit is None and wish.floor is None and not wish.options and not wish.unused:
        assert wish.instruction == request_.strip()
    elif wish.words:
        again = understand(wish.instruction)
        assert replace(again, unused=()) == replace(wish, floor=None, unused=())
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

    def floors(text: str) -> list[bool | None]:
        return [reaches_floor(understand(text), one) for one in (SHOES, MUGS, product(price_text=""))]

    assert floors("mugs under $60") == [None, None, None]
    assert floors("mugs at least $20") == [True, False, None]
    assert floors("mugs over $20.01") == [None, False, None]
    assert floors("mugs over $60.01") == [False, False, None]


@pytest.mark.parametrize(
    ("request_", "words", "floor", "limit", "options", "unused"),
    [
        (
            "shoes with size: 9 under 40 euros, and price lower than 50.00 dollars",
            "shoes",
            None,
            50,
            ["9"],
            ["40 euros"],
        ),
        ("shoes under 40 euros, and price lower than 50.00 dollars", "shoes", None, 50, [], ["40 euros"]),
        ("shoes with size: 9 for under €40", "shoes", None, None, ["9"], ["€40"]),
        ("shoes over $20 with size: 9, and price lower than 50.00 dollars", "shoes", 20, 50, ["9"], []),
        ("shoes with size: 9 over $20, and price lower than 50.00 dollars", "shoes", 20, 50, ["9"], []),
        ("lamp (20-30 €, size large)", "lamp", None, None, ["large"], ["20-30 €"]),
        ("gift card of 50 CHF", "gift card of 50 chf", None, None, [], ["50 CHF"]),
        ("wd-40 lubricant, $10-20", "wd-40 lubricant", 10, 20, [], []),
        ("i don't want to spend over 40 dollars: lamp", "lamp", None, 40, [], []),
        ("a lamp between $40 and $20", "a lamp", 20, 40, [], []),
        ("books over 300 pages, over $5 and over $6", "books over 300 pages", 6, None, [], []),
    ],
)
def test_floors_and_other_currencies(request_, words, floor, limit, options, unused):
    wish = understand(request_)
    values = [value for _, value in wish.options]
    assert (wish.words, wish.floor, wish.limit, values, list(wish.unused)) == (words, floor, limit, options, unused)
    assert "over" not in wish.instruction.replace("over 300", "")


@pytest.mark.parametrize("amount", ["40 euros", "£30", "30 EUR", "€ 40", "1,200.50 GBP"])
@pytest.mark.parametrize("limit", ["under {}", "cheaper than {}", "price below {}", "my budget is {}", "{} or less"])
def test_an_amount_in_another_currency_is_no_limit_and_is_said(limit, amount):
    wish = understand(f"running shoes {limit.format(amount)}")
    assert wish.limit is None
    assert wish.unused == (amount,) and wish.to_mapping()["unused"] == [amount]
    assert f"{amount} is not in dollars and not used" in str(wish)


@pytest.mark.parametrize("text", ["under $0", "less than 0 dollars", "maximum $0.00", "budget: 0", "between $0 and $0"])
def test_a_limit_of_nothing_is_a_limit(text):
    wish = understand(f"shirt {text}")
    assert (wish.words, wish.limit) == ("shirt", 0)
    assert [within_limit(wish, one) for one in (SHOES, MUGS)] == [False, False]
    assert narrowed(understand("shirt under $20"), {}, floor=0, limit=0).limit == 0
    assert understand("shirt under $20, not over $0").limit == 0


@pytest.mark.parametrize(
    ("text", "floor", "limit"),
    [
        ("up to $1.5k", None, 1500),
        ("under $20K", None, 20_000),
        ("under 20k dollars", None, 20_000),
        ("price below 2k", None, 2000),
        ("budget: 2k", None, 2000),
        ("at most $5 thousand", None, 5000),
        ("under $2 million", None, 2_000_000),
        ("under $.99", None, 0.99),
        ("over $1k", 1000, None),
        ("$20-30k", 20_000, 30_000),
        ("$20k-30k", 20_000, 30_000),
        ("between 20 and 30k dollars", 20_000, 30_000),
        ("between $500 and $2k", 500, 2000),
        ("$20-$30k", 20, 30_000),
    ],
)
def test_amounts_in_thousands(text, floor, limit):
    wish = understand(f"a sofa, {text}")
    assert (wish.words, wish.floor, wish.limit, wish.unused) == ("a sofa", floor, limit, ())


@pytest.mark.parametrize(
    "amount",
    ["$-5", "-$5", "$1e2", "1e2 dollars", "-5 dollars", "$5m", "$20/pack", "$20,50", "$1,0000", "$" + "9" * 12, "€1e2"],
)
@pytest.mark.parametrize("limit", ["under {}", "no more than {}", "my budget is {}", "{} or less", "less than {}."])
def test_an_amount_in_no_known_spelling_is_no_limit_and_is_said(limit, amount):
    wish = understand(f"running shoes {limit.format(amount)}")
    assert (wish.words, wish.floor, wish.limit, wish.unused) == ("running shoes", None, None, (amount,))
    assert f"{amount} is not an amount that is understood and not used" in str(wish)


@pytest.mark.parametrize("words", ["tv under 4k", "cases between 2k and 4k", "lens at most 20 million", "tv 4k $300"])
def test_thousands_of_no_currency_are_words(words):
    wish = understand(words)
    assert (wish.words, wish.floor, wish.limit, wish.unused) == (words, None, None, ())


PRODUCTS = st.sampled_from(
    [
        "running shoes for women", "trash can", "vitamin a", "plug-in night light", "gas range",
        "over the door hooks", "under bed storage (2 pack)", "tv 4k 55 inch", "蓝牙耳机", "women's t-shirt",
        "usb c to usb c cable", "1/4 drill bit", "black & white rug", "dr. martens boots", "elegant scarf",
        "toys for kids",
    ]
)  # fmt: skip
CENTS = st.integers(1, 200_000)
DOLLARS = st.sampled_from(
    ["${}", "$ {}", "US ${}", "US${}", "usd {}", "{}$", "{} $", "{} dollars", "{} us dollars", "{} bucks", "{} USD"]
)
OTHERS = st.sampled_from(
    ["€{}", "€ {}", "£{}", "EUR {}", "{}€", "{} €", "{} euros", "{} GBP", "{} CHF", "C${}", "AU${}"]
)
LIMITS = st.sampled_from(
    [
        "under {}", "below {}", "less than {}", "lower than {}", "cheaper than {}", "at most {}", "at the most {}",
        "up to {}", "max {}", "maximum of {}", "not over {}", "no more than {}", "not more expensive than {}", "< {}",
        "for under {}", "that costs less than {}", "costing at most {}", "price lower than {}", "price: under {}",
        "with a price below {}", "in the price range of up to {}", "that can cost at most {}", "{} or less", "{} max",
        "for {} or under", "that doesn't cost more than {}", "nothing over {}", "budget: {}", "my budget is {}",
    ]
)  # fmt: skip
FLOORS = st.sampled_from(
    [
        "over {}", "above {}", "more than {}", "higher than {}", "at least {}", "at the very least {}", "min {}",
        "minimum of {}", "starting at {}", "not under {}", "no less than {}", "not cheaper than {}",
        "more expensive than {}", "> {}", "that costs over {}", "price over {}", "with a price above {}",
        "minimum price {}", "{} or more", "{}+", "from {} and up", "{} and above", "that shouldn't be less than {}",
    ]
)  # fmt: skip
BOTH = st.sampled_from(
    [
        "between {} and {}", "from {} to {}", "{}-{}", "{} - {}", "{} to {}", "{} – {}", "price range: {}-{}",
        "over {} and under {}", "more than {} but less than {}", "at least {}, at most {}",
        "priced between {} and {}", "for {} to {}",
    ]
)  # fmt: skip
PLACES = st.sampled_from(
    [
        "{0} {1}", "{1} {0}", "{0}, {1}", "{1}, {0}", "{0} ({1})", "{0}: {1}", "{1}: {0}", "{0} {1}.", "{0}; {1}!",
        "{0} [{1}]", "({1}) {0}", "{0} and {1}", "{0} - {1}", "{0} {1} please",
    ]
)  # fmt: skip


def amount(draw, cents: int, currency: str) -> str:
    number = f"{cents / 100:{draw(st.sampled_from(['', ',']))}.2f}"
    return currency.format(number.removesuffix(".00"))


@st.composite
def requests(draw, currencies=DOLLARS):
    """(request, product words, floor, limit, what is said in its currency)"""
    words, place = draw(PRODUCTS), draw(PLACES)
    which, first, currency = draw(st.sampled_from(["limit", "floor", "both"])), draw(CENTS), draw(currencies)
    if which == "both":
        second = first + draw(CENTS)
        said = [amount(draw, first, currency), amount(draw, second, currency)]
        phrase, floor, limit = draw(BOTH).format(*said), first / 100, second / 100
    else:
        said = [amount(draw, first, currency)]
        phrase = draw(LIMITS if which == "limit" else FLOORS).format(*said)
        floor, limit = (None, first / 100) if which == "limit" else (first / 100, None)
    phrase = draw(st.sampled_from([str, str.upper, str.capitalize]))(phrase)
    request = place.format(words, phrase)
    return draw(st.sampled_from([request, request.replace(" ", "  ")])), words, floor, limit, said


@settings(max_examples=600)
@given(requests())
def test_a_price_in_any_spelling_leaves_exactly_the_product_words(request_):
    text, words, floor, limit, _ = request_
    wish = understand(text)
    assert (wish.words, wish.floor, wish.limit, wish.options, wish.unused) == (words, floor, limit, (), ())
    assert price_limit(wish.instruction) == limit
    again = understand(wish.instruction)
    assert (again.words, again.limit, again.options, again.instruction) == (words, limit, (), wish.instruction)


@settings(max_examples=300)
@given(requests(OTHERS))
def test_a_price_in_another_currency_leaves_exactly_the_product_words_and_is_said(request_):
    text, words, _, _, said = request_
    wish = understand(text)
    assert (wish.words, wish.floor, wish.limit, wish.options) == (words, None, None, ())
    unused = " ".join(wish.unused).upper()
    assert all(one.upper() in unused for one in said) and wish.unused
