from __future__ import annotations

import gc
import hashlib
import json
import pickle
import random
import shutil
import subprocess
import sys
from array import array
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import pytest

from rl_recsys.storage.files import checksum
from rl_recsys.storage.folders import CONTENTS, FolderError
from rl_recsys.webshop import RawDataError, Shop, ShopError
from rl_recsys.webshop.benchmark import files_in_use
from rl_recsys.webshop.data.compile import Source, check_source, compile_shop
from rl_recsys.webshop.data.demo import write_demo_files
from rl_recsys.webshop.data.manifest import GOALS, MANIFEST, PRODUCTS, QUERIES
from rl_recsys.webshop.goals.goal import Goal
from rl_recsys.webshop.play.page import ElementKind
from rl_recsys.webshop.search.lucene import build_index
from rl_recsys.webshop.shop import shared_shop


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


def test_instructions_without_a_word_are_named_and_left_out(tmp_path, source):
    human = json.loads(source.human_instructions.read_text())
    asin = next(iter(human))
    whole = check_source(Source(source.items, source.attributes, source.human_instructions, "human"))
    human[asin] += [{"instruction": said, "instruction_attributes": ["soft"], "instruction_options": []}
                    for said in ("", " .")]  # fmt: skip
    (tmp_path / "human.json").write_text(json.dumps(human))
    found = check_source(Source(source.items, source.attributes, tmp_path / "human.json", "human"))
    assert found["counts"] == whole["counts"]
    assert found["findings"]["found"]["empty_instruction"] == {"count": 2, "examples": [asin]}


def test_a_damaged_folder_is_refused_with_the_remedy(tmp_path, source):
    folder = tmp_path / "shop"
    with pytest.raises(ShopError, match=r"no shop here.*prepare\.py"):
        Shop.open(folder)
    compile_shop(source, folder)
    manifest = json.loads((folder / MANIFEST).read_text())

    (folder / MANIFEST).write_text(json.dumps(manifest | {"format_version": 99}))
    with pytest.raises(ShopError, match=r"format version 99.*prepare\.py"):
        Shop.open(folder)
    others = (
        {"format_version": 3, "files": {PRODUCTS: 1}},
        *(manifest | {"identified_by": x} for x in (None, -1, [[]])),
    )
    for text in ("{", "[]", *map(json.dumps, others)):
        (folder / MANIFEST).write_text(text)
        with pytest.raises(ShopError, match=r"manifest\.json: damaged"):
            Shop.open(folder)
    entry = manifest["files"][PRODUCTS]
    (folder / MANIFEST).write_text(json.dumps(manifest | {"files": manifest["files"] | {"../beside": entry}}))
    with pytest.raises(ShopError, match=r"'\.\./beside' cannot be the name of a file"):
        Shop.open(folder)
    (folder / MANIFEST).write_text(json.dumps(manifest))

    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))
    data = (folder / GOALS).read_bytes()
    (folder / GOALS).write_bytes(data[:-10])
    with pytest.raises(ShopError, match=r"goals\.arrow: \d+ bytes, expected"):
        Shop.open(folder)
    (folder / GOALS).write_bytes(data[:-10] + bytes(10))
    with pytest.raises(ShopError, match=r"goals\.arrow: damaged"):
        Shop.open(folder)
    (folder / GOALS).unlink()
    with pytest.raises(ShopError, match=r"goals\.arrow: missing"):
        Shop.open(folder)


def content(shop: Shop) -> list:
    rows = [shop._products.row(number) for number in range(shop.product_count)]
    goals = [shop.goal(number) for number in range(shop.goal_count)]
    return [
        rows,
        goals,
        shop.search("men's shirts"),
        shop.search_candidates(goals[0].instruction_text),
        shop.fingerprint,
    ]


def test_flipped_bits_anywhere_in_a_shop_are_found(tmp_path, source):
    compile_shop(source, tmp_path / "plain")
    plain, folder = Shop.open(tmp_path / "plain"), tmp_path / "shop"
    plain.with_queries(folder, {plain.goal(0).instruction_text: ["shirts"]}, {"model": "test"})
    expected, rng, said = content(Shop.open(folder)), random.Random(0), set()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        path.unlink()  # the other shop has it too
        for place in {0, len(whole) - 1, *rng.choices(range(len(whole)), k=12)}:
            flipped = bytearray(whole)
            flipped[place] ^= 1 << rng.randrange(8)
            path.write_bytes(flipped)
            try:
                found = Shop.open(folder)
            except ShopError as error:
                assert "jobs/prepare.py" in str(error)
                said.add(path.name)
            else:
                assert path.name == CONTENTS and content(found) == expected  # the kind of the folder, or a space
        path.write_bytes(whole)
    assert said >= {CONTENTS, MANIFEST, PRODUCTS, GOALS, QUERIES} and any(name.endswith(".fdt") for name in said)
    assert content(Shop.open(folder)) == expected == content(Shop.open(folder, verify=True))


def test_a_shop_is_read_through_once(tmp_path, source, monkeypatch):
    compile_shop(source, tmp_path / "shop")
    read = []
    monkeypatch.setattr("rl_recsys.storage.folders.checksum", lambda path: read.append(path.name) or checksum(path))
    Shop.open(tmp_path / "shop")
    assert {MANIFEST, PRODUCTS, GOALS} <= set(read)
    read.clear()
    Shop.open(tmp_path / "shop")
    assert read == []
    Shop.open(tmp_path / "shop", verify=True)
    assert len(read) > 3
    # Equal bytes that were written anew are looked at anew.
    (tmp_path / "shop" / GOALS).write_bytes((tmp_path / "shop" / GOALS).read_bytes())
    read.clear()
    Shop.open(tmp_path / "shop")
    assert GOALS in read


def test_a_shop_of_an_earlier_version_keeps_its_fingerprint_and_is_checked(tmp_path, source):
    folder = tmp_path / "shop"
    compile_shop(source, folder)
    (folder / CONTENTS).unlink()
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["identified_by"]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    files = {name: entry["sha256"] for name, entry in sorted(manifest["files"].items())}
    shop = Shop.open(folder)
    before = hashlib.sha256(json.dumps([files, asdict(shop.rules)]).encode()).hexdigest()[:16]
    assert shop.fingerprint == before
    data = (folder / GOALS).read_bytes()
    (folder / GOALS).write_bytes(data[:-10] + bytes(10))
    with pytest.raises(ShopError, match=r"goals\.arrow: damaged \(its checksum differs"):
        Shop.open(folder)


def test_a_shop_is_identified_by_its_content(tmp_path, source):
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        compile_shop(source, tmp_path / name, seed=seed)
    one, again, other = (Shop.open(tmp_path / name) for name in ("one", "again", "other"))
    assert one.fingerprint == again.fingerprint != other.fingerprint
    assert one.manifest["files"] != again.manifest["files"]  # Lucene's
    queries = {one.goal(0).instruction_text: ["shirts"]}
    one.with_queries(tmp_path / "queries", queries, {})
    again.with_queries(tmp_path / "again-queries", queries, {"model": "elsewhere"})
    with_queries = Shop.open(tmp_path / "queries")
    assert one.fingerprint != with_queries.fingerprint == Shop.open(tmp_path / "again-queries").fingerprint
    assert Shop.open(tmp_path / "one", reward="corrected").fingerprint != one.fingerprint


def test_an_open_shop_whose_folder_is_replaced_says_so(tmp_path, source):
    folder = tmp_path / "shop"
    compile_shop(source, tmp_path / "first")
    Shop.open(tmp_path / "first").with_queries(folder, {"a shirt": ["b"]}, {})
    opened, searched, shared = Shop.open(folder), Shop.open(folder), shared_shop(folder)
    found = searched.search("men's shirts")
    items = json.loads(source.items.read_text())
    source.items.write_text(json.dumps(items[::2]))
    compile_shop(source, folder)
    for use in (
        lambda: opened.search("men's shirts"),
        lambda: opened.search_candidates("a shirt"),
        lambda: opened.with_queries(tmp_path / "out", {}, {}),
    ):
        with pytest.raises(ShopError, match="replaced|removed"):
            use()
    searched.ranked.cache_clear()
    assert searched.search("men's shirts") == found  # it has its files open
    again = shared_shop(folder)
    assert again is not shared and again.product_count == 10 and again is shared_shop(folder)
    assert all(again.product(asin) for asin in again.search("men's shirts"))


def test_a_split_is_made_once(shop_folder):
    shop = Shop.open(shop_folder, protocol="product-disjoint")
    assert shop.split("train") is shop.split("train")
    assert isinstance(shop.split("train"), array)


def test_a_goal_known_by_its_words_needs_no_language_model(shop, monkeypatch):
    monkeypatch.setattr("rl_recsys.webshop.data.nouns._tag", lambda titles: pytest.fail("it was loaded"))
    session = shop.session(Goal.from_words("a red shirt"))
    session.step("search[shirt]")
    session.step(f"click[{next(session.page.of_kind(ElementKind.PRODUCT)).text}]")
    assert session.step("click[buy now]").done
    shop.session(asdict(replace(shop.goal(0), name="a chair")))  # nor does a goal from elsewhere until it is bought for


def test_a_failed_or_killed_prepare_leaves_the_old_shop(tmp_path, source):
    folder = tmp_path / "shop"
    compile_shop(source, folder)
    before = (folder / MANIFEST).read_text()
    broken = tmp_path / "broken.json"
    broken.write_text(source.items.read_text()[:-200])
    with pytest.raises(RawDataError):
        compile_shop(Source(broken, source.attributes), folder)
    killed = (
        "import os, sys\nfrom pathlib import Path\nfrom rl_recsys.webshop.data import compile as c\n"
        "c.build_index = lambda *a: os.kill(os.getpid(), 9)\n"
        "c.compile_shop(c.Source(Path(sys.argv[1]), Path(sys.argv[2])), sys.argv[3], seed=9)"
    )
    run = subprocess.run([sys.executable, "-c", killed, source.items, source.attributes, folder], check=False)
    assert run.returncode == -9
    assert (folder / MANIFEST).read_text() == before
    Shop.open(folder, verify=True)


@pytest.mark.parametrize("own", ["notes/", "index/notes/", "index/notes.txt", "notes.txt"])
@pytest.mark.parametrize("listed", [True, False])
def test_a_shop_with_something_of_the_users_in_it_is_not_replaced(tmp_path, shop_folder, source, own, listed):
    folder = tmp_path / "shop"
    shutil.copytree(shop_folder, folder)
    if not listed:  # as versions before wrote it
        (folder / CONTENTS).unlink()
    if own.endswith("/"):
        (folder / own).mkdir()
    else:
        (folder / own).write_text("years")
    before = sorted(folder.rglob("*"))
    with pytest.raises(FolderError, match=f"{own}.*move them away, or name another folder"):
        compile_shop(source, folder, progress=lambda *done: pytest.fail("the work was begun"))
    with pytest.raises(FolderError, match=f"{own}.*move them away, or name another folder"):
        Shop.open(folder).with_queries(folder, {}, made_by={})
    assert sorted(folder.rglob("*")) == before


def test_one_shop_a_process(tmp_path, shop_folder):
    """However its folder and its rules are written, as long as somebody has it, and however many others are open."""
    (tmp_path / "link").symlink_to(shop_folder)
    shop = shared_shop(shop_folder)
    others = [shared_shop(shop_folder, {"quirks": names}) for names in (["goal_draw"], ["catalog_filters"])]
    others += [shared_shop(shop_folder, {"protocol": name}) for name in ("original", "product-disjoint")]
    assert len({*others, shop}) == 5
    assert shop is shared_shop(str(shop_folder)) is shared_shop(tmp_path / "link") is shared_shop(shop_folder, {})
    assert shop is shared_shop(shop_folder, asdict(shop.rules)) is pickle.loads(pickle.dumps(shop))
    assert others[0] is shared_shop(shop_folder, {"quirks": "goal_draw"})


def test_a_shop_that_nobody_has_any_more_is_let_go(tmp_path, shop_folder):
    folder = shutil.copytree(shop_folder, tmp_path / "shop")
    assert shared_shop(folder).search("shirt") and files_in_use(folder)
    gc.collect()
    assert not files_in_use(folder)


def test_threads_that_open_a_shop_at_once_have_one(tmp_path, shop_folder):
    folder = shutil.copytree(shop_folder, tmp_path / "shop")
    with ThreadPoolExecutor(8) as threads:
        opened = list(threads.map(lambda _: shared_shop(folder), range(32)))
    assert len(set(opened)) == 1


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
