from __future__ import annotations

import json
import subprocess
import sys

import pytest

from rl_recsys.shop import RawDataError, Shop, ShopError
from rl_recsys.shop.compile import Source, compile_shop
from rl_recsys.shop.demo import write_demo_files
from rl_recsys.shop.search import build_index
from rl_recsys.shop.shop import GOALS, MANIFEST, PRODUCTS, shared_shop


@pytest.fixture
def source(tmp_path) -> Source:
    return Source(*write_demo_files(tmp_path, products=20, seed=0))


def test_a_compiled_shop_opens_and_counts(tmp_path, source):
    manifest = compile_shop(source, tmp_path / "shop")
    shop = Shop.open(tmp_path / "shop", verify=True)
    assert (shop.product_count, shop.goal_count) == (20, manifest["counts"]["goals"])
    assert shop.product(shop.goal(0).asin).title == shop.goal(0).name
    with pytest.raises(KeyError, match="no product 'NOWHERE'"):
        shop.product("NOWHERE")
    with pytest.raises(IndexError, match="goal 10000 of"):
        shop.goal(10_000)


def test_the_same_seed_makes_the_same_shop_and_another_one_other_prices(tmp_path, source):
    first, again, other = (
        compile_shop(source, tmp_path / name, seed=seed) for name, seed in zip("abc", (1, 1, 2), strict=True)
    )
    for name in (PRODUCTS, GOALS):
        assert first["files"][name] == again["files"][name]
    assert first["files"][GOALS] != other["files"][GOALS]


def test_human_goals(tmp_path, source):
    human = Source(source.items, source.attributes, source.human_instructions, "human")
    compile_shop(human, tmp_path / "shop")
    goal = Shop.open(tmp_path / "shop").goal(0)
    assert goal.instruction_text.startswith("hi, i'd like")
    assert isinstance(goal.goal_options, tuple)
    with pytest.raises(RawDataError, match="need an items_human_ins file"):
        compile_shop(Source(source.items, source.attributes, None, "human"), tmp_path / "other")


def test_a_damaged_folder_is_refused_with_the_remedy(tmp_path, source):
    folder = tmp_path / "shop"
    with pytest.raises(ShopError, match=r"no shop here.*prepare\.py"):
        Shop.open(folder)
    compile_shop(source, folder)
    manifest = json.loads((folder / MANIFEST).read_text())

    (folder / MANIFEST).write_text(json.dumps(manifest | {"format_version": 99}))
    with pytest.raises(ShopError, match=r"format version 99.*prepare\.py"):
        Shop.open(folder)
    (folder / MANIFEST).write_text("{")
    with pytest.raises(ShopError, match=r"manifest\.json: damaged"):
        Shop.open(folder)
    (folder / MANIFEST).write_text(json.dumps(manifest))

    data = (folder / GOALS).read_bytes()
    (folder / GOALS).write_bytes(data[:-10])
    with pytest.raises(ShopError, match=r"goals\.arrow: \d+ bytes, expected"):
        Shop.open(folder)
    (folder / GOALS).write_bytes(data[:-10] + bytes(10))
    with pytest.raises(ShopError, match=r"goals\.arrow: damaged"):
        Shop.open(folder, verify=True)
    (folder / GOALS).unlink()
    with pytest.raises(ShopError, match=r"goals\.arrow: missing"):
        Shop.open(folder)


def test_a_failed_or_killed_prepare_leaves_the_old_shop(tmp_path, source):
    folder = tmp_path / "shop"
    compile_shop(source, folder)
    before = (folder / MANIFEST).read_text()
    broken = tmp_path / "broken.json"
    broken.write_text(source.items.read_text()[:-200])
    with pytest.raises(RawDataError):
        compile_shop(Source(broken, source.attributes), folder)
    killed = (
        "import os, sys\nfrom pathlib import Path\nfrom rl_recsys.shop import compile as c\n"
        "c.build_index = lambda *a: os.kill(os.getpid(), 9)\n"
        "c.compile_shop(c.Source(Path(sys.argv[1]), Path(sys.argv[2])), sys.argv[3], seed=9)"
    )
    run = subprocess.run([sys.executable, "-c", killed, source.items, source.attributes, folder], check=False)
    assert run.returncode == -9
    assert (folder / MANIFEST).read_text() == before
    Shop.open(folder, verify=True)


def test_one_shop_a_process(shop_folder):
    assert shared_shop(shop_folder) is shared_shop(str(shop_folder))


def test_search_results_are_ranked_and_cached(shop):
    found = shop.search("men's shirts")
    assert 0 < len(found) <= 50
    assert "Shirt" in shop.product(found[0]).title
    assert shop.hits("men's shirts") is shop.hits("men's shirts")
    assert shop.search("the of and") == ()


def test_two_shops_of_a_process_search_their_own_index(tmp_path, source, shop):
    found = shop.search("men's shirts")
    compile_shop(source, tmp_path / "shop")
    other = Shop.open(tmp_path / "shop")
    assert all(other.product(asin) for asin in other.search("men's shirts"))
    shop.ranked.cache_clear()
    assert shop.search("men's shirts") == found


def test_documents_are_indexed_in_the_order_of_their_ids(tmp_path):
    with pytest.raises(ValueError, match="'a' after 'b': ids must ascend"):
        build_index(tmp_path, [("b", "one"), ("a", "two")])


def test_every_goal_can_be_won_under_the_corrected_reward(tmp_path, source):
    manifest = compile_shop(source, tmp_path / "shop")
    counts = manifest["counts"]
    assert counts["winnable"]["original"] <= counts["winnable"]["corrected"] == counts["goals"]


def test_the_share_of_goals_that_can_be_won_is_the_originals(webshop):
    assert webshop.manifest["counts"]["winnable"] == {"original": 6452, "corrected": 6910}


def test_attributes_are_shown_where_asked_for(shop_folder):
    shop = Shop.open(shop_folder, show_attributes=True)
    session = shop.session(0)
    session.step(f"search[{shop.goal(0).query}]")
    session.step(f"click[{next(iter(session.page.blocks[3].products))}]")
    session.step("click[attributes]")
    product = session.product
    shown = [element.text for element in session.page.blocks[-1].elements]
    assert shown == [
        *(f" {one}" for one in product.attributes),
        product.category,
        product.query,
        product.product_category,
    ]


def test_a_description_of_ten_megabytes_is_a_description(tmp_path, source):
    items = json.loads(source.items.read_text())
    items[0]["full_description"] = "unheardof " * 1_000_000
    source.items.write_text(json.dumps(items))
    compile_shop(source, tmp_path / "shop")
    shop = Shop.open(tmp_path / "shop")
    session = shop.session(0)
    session.step("search[unheardof]")
    assert shop.search("unheardof") == (items[0]["asin"],)
    session.step(f"click[{items[0]['asin']}]")
    assert len(session.step("click[description]").page.text) > 9_999_000
