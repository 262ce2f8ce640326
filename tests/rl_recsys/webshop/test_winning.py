"""What is reckoned of the best purchase is what the best of all purchases pays."""

from __future__ import annotations

import itertools
import json
import random

import pytest

from rl_recsys.webshop import Goal, Session, Shop
from rl_recsys.webshop.data.compile import Source, compile_shop
from rl_recsys.webshop.goals.winning import BestPurchase, can_be_opened, clickable_options
from rl_recsys.webshop.play.page import ElementKind
from rl_recsys.webshop.play.reward import RULES

# Colours by WebShop's rule, what has a bracket, what is called as a button, and what several options may have.
VALUES = (
    "Red", "dark navy", "tapered", "m", "[z]", "a]b", "c[d", "Buy Now", "search", "< prev", "Next >", "description",
    "attributes", "two\nlines", "red/blue", "10 oz",
)  # fmt: skip
ASINS = ("buy now", "SEARCH", "next >", "reviews", "A[1]", "b]2", "plain")
NAMES = ("color", "size", "fit type")


def files(folder, rng: random.Random):
    items, attributes, human = [], {}, {}
    for number in range(24):
        asin = ASINS[number] if number < len(ASINS) else f"B{number:05}"
        options = {
            name: [{"value": value} for value in rng.sample(VALUES, rng.randint(0 if number % 5 == 4 else 1, 4))]
            for name in rng.sample(NAMES, rng.randint(0, 3))
        }
        said = rng.sample(["soft", "warm", "easy clean", "long lasting"], 2)
        items.append(
            {
                "asin": asin, "name": f"Shirt {number} of cotton", "category": "fashion", "query": "shirts",
                "product_category": "Clothing › Shirts", "full_description": "", "small_description": said,
                "pricing": f"${rng.choice([5, 40, 985])}", "images": [], "customization_options": options,
            }
        )  # fmt: skip
        wanted = [*said, *rng.sample(["waterproof"], rng.randint(0, 1))]
        attributes[asin] = {"attributes": said, "instruction": "i want a shirt", "instruction_attributes": wanted}
        values = [value.lower() for value in rng.sample(VALUES, rng.randint(0, 3))]
        human[asin] = [
            {"instruction": f"a shirt {values}", "instruction_attributes": said, "instruction_options": values}
        ]
    written = []
    for name, value in (("items", items), ("attributes", attributes), ("human", human)):
        written.append(folder / f"{name}.json")
        written[-1].write_text(json.dumps(value))
    return written


def opened(shop: Shop, goal: Goal) -> Session | None:
    """A session on the page of the goal's product, as far as clicks lead there."""
    session = shop.session(goal)
    session.step(f"search[{goal.name}]")
    if all(element.text != goal.asin for element in session.page.of_kind(ElementKind.PRODUCT)):
        pytest.fail("the product is not among the results")
    session.step(f"click[{goal.asin}]")
    return session if session.product is not None and session.product.asin == goal.asin else None


def best_of_all_purchases(shop: Shop, goal: Goal) -> float:
    if opened(shop, goal) is None:
        return 0.0
    rewards = []
    options = shop.product(goal.asin).options
    for chosen in itertools.product(*((None, *values) for values in options.values())):
        session = opened(shop, goal)
        for value in filter(None, chosen):
            session.step(f"click[{value}]")
            if session.done or session.product is None:
                break
            if session.kind == "detail":
                session.step("click[< prev]")
        if not session.done and session.product is not None:
            rewards.append(session.step("click[buy now]").reward)
    return max(rewards)


@pytest.mark.parametrize("kind", ["synthetic", "human"])
def test_the_best_purchase_is_reckoned_as_it_is_played(tmp_path, kind):
    items, attributes, human = files(tmp_path, random.Random(kind))
    manifest = compile_shop(Source(items, attributes, human, kind), tmp_path / "shop")
    rewards = {}
    for rule in RULES:
        shop = Shop.open(tmp_path / "shop", reward=rule)
        for index in range(0, shop.goal_count, 1 + shop.goal_count // 60):
            goal = shop.goal(index)
            product = shop.product(goal.asin)
            rewards[rule, index] = BestPurchase(product).reward(goal, product.nouns, rule)
            assert rewards[rule, index] == best_of_all_purchases(shop, goal), (goal, rule)
        every = [shop.goal(index) for index in range(shop.goal_count)]
        won = sum(
            BestPurchase(shop.product(goal.asin)).reward(goal, shop.goal_nouns(goal), rule) == 1.0 for goal in every
        )
        assert manifest["counts"]["winnable"][rule] == won < shop.goal_count
    assert len(set(rewards.values())) > 4


def test_what_can_be_clicked_is_what_a_click_chooses(tmp_path):
    items, attributes, _ = files(tmp_path, random.Random(3))
    manifest = compile_shop(Source(items, attributes), tmp_path / "shop")
    shop = Shop.open(tmp_path / "shop")
    lost = 0
    for row in range(shop.product_count):
        product = shop.listing(row).product
        goal = Goal(product.asin, "", "", product.title, "", "a shirt", (), 1e6, {})
        session = opened(shop, goal)
        assert can_be_opened(product) == (session is not None)
        clickable = clickable_options(product)
        for name, values in product.options.items():
            for value in dict.fromkeys(values):
                lost += value not in clickable[name]
                if session is not None:
                    session = opened(shop, goal)
                    session.step(f"click[{value}]")
                    assert (session.options == {name: value}) == (value in clickable[name])
    found = manifest["findings"]["found"]
    assert found["unclickable_option"]["count"] == lost
    assert found["unclickable_product"]["count"] == 5
