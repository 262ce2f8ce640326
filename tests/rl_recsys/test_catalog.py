from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_recsys.shop.catalog import (
    Product,
    RawDataError,
    draw_price,
    parse_pricing,
    read_attributes,
    read_human_instructions,
    read_products,
)


def record(**changes) -> dict:
    return {
        "asin": "B000000001",
        "name": "A Shirt",
        "category": "fashion",
        "query": " Men's Shirts ",
        "product_category": "Clothing › Men › Shirts",
        "full_description": "Soft.",
        "small_description": ["One", "Two"],
        "pricing": "$10.50",
        "images": ["https://example.org/a.jpg"],
        "customization_options": {"Color": [{"value": " Red/Blue "}], "Fit": None},
    } | changes


def read(tmp_path, records, attributes=None, **options) -> list[Product]:
    path = tmp_path / "items.json"
    path.write_text(json.dumps(records))
    return list(read_products(path, attributes or {}, seed=0, **options))


@pytest.mark.parametrize(
    ("raw", "shown", "numbers"),
    [
        ("$10.50", "$10.5", [10.5]),
        ("$12.00$15.99", "$12.0 to $15.99", [12.0, 15.99]),
        ("$1,299.00", "$1299.0", [1299.0]),
        ("from $5", "$5.0", [5.0]),
        ("$1.00 - $2.00 - $3.00", "$1.0 to $2.0", [1.0, 2.0]),
        (None, "$100.0", [100.0]),
        ("", "$100.0", [100.0]),
    ],
)
def test_a_price_reads_as_in_webshop(raw, shown, numbers):
    assert parse_pricing(raw) == (shown, numbers)


@pytest.mark.parametrize("raw", ["free", "$", "$call us", "$1.2.3"])
def test_a_price_without_a_number_is_refused(raw):
    with pytest.raises(RawDataError, match="cannot read a price"):
        parse_pricing(raw)


def test_a_record_is_cleaned_as_in_webshop(tmp_path):
    (product,) = read(tmp_path, [record()])
    assert product.query == "men's shirts"
    assert product.options == {"color": ("red | blue",)}
    assert product.attributes == ("DUMMY_ATTR",)
    assert product.index_text == "a shirt soft. one color: red | blue"


def test_records_that_webshop_leaves_out(tmp_path):
    records = [record(asin="nan"), record(asin="B0000000011"), record(), record(name="Again")]
    assert [product.title for product in read(tmp_path, records)] == ["A Shirt"]


def test_the_limit_counts_records_of_the_file(tmp_path):
    assert read(tmp_path, [record(asin="nan"), record()], limit=1) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": None}, r"record 1: field 'name' is missing"),
        ({"name": 7}, r"record 1: field 'name' is int, expected text"),
        ({"images": 5}, r"record 1: field 'images' is int"),
        ({"pricing": "ask"}, r"record 1: field 'pricing'.*'ask'"),
        ({"customization_options": ["red"]}, r"record 1: field 'customization_options' is list"),
        ({"customization_options": {"Color": ["red"]}}, r"record 1: option 'Color'"),
    ],
)
def test_a_bad_record_is_named(tmp_path, changes, message):
    with pytest.raises(RawDataError, match=message):
        read(tmp_path, [record(), record(asin="B000000002", **changes)])


def test_bad_records_may_be_skipped_and_are_listed(tmp_path):
    skipped = []
    records = [record(), record(asin="B000000002", name=7), record(asin="B000000003")]
    found = read(tmp_path, records, skip=skipped.append)
    assert [product.asin for product in found] == ["B000000001", "B000000003"]
    assert "record 1: field 'name' is int" in str(skipped[0])


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"B": []}, "product 'B': expected an object, found list"),
        ({"B": {"attributes": "soft"}}, "field 'attributes' is str, expected a list of texts"),
        ({"B": {"attributes": [1]}}, "field 'attributes' is int, expected text"),
        ({"B": {"instruction": 3}}, "field 'instruction' is int"),
        ({"B": {"instruction": "half \ud83d"}}, "field 'instruction' has half of a character at position 5"),
    ],
)
def test_bad_attributes_are_named(tmp_path, entries, message):
    (tmp_path / "a.json").write_text(json.dumps(entries))
    with pytest.raises(RawDataError, match=message):
        read_attributes(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"B": {}}, "product 'B': instruction 0: expected a list of objects"),
        ({"B": [{}]}, "instruction 0: field 'instruction' is missing"),
        ({"B": [{"instruction": "x", "instruction_attributes": []}]}, "field 'instruction_options' is NoneType"),
    ],
)
def test_bad_human_instructions_are_named(tmp_path, entries, message):
    (tmp_path / "h.json").write_text(json.dumps(entries))
    with pytest.raises(RawDataError, match=message):
        read_human_instructions(tmp_path / "h.json")


def test_broken_files_are_named(tmp_path):
    path = tmp_path / "broken.json"
    path.write_text('[{"asin": "B0')
    with pytest.raises(RawDataError, match=r"broken\.json: not valid JSON"):
        list(read_products(path, {}, seed=0))
    with pytest.raises(RawDataError, match=r"broken\.json: not valid JSON"):
        read_attributes(path)
    with pytest.raises(RawDataError, match="no such file"):
        read_attributes(tmp_path / "absent.json")
    path.write_text("[]")
    with pytest.raises(RawDataError, match="expected an object"):
        read_attributes(path)


@given(st.floats(1, 500), st.floats(0, 100), st.integers(), st.text(max_size=10))
def test_a_drawn_price_lies_in_its_range_and_depends_on_seed_and_asin_alone(low, more, seed, asin):
    price = draw_price([low, low + more], seed, asin)
    assert low <= price <= low + more
    assert price == draw_price([low, low + more], seed, asin)


texts = st.text(max_size=20)


@given(
    st.builds(
        Product,
        asin=texts, title=texts, category=texts, query=texts, product_category=texts, description=texts,
        bullets=st.lists(texts, max_size=3).map(tuple), price_text=texts, price=st.floats(0, 1e6),
        options=st.dictionaries(texts, st.lists(texts, max_size=3).map(tuple), max_size=3),
        attributes=st.lists(texts, max_size=3).map(tuple), image=texts, nouns=st.lists(texts, max_size=3).map(tuple),
    )
)  # fmt: skip
def test_a_product_survives_its_row(product):
    assert Product.from_row(product.to_row()) == product
