from __future__ import annotations

import gc
import hashlib
import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from rl_recsys.core.play import play
from rl_recsys.errors import UserError
from rl_recsys.webshop import Product, Shop
from rl_recsys.webshop.data.compile import Source, compile_shop
from rl_recsys.webshop.data.demo import write_demo_files
from rl_recsys.webshop.goals.goal import Goal, price_limit
from rl_recsys.webshop.goals.variations import GoalVariations, attribute_places
from rl_recsys.webshop.imports.known_goals import KnownGoals
from rl_recsys.webshop.shoppers import scripted_shopper

COUNT = 300


def goal(text: str, *attributes: str, query: str = "shirts", options=None) -> Goal:
    return Goal("B1", "fashion", query, "A Shirt", "A › B", text, attributes, 30.0, {} if options is None else options)


def test_where_an_instruction_has_its_attributes():
    text = "Find me hand wash, slim fit shirts with long sleeve, soft for daily wear with color: soft red"
    wanted = ("hand wash", "slim fit", "long sleeve", "soft", "daily wear", "warm")
    places = {"hand wash": "", "slim fit": "", "long sleeve": " with ", "soft": " with ", "daily wear": " for "}
    assert attribute_places(goal(text, *wanted)) == places
    assert attribute_places(goal("i want soft shirts", "soft")) == {}
    assert attribute_places(goal("Find me soft shirts", "soft", options=("red",))) == {}
    assert attribute_places(goal("Find me a soft thing", "soft")) == {}


def test_variations_want_what_their_product_has_and_can_be_won(shop, task):
    variations, again = GoalVariations(shop, seed=5), GoalVariations(shop, seed=5)
    goals = [variations.goal(number) for number in range(COUNT)]
    assert goals == [again.goal(number) for number in range(COUNT)]
    assert goals != [GoalVariations(shop, seed=6).goal(number) for number in range(COUNT)]
    assert len({one.attributes for one in goals}) > COUNT / 4
    for one in goals:
        product = shop.product(one.asin)
        assert set(one.attributes) <= set(product.attributes) and one.attributes
        assert all(value in product.options[name] for name, value in one.goal_options.items())
        assert all(word in one.instruction_text for word in (*one.attributes, product.query))
        assert price_limit(one.instruction_text) == one.price_upper > product.price
    episodes = [play(task, one, scripted_shopper, source="scripted", author="s", seed=0) for one in goals[:60]]
    assert {episode.goal_index for episode in episodes} == {-1}
    assert sum(episode.success for episode in episodes) > 40


@pytest.mark.parametrize("protocol", ["1k", "product-disjoint"])
def test_no_held_out_goal_is_made_up(shop_folder, protocol):
    shop = Shop.open(shop_folder, protocol=protocol)
    training = set(shop.split("train"))
    held_out = [shop.goal(index) for index in range(shop.goal_count) if index not in training]
    taken = {(one.asin, frozenset(one.attributes), frozenset(one.goal_options.values())) for one in held_out}
    variations = GoalVariations(shop)
    goals = [variations.goal(number) for number in range(10 * COUNT)]
    for one in goals:
        assert (one.asin, frozenset(one.attributes), frozenset(one.goal_options.values())) not in taken
    trained = {shop.goal(index).asin for index in training}
    only_held_out = {one.asin for one in held_out} - trained
    assert not only_held_out.intersection(one.asin for one in goals)
    assert only_held_out
    assert {one.asin for one in goals} - trained  # products that no goal is about


def test_published_demonstrations_goals_stay_what_they_are(shop):
    variations = GoalVariations(shop)
    goals = json.dumps([asdict(variations.goal(number)) for number in range(100)])
    assert hashlib.sha256(goals.encode()).hexdigest()[:16] == "e5fbcb7c5583323c"


def test_no_product_and_no_goal_is_held(shop_folder):
    shop = Shop.open(shop_folder, protocol="product-disjoint")

    def held() -> int:
        for cache in (shop.listing, shop.goal):
            cache.cache_clear()
        gc.collect()
        return sum(isinstance(one, (Product, Goal)) for one in gc.get_objects())

    before = held()
    variations, known = GoalVariations(shop), KnownGoals(shop)
    assert held() == before
    assert variations.goal(3) and known.alike(asdict(shop.goal(3)))


def test_an_option_without_values_is_not_asked_for(tmp_path):
    items, attributes, human = write_demo_files(tmp_path, products=150, seed=1)
    records = json.loads(items.read_text())
    for record in records[::2]:
        record["customization_options"]["Style"] = []
    items.write_text(json.dumps(records))
    compile_shop(Source(items, attributes, human), tmp_path / "shop")
    shop = Shop.open(tmp_path / "shop", protocol="product-disjoint")
    variations = GoalVariations(shop)
    goals = [variations.goal(number) for number in range(COUNT)]
    assert any("style" in shop.product(one.asin).options for one in goals)
    assert not any("style" in one.goal_options for one in goals)


def test_what_a_shop_reads_of_its_tables_loads_no_pandas(shop_folder):
    """It takes half a second, or two beside others."""
    code = (
        "import sys\nimport numpy as np\nfrom rl_recsys.webshop.task import WebShop\n"
        f"task = WebShop.open({str(shop_folder)!r})\n"
        "task.variation(0), task.instruction_bytes([0, 1]), task.shop.goal_weights([0, 1])\n"
        "print('pandas' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert ended.stdout.strip() == "False"


def test_a_shop_that_leaves_nothing_else_to_ask_for_is_named(shop, monkeypatch):
    variations = GoalVariations(shop)
    monkeypatch.setattr(variations, "_is_held_out", lambda what: True)
    with pytest.raises(UserError, match="1000 goals that were made up are all goals of the test"):
        variations.goal(0)


def test_a_shop_whose_goals_want_nothing_known_is_refused(shop, monkeypatch):
    monkeypatch.setattr(shop, "split", lambda name: ())
    with pytest.raises(UserError, match="nothing to vary"):
        GoalVariations(shop)
