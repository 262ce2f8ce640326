from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs import WebShopChoiceEnv, WebShopTextEnv
from rl_recsys.webshop import Shop, ShopError, ShopRules, shared_shop
from rl_recsys.webshop.data.compile import Source, compile_shop
from rl_recsys.webshop.data.demo import write_demo_files
from rl_recsys.webshop.data.manifest import MANIFEST
from rl_recsys.webshop.goals import splits
from rl_recsys.webshop.goals.splits import split_goals, split_names
from rl_recsys.webshop.play.page import ElementKind
from rl_recsys.webshop.rules import RulesError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reward": "strict"}, "reward 'strict': choose one of original, corrected"),
        ({"protocol": "2k"}, "protocol '2k': choose one of 1k, original, product-disjoint"),
        ({"quirks": ["rude"]}, "quirks 'rude': choose one of goal_draw, catalog_filters"),
        ({"rewards": "original"}, "no rule 'rewards': there are reward, protocol, show_attributes, quirks"),
    ],
)
def test_rules_that_there_are_not_are_refused(shop_folder, changes, message):
    with pytest.raises(RulesError, match=message):
        Shop.open(shop_folder, **changes)
    with pytest.raises(RulesError, match=message):
        shared_shop(shop_folder, changes)


def test_a_shop_that_is_open_does_not_change_its_rules(shop):
    assert shared_shop(shop, {}) is shared_shop(shop, {"reward": "original"}) is shop
    with pytest.raises(RulesError, match="is open with .*give its folder"):
        shared_shop(shop, {"reward": "corrected"})
    for environment, *rest in ((WebShopTextEnv,), (WebShopChoiceEnv, "no tokenizer is read")):
        with pytest.raises(RulesError, match="is open with"):
            environment(shop, *rest, rules={"reward": "corrected"})


def test_a_shop_keeps_its_rules_and_may_be_opened_with_others(tmp_path):
    source = Source(*write_demo_files(tmp_path, products=20))
    folder = tmp_path / "shop"
    rules = ShopRules(reward="corrected", protocol="product-disjoint", show_attributes=True, quirks=("goal_draw",))
    compile_shop(source, folder, rules=rules)
    shop = Shop.open(folder)
    assert shop.rules == rules == shared_shop(folder).rules
    other = Shop.open(folder, reward="original")
    assert asdict(other.rules) == asdict(rules) | {"reward": "original"}
    assert other.fingerprint != shop.fingerprint == Shop.open(folder).fingerprint
    assert shared_shop(folder, {"quirks": []}).rules.quirks == ()
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"rules": {"reward": "kind"}}))
    with pytest.raises(ShopError, match=r"manifest\.json: rules that this code does not know \(reward 'kind'.*prepare"):
        Shop.open(folder)


def test_equal_rules_are_equal_however_they_are_written():
    both = ("goal_draw", "catalog_filters")
    assert ShopRules(quirks=both) == ShopRules(quirks=[*reversed(both), "goal_draw"])
    assert ShopRules(quirks="goal_draw") == ShopRules(quirks=("goal_draw",))


# Splits


@given(st.lists(st.integers(0, 30), max_size=400), st.integers(0, 5))
def test_no_test_product_is_trained_on_when_products_are_disjoint(owners, salt):
    asins = [f"B{salt}-{owner}" for owner in owners]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(splits.PRODUCT_DISJOINT, "product-disjoint", 50)
        found = {name: split_goals("product-disjoint", name, asins, len(asins)) for name in ("test", "dev", "train")}
    products = {name: {asins[goal] for goal in goals} for name, goals in found.items()}
    assert not products["train"] & (products["test"] | products["dev"]) and not products["test"] & products["dev"]
    assert all(list(goals) == sorted(set(goals)) for goals in found.values())
    assert max(len(found["test"]), len(found["dev"])) <= 50
    if max(map(len, (found["test"], found["dev"]))) < 50:
        assert sum(map(len, found.values())) == len(asins)
    whole = {name: split_goals("product-disjoint-all", name, asins, len(asins)) for name in found}
    assert sum(map(len, whole.values())) == len(asins)  # the same sides, and nobody is left out
    assert all(list(whole[name][: len(goals)]) == list(goals) for name, goals in found.items())
    # A product stays on its side in another catalogue.
    again = split_goals("product-disjoint", "train", reversed(asins), len(asins))
    assert {asins[len(asins) - 1 - goal] for goal in again} == products["train"]


@pytest.mark.parametrize("protocol", ["1k", "original"])
def test_the_other_protocols_cut_the_order(protocol):
    found = [split_goals(protocol, name, (), 12_087) for name in split_names(protocol)]
    assert sorted(goal for goals in found for goal in goals) == list(range(12_087))
    assert [len(goals) for goals in found] == {"1k": [500, 11_587], "original": [500, 1_000, 10_587]}[protocol]


def test_a_split_that_is_not_there_is_said(tmp_path):
    compile_shop(Source(*write_demo_files(tmp_path, products=20)), tmp_path / "shop")
    shop = Shop.open(tmp_path / "shop")
    with pytest.raises(ShopError, match=f"split 'train' of protocol '1k' has none of the shop's {shop.goal_count}"):
        shop.split("train")
    with pytest.raises(ShopError, match="no split 'dev' in protocol '1k'; there are: all, test, train"):
        shop.split("dev")


# Quirks


@pytest.fixture(scope="module")
def filtering(shop_folder) -> Shop:
    return Shop.open(shop_folder, quirks=["catalog_filters"])


def in_file_order(shop: Shop, fits) -> list[str]:
    products = [shop.listing(row).product for row in range(shop.product_count)]
    assert sorted(product.position for product in products) == list(range(shop.product_count))
    return [product.asin for product in sorted(products, key=lambda one: one.position) if fits(product)]


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("<q> men's shirts", lambda product: product.query == "men's shirts"),
        ("<c> fashion and more", lambda product: product.category == "fashion"),
        ("<a> machine wash", lambda product: "machine wash" in product.attributes),
        ("<q> no such thing", lambda product: False),
        ("<a>", lambda product: False),
        ("<c>", lambda product: False),
    ],
)
def test_catalogue_filters_list_what_fits_in_file_order_only_on_request(shop, filtering, query, fits):
    found = in_file_order(filtering, fits)
    assert list(filtering.search(query)) == found
    assert len(found) > 1 or "no such" in query or " " not in query
    assert list(shop.search(query)) != found or not found


def test_a_filter_lists_more_than_fifty_products_on_as_many_pages(filtering):
    found = in_file_order(filtering, lambda product: product.category == "garden")
    session = filtering.session(0)
    session.step("search[<C> Garden]")
    assert f"Page 1 (Total results: {len(found)})" in session.page.text
    shown = []
    while products := [element.text for element in session.page.of_kind(ElementKind.PRODUCT)]:
        shown += products
        session.step("click[next >]")
    assert shown == found


def test_random_products_are_others_on_every_page_and_equal_for_equal_sessions(filtering):
    first, twin = filtering.group(0, 2)
    pages = []
    for action in ("search[<r>]", "click[next >]", "click[< prev]"):
        assert first.step(action).page.text_rich == twin.step(action).page.text_rich
        pages.append([element.text for element in first.page.of_kind(ElementKind.PRODUCT)])
    assert [len(set(page)) for page in pages] == [10, 10, 10]
    assert pages[0] != pages[2]
    other = filtering.session(0, session_id="other")
    assert other.step("search[<r>]").page.text_rich != filtering.session(0).step("search[<r>]").page.text_rich


def test_rules_survive_their_manifest():
    rules = ShopRules(quirks=("catalog_filters", "goal_draw"))
    assert ShopRules(**json.loads(json.dumps(asdict(rules)))) == rules
