"""The market: as it is told to be, alike wherever it is made, won by its goals' products and not by their like."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter, defaultdict
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_recsys.errors import UserError
from rl_recsys.webshop import Shop, ShopRules
from rl_recsys.webshop.data.compile import compile_shop
from rl_recsys.webshop.data.demo import KINDS
from rl_recsys.webshop.data.market import _SOLD_AS, Market, market_rules, market_source
from rl_recsys.webshop.data.spoken import number_in_words, respelling
from rl_recsys.webshop.goals.goal import NO_PRICE_LIMIT, named_options, price_limit
from rl_recsys.webshop.goals.winning import BestPurchase
from rl_recsys.webshop.hardness import NOWHERE, Arguments, found, hardness, main
from rl_recsys.webshop.play.reward import RULES
from rl_recsys.webshop.task import WebShop

PRODUCTS = 160
#: Of the files of Market(products=160, seed=0). Another digest is another market: say so in CHANGELOG.md.
DIGEST = "710f0b3bb98fef63"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Market(products=PRODUCTS).write(tmp_path_factory.mktemp("market"))


@pytest.fixture(scope="module")
def market(tmp_path_factory) -> Shop:
    out = tmp_path_factory.mktemp("market") / "shop"
    with market_source(Market(products=PRODUCTS)) as source:
        compile_shop(source, out, rules=market_rules(ShopRules()))
    return Shop.open(out)


def test_one_seed_makes_one_market_on_every_machine(files, tmp_path):
    assert hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16] == DIGEST
    other = Market(products=PRODUCTS, seed=1).write(tmp_path)
    assert other[0].read_bytes() != files[0].read_bytes()


def test_it_has_what_it_is_told_to_have(files):
    items, _, asked = (json.loads(path.read_text()) for path in files)
    titles = Counter(item["name"].split(" ", 2)[2] for item in items)
    assert len(items) == PRODUCTS
    extras = sum(" fits " in title for title in titles.elements())
    families = PRODUCTS - 16 - 80
    assert extras == 16 and families - 3 <= sum(" fits " not in title for title in titles) <= families
    assert Counter(map(len, asked.values())) == {1: 24 + 8, 3: families - 32}


def test_no_training_goal_is_about_a_product_of_test_or_dev(market):
    asins = {name: [market.goal(goal).asin for goal in market.split(name)] for name in ("train", "test", "dev")}
    assert [len(asins[name]) for name in ("test", "dev")] == [24, 8]
    assert all(len(set(asins[name])) == len(asins[name]) for name in ("test", "dev"))
    assert not set(asins["train"]) & {*asins["test"], *asins["dev"]} and not set(asins["test"]) & set(asins["dev"])
    assert len(asins["train"]) == 3 * len(set(asins["train"]))


def test_every_goal_can_be_won_but_not_by_what_looks_like_its_product(market):
    assert market.manifest["counts"]["winnable"] == dict.fromkeys(RULES, market.goal_count)
    looks = defaultdict(list)
    for row in range(market.product_count):
        product = market.listing(row).product
        looks[product.title.split(" ", 2)[2]].append(product)
    alike = 0
    for index in (*market.split("test"), *market.split("dev")):
        goal = market.goal(index)
        nouns = market.goal_nouns(goal)
        for product in looks[goal.name.split(" ", 2)[2]]:
            pays = {rule: BestPurchase(product).reward(goal, nouns, rule) for rule in RULES}
            assert all((reward == 1) == (product.asin == goal.asin) for reward in pays.values()), (goal, product)
            alike += product.asin != goal.asin
    assert alike > 20


def test_goals_are_in_several_manners_of_speaking(market):
    goals = [market.goal(index) for index in range(market.goal_count)]
    template = [goal for goal in goals if named_options(goal.instruction_text)]
    free = [goal for goal in goals if goal not in template]
    assert 0.15 < len(template) / len(goals) < 0.45
    assert all(price_limit(goal.instruction_text) == goal.price_upper for goal in template)
    priced = [goal for goal in free if goal.price_upper != NO_PRICE_LIMIT]
    in_digits = [goal for goal in priced if str(int(goal.price_upper)) in goal.instruction_text]
    in_words = [goal for goal in priced if number_in_words(int(goal.price_upper)) in goal.instruction_text]
    assert len(in_digits) > len(in_words) > 5 and len(free) > len(priced) + 5
    assert {*map(id, in_digits), *map(id, in_words)} == {*map(id, priced)}


def test_the_reward_tells_the_values_of_every_option_apart():
    for kind in (kind for group in KINDS.values() for kind in group):
        for values in kind.options.values():
            for one, other in permutations([_SOLD_AS.get(value, value) for value in values], 2):
                assert not any(rule.options((one,), (other,)) for rule in RULES.values()), (one, other)


def test_what_cannot_be_made_is_refused():
    with pytest.raises(UserError, match="a market of 99 products: it has at least 100"):
        Market(products=99)
    with pytest.raises(UserError, match="no product is left for training goals"):
        Market(products=1000, near_duplicates=0.75)
    with pytest.raises(UserError, match="lacking"):
        Market(lacking=1.5)
    with pytest.raises(UserError, match="the market's is product-disjoint-all; leave --protocol out"):
        market_rules(ShopRules(protocol="original"))


@given(st.integers(0, 9999))
def test_numbers_have_words_of_their_own(number):
    words = number_in_words(number)
    assert words.isascii() and not any(sign.isdigit() for sign in words) and words == words.strip()
    if number:
        assert words != number_in_words(number - 1)


def test_values_are_respelled():
    rng = random.Random(0)
    said = {value: respelling(value, rng) for value in ("9", "16x18", "6 ft", "navy", "salted caramel")}
    assert said["9"] == "nine" and said["16x18"] == "16 by 18" and said["6 ft"] in ("six feet", "six foot")
    assert said["navy"] == "navy" and said["salted caramel"] == "salted caramel"


def test_what_is_within_reach_can_be_bought(market):
    reached = 0
    for index in market.split("test"):
        goal = market.goal(index)
        place = found(market, goal)
        (query,) = market.search_candidates(goal.instruction_text)
        asins = market.search(query)
        assert place.own == (asins.index(goal.asin) + 1 if goal.asin in asins else NOWHERE)
        if not place.reach:
            continue
        session = market.session(index)
        session.step(f"search[{query}]")
        for _ in range((place.worth - 1) // 10):
            session.step("click[next >]")
        session.step(f"click[{asins[place.worth - 1]}]")
        wanted = [
            value
            for values in session.product.options.values()
            for value in values
            if any(RULES["original"].options((value,), (one,)) for one in goal.goal_options)
        ]
        for value in wanted:
            session.step(f"click[{value}]")
        assert session.step("click[buy now]").reward == 1.0
        reached += 1
    assert reached > 10


def test_hardness_has_the_shares_of_what_it_counts(market, tmp_path):
    goals = list(market.split("test"))
    measured = hardness(WebShop(market), goals)
    share = {name: one["share"] for name, one in measured.items()}
    assert share["own product first"] <= share["own product on the first page"] <= share["own product within reach"]
    assert share["own product worth 1"] == 1 and 0 < share["worth 1 within reach"] <= 1
    assert share["ceiling: worth 1, and bought within the steps"] <= share["worth 1 within reach"]
    assert share["success of comparing"] < share["ceiling: worth 1, and bought within the steps"]
    assert all(one["interval"][0] <= one["share"] <= one["interval"][1] for one in measured.values())
    out = tmp_path / "of" / "it"
    main(Arguments(shop=market.folder, split="test", out=out))
    assert json.loads((out / "hardness.json").read_text())["measures"] == json.loads(json.dumps(measured))
    assert f"24 test goals of {market.folder}, about 24 products" in (out / "hardness.md").read_text()
