"""One's own data through jobs/prepare.py: what is made, what is not, and what is said of it."""

from __future__ import annotations

import json
import re

import pytest

from rl_recsys.errors import UserError
from rl_recsys.webshop import Shop
from rl_recsys.webshop.data.demo import write_demo_files
from rl_recsys.webshop.goals.goal import NO_PRICE_LIMIT
from tests.jobs.test_jobs import ROOT, main_of

EXAMPLE = ROOT / "docs" / "example"
FILES = ["--items", EXAMPLE / "items.json", "--attributes", EXAMPLE / "attributes.json"]
HUMAN = ["--human-instructions", EXAMPLE / "human_instructions.json", "--goals", "human"]


@pytest.fixture
def prepare(capsys):
    return main_of("prepare", capsys)


def own_files(folder, **changes) -> list:
    """Flags for the example's files, with the first product's fields changed."""
    items = json.loads((EXAMPLE / "items.json").read_text())
    (folder / "items.json").write_text(json.dumps([items[0] | changes, *items[1:]]))
    return ["--items", folder / "items.json", "--attributes", EXAMPLE / "attributes.json"]


def test_the_example_becomes_a_shop(tmp_path, prepare):
    said = prepare(*FILES, "--out", tmp_path / "shop")
    shop = Shop.open(tmp_path / "shop")
    assert f"{tmp_path / 'shop'}: 3 products, 6 synthetic goals" in said
    assert {shop.goal(index).asin for index in range(6)} == {"MUG0000001", "LAMP000002"}
    assert shop.product("LAMP000002").price_text == "$24.0 to $39.0"
    assert "6 goals (100.0%) can be won by buying their own product, under the original reward" in said


def test_what_is_added_to_a_persons_words_is_said_and_can_be_left_out(tmp_path, prepare):
    said = prepare(*FILES, *HUMAN, "--out", tmp_path / "added")
    assert re.search(r"instructions that got a price limit at their end.*: 3 \('.*not over 60 dollars, and price", said)
    assert "--price-clauses as-written leaves the words as they are" in said
    said = prepare(*FILES, *HUMAN, "--price-clauses", "as-written", "--out", tmp_path / "written")
    assert "price limit" not in said
    people = json.loads((EXAMPLE / "human_instructions.json").read_text())
    words = {entry["instruction"].strip(".") for entries in people.values() for entry in entries}
    added, written = (Shop.open(tmp_path / name) for name in ("added", "written"))
    assert {written.goal(index).instruction_text for index in range(3)} == words
    assert all(", and price lower than " in added.goal(index).instruction_text for index in range(3))
    limits = {goal.asin: goal.price_upper for goal in map(written.goal, range(3))}
    assert limits == {"MUG0000001": 60.0, "LAMP000002": NO_PRICE_LIMIT, "SOCK000003": NO_PRICE_LIMIT}
    assert added.fingerprint != written.fingerprint


def test_a_shop_without_training_goals_says_what_helps(tmp_path, prepare):
    items, attributes, _ = write_demo_files(tmp_path, products=60, seed=0)
    flags = ["--check", "--items", items, "--attributes", attributes]
    said = prepare(*flags)
    assert "goals of protocol 1k: test" in said
    assert "fewer goals are for training than for the test" in said or "no goal is for train" in said
    assert "give --protocol product-disjoint" in said
    said = prepare(*flags, "--protocol", "product-disjoint")
    assert "warning" not in said and "none" not in said


def test_check_tells_everything_and_writes_nothing(tmp_path, prepare):
    flags = own_files(tmp_path, asin="4001234500000", price="5 €", rating=1)
    before = sorted(tmp_path.rglob("*"))
    said = prepare("--check", *flags)
    assert sorted(tmp_path.rglob("*")) == before
    assert "would be made: 2 products of 3 records" in said
    assert "records with an asin of more than 10 characters, which WebShop leaves out: 1 ('4001234500000'" in said
    assert "products of the attributes file that are not in the items file: 1 (MUG0000001)" in said
    assert "did you mean 'pricing'?" in said and "fields that are not read: rating (1)" in said
    with pytest.raises(UserError, match="--out names the folder to write; --check writes none"):
        prepare(*flags)


def test_a_normal_prepare_tells_what_is_left_out_and_keeps_it(tmp_path, prepare):
    flags = own_files(tmp_path, asin="4001234500000", options=[], rating=1)
    said = prepare(*flags, "--out", tmp_path / "shop")
    assert "which WebShop leaves out: 1 (" in said and "did you mean 'customization_options'?" in said
    assert "rating" not in said
    findings = Shop.open(tmp_path / "shop").manifest["findings"]
    assert findings["records"] == 3 and findings["found"]["long_asin"]["count"] == 1
    assert findings["ignored_fields"] == {"options": 1, "rating": 1}


def test_bad_records_are_told_by_check_and_refused_otherwise(tmp_path, capsys, prepare):
    flags = own_files(tmp_path, name=None, pricing="12,99 €")
    with pytest.raises(UserError, match="1 records are bad: mend them"):
        prepare("--check", *flags)
    assert re.search(
        "bad records, which are left out: 1 .record 0: field 'pricing'.*field 'name' is missing",
        capsys.readouterr().out,
    )
    with pytest.raises(UserError, match="record 0: .*--skip-bad leaves bad records out"):
        prepare(*flags, "--out", tmp_path / "shop")
    said = prepare(*flags, "--skip-bad", "--out", tmp_path / "shop")
    assert "2 products of 3 records" in said and "bad records, which are left out: 1" in said


def test_no_usable_product_says_why(tmp_path, prepare):
    items = json.loads((EXAMPLE / "items.json").read_text())
    (tmp_path / "items.json").write_text(json.dumps([item | {"asin": f"{n:013}"} for n, item in enumerate(items)]))
    flags = ["--items", tmp_path / "items.json", "--attributes", EXAMPLE / "attributes.json"]
    with pytest.raises(UserError, match="no usable product: records with an asin of more than 10 characters.*: 3 "):
        prepare(*flags, "--out", tmp_path / "shop")


def test_an_option_without_values_makes_no_goal_and_is_told(tmp_path, prepare):
    flags = own_files(tmp_path, customization_options={"size": []})
    said = prepare("--check", *flags)
    assert "products with an option without values, of which no synthetic goal is made: 1 (MUG0000001 'size')" in said


def test_the_market_is_one_flag_and_decides_its_goals(prepare):
    said = prepare("--market", "--market-products", "100", "--check")
    assert "would be made: 100 products, 80 human goals" in said
    assert "80 goals (100.0%) can be won by buying their own product, under the original reward" in said
    assert "goals of protocol product-disjoint-all: test 15, dev 5, train 60" in said
    for flags, why in (
        (["--market-products", "99"], "a market of 99 products: it has at least 100"),
        (["--goals", "human"], "--market makes its own goals: leave --items, --goals"),
        (["--protocol", "original"], "the market's is product-disjoint-all; leave --protocol out"),
    ):
        with pytest.raises(UserError, match=why):
            prepare("--market", "--check", *flags)


def test_a_limit_that_words_mean_can_be_given(tmp_path, prepare):
    people = json.loads((EXAMPLE / "human_instructions.json").read_text())
    for entries in people.values():
        entries[0] |= {"instruction": "one for less than forty dollars", "price_upper": 40}
    (tmp_path / "people.json").write_text(json.dumps(people))
    flags = [*FILES, "--human-instructions", tmp_path / "people.json", "--goals", "human"]
    prepare(*flags, "--price-clauses", "as-written", "--out", tmp_path / "shop")
    shop = Shop.open(tmp_path / "shop")
    assert {shop.goal(index).price_upper for index in range(shop.goal_count)} == {40.0}
    entries[0]["price_upper"] = "forty"
    (tmp_path / "people.json").write_text(json.dumps(people))
    with pytest.raises(UserError, match="field 'price_upper' is 'forty', expected a price in dollars, or null"):
        prepare(*flags, "--out", tmp_path / "other")
