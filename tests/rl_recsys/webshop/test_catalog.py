from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_recsys.webshop.data.catalog import (
    PRODUCT_FIELDS,
    Product,
    RawDataError,
    draw_price,
    parse_pricing,
    read_attributes,
    read_human_instructions,
    read_products,
)
from rl_recsys.webshop.data.raw_json import read_list
from rl_recsys.webshop.data.record_findings import Findings, described

EXAMPLE = Path(__file__).parents[3] / "docs" / "example"


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
        ("$.99", "$0.99", [0.99]),
        (12.5, "$12.5", [12.5]),
        (7, "$7.0", [7.0]),
        (0, "$100.0", [100.0]),
        (None, "$100.0", [100.0]),
        ("", "$100.0", [100.0]),
    ],
)
def test_a_price_reads_as_in_webshop(raw, shown, numbers):
    assert parse_pricing(raw) == (shown, numbers)


@pytest.mark.parametrize(
    "raw",
    [
        "free", "$", "$call us", "$1.2.3", "12,99 €", "1.299,00 €", "12.5", "$12,99", "$1.299,00", "$5 / 100g",
        "$10 - 20", "$-5", "$1,29", float("nan"), float("inf"), -3, 10**400, True, ["$5"], {"a": 1},
    ],
)  # fmt: skip
def test_a_price_that_could_be_read_wrongly_is_refused_with_the_remedy(raw):
    with pytest.raises(ValueError, match=r'cannot read a price in .*write it in dollars, as "\$12.50"'):
        parse_pricing(raw)


def test_a_record_is_cleaned_as_in_webshop(tmp_path):
    (product,) = read(tmp_path, [record()])
    assert product.query == "men's shirts"
    assert product.options == {"color": ("red | blue",)}
    assert product.attributes == ("DUMMY_ATTR",)
    assert product.index_text == "a shirt soft. one color: red | blue"


def test_records_that_webshop_leaves_out_are_counted_with_examples(tmp_path):
    eans = [record(asin=f"40012345000{number:02}") for number in range(30)]
    records = [record(asin="nan"), *eans, record(), record(name="Again")]
    findings = Findings()
    assert [product.title for product in read(tmp_path, records, findings=findings)] == ["A Shirt"]
    assert findings.records == 33
    assert findings.counts == {"nan_asin": 1, "long_asin": 30, "repeated_asin": 1, "no_attributes": 1}
    told = list(described(findings.to_mapping()))
    assert any(
        line.startswith("records with an asin of more than 10 characters")
        and ": 30 ('4001234500000' (record 1)" in line
        for line in told
    )


def test_options_whose_names_are_one_to_webshop_are_named(tmp_path):
    red, blue = [{"value": "red"}], [{"value": "blue"}]
    findings = Findings()
    records = [
        record(customization_options={"Color": red, "color": blue}),
        record(asin="B000000002", customization_options={"Color": red, "color": None}),
    ]
    products = read(tmp_path, records, findings=findings)
    assert [product.options for product in products] == [{"color": ("blue",)}, {"color": ("red",)}]  # as in WebShop
    assert findings.counts["repeated_option"] == 1 and findings.examples["repeated_option"] == ["B000000001 'color'"]
    assert any("names are equal in lower case" in line for line in described(findings.to_mapping()))


@pytest.mark.parametrize("read_file", [read_attributes, read_human_instructions])
def test_an_asin_that_a_file_has_twice_is_named(tmp_path, read_file):
    one = '{"instruction": "x", "instruction": "y", "instruction_attributes": [], "instruction_options": []}'
    entry = one if read_file is read_attributes else f"[{one}]"
    findings = Findings()
    (tmp_path / "a.json").write_text(f'{{"A": {entry}, "B": {entry}, "A": {entry}}}')
    assert list(read_file(tmp_path / "a.json", findings)) == ["A", "B"]
    assert findings.examples == {"repeated_key": ["'A' in a.json"]}


def test_the_limit_counts_records_of_the_file(tmp_path):
    assert read(tmp_path, [record(asin="nan"), record()], limit=1) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": None}, r"record 1: field 'name' is missing"),
        ({"name": 7}, r"record 1: field 'name' is int, expected text"),
        ({"name": float("nan")}, r"record 1: field 'name' is NaN, expected text"),
        ({"asin": ""}, r"record 1: field 'asin' is empty"),
        (
            {"full_description": None, "description": "Soft."},
            r"'full_description' is missing \(there is 'description'\)",
        ),
        ({"images": 5}, r"record 1: field 'images' is int"),
        ({"pricing": "ask"}, r"record 1: field 'pricing'.*'ask'"),
        ({"customization_options": ["red"]}, r"record 1: field 'customization_options' is list"),
        ({"customization_options": {"Color": ["red"]}}, r"record 1: option 'Color'"),
        ({"name": None, "query": 3}, r"record 1: field 'name' is missing; field 'query' is int"),
    ],
)
def test_a_bad_record_is_named(tmp_path, changes, message):
    with pytest.raises(RawDataError, match=message):
        read(tmp_path, [record(), record(**{"asin": "B000000002"} | changes)])


def test_bad_records_are_told_together(tmp_path):
    records = [record(asin=f"B{number:09}", name=None if number % 2 else "A") for number in range(20)]
    with pytest.raises(RawDataError) as raised:
        read(tmp_path, records)
    for number in (1, 3, 5, 7, 9):
        assert f"record {number}: field 'name' is missing" in str(raised.value)
    assert "(and 5 more); --skip-bad leaves bad records out" in str(raised.value)


def test_bad_records_may_be_skipped_and_are_listed(tmp_path):
    findings = Findings()
    records = [record(), record(asin="B000000002", name=7), record(asin="B000000003")]
    found = read(tmp_path, records, findings=findings, skip_bad=True)
    assert [product.asin for product in found] == ["B000000001", "B000000003"]
    assert findings.examples["bad"] == ["record 1: field 'name' is int, expected text"]


def test_fields_that_are_not_read_are_counted_and_the_right_one_is_named(tmp_path):
    findings = Findings()
    read(
        tmp_path, [record(price="5 €", options=[], brand="x"), record(asin="B000000002", brand="x")], findings=findings
    )
    told = list(described(findings.to_mapping(), every_field=True))
    assert "records with a field 'price', which is not read: 1; did you mean 'pricing'?" in told
    assert "records with a field 'options', which is not read: 1; did you mean 'customization_options'?" in told
    assert told[-1] == "fields that are not read: brand (2)"


def test_fields_that_are_not_read_may_hold_what_the_originals_json_has(tmp_path):
    odd = {"rating": float("nan"), "rank": float("-inf"), "ean": 10**30, "deep": [[[1e400]]], "half": "\ud83d"}
    assert len(read(tmp_path, [record(**odd)])) == 1


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_infinity=False, allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60)
@given(st.lists(values, max_size=6), st.sampled_from([None, 0, 1, 3]), st.integers(1, 40), st.booleans())
def test_a_list_is_read_piece_by_piece_as_a_whole(tmp_path_factory, items, indent, chunk, ascii_only):
    path = tmp_path_factory.mktemp("list") / "items.json"
    text = json.dumps(items, indent=indent, ensure_ascii=ascii_only)
    try:
        path.write_text(text, encoding="utf-8")
    except UnicodeEncodeError:  # half of a character
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rl_recsys.webshop.data.raw_json.CHUNK", chunk)
        assert list(read_list(path)) == json.loads(text)
        for end in range(0, len(text), 1 + len(text) // 9):  # cut anywhere it is refused
            path.write_text(text[:end], encoding="utf-8")
            with pytest.raises(RawDataError):
                list(read_list(path))
        path.write_text(f"{text} 1", encoding="utf-8")
        with pytest.raises(RawDataError, match="something follows the list"):
            list(read_list(path))


def test_a_broken_record_is_named_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("rl_recsys.webshop.data.raw_json.CHUNK", 10)
    path = tmp_path / "items.json"
    path.write_text(json.dumps([1, 2])[:-1] + ", {'a': 1}" + ", 3" * 10_000)
    with pytest.raises(RawDataError, match=r"record 2: Expecting property name"):
        list(read_list(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps({"products": [record()]}), "an object with the key 'products' first.*jq '.products' "),
        (json.dumps({"B000000001": record()}), r"an object with the key 'B000000001' first.*jq '\[.\[\]\]' "),
        (json.dumps(record()) + "\n" + json.dumps(record()), "an object with the key 'asin' first.*jq -s "),
        ('"x"', "expected a list of products, found '\"x\"'"),
        ("", "it is empty"),
        ("{}", "found an object"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_another_shape_is_named_with_the_way_to_a_list(tmp_path, text, message):
    path = tmp_path / "items.json"
    path.write_text(text)
    with pytest.raises(RawDataError, match=message) as raised:
        list(read_products(path, {}, seed=0))
    assert "\n" not in str(raised.value)


def test_what_is_no_readable_file_is_named(tmp_path):
    (tmp_path / "latin1.json").write_bytes('{"B": {"instruction": "café"}}'.encode("latin1"))
    for read_file in (read_attributes, read_human_instructions, lambda path: list(read_products(path, {}, seed=0))):
        with pytest.raises(RawDataError, match=r"latin1.json: not UTF-8 \(byte 0xe9 .*iconv -f latin1"):
            read_file(tmp_path / "latin1.json")
        with pytest.raises(RawDataError, match="cannot be read .Is a directory"):
            read_file(tmp_path)
        with pytest.raises(RawDataError, match="no such file"):
            read_file(tmp_path / "absent.json")
    (tmp_path / "mark.json").write_text("\ufeff[]")
    assert list(read_products(tmp_path / "mark.json", {}, seed=0)) == []


def schema(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((EXAMPLE / f"{name}.schema.json").read_text()))


@pytest.mark.parametrize("name", ["items", "attributes", "human_instructions"])
def test_the_example_is_as_the_schema_says(name):
    validator = schema(name)
    validator.check_schema(validator.schema)
    validator.validate(json.loads((EXAMPLE / f"{name}.json").read_text()))


odd_values = values | st.sampled_from(
    ["$5", "$5.00$6.50", "$1,299.00", "$12,99", "5", "$", {"a": [{"value": "x"}]}, {"a": None}, {"a": [{"value": 1}]}]
)


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from(PRODUCT_FIELDS), odd_values, max_size=3),
    st.sets(st.sampled_from(PRODUCT_FIELDS), max_size=1),
)
def test_the_schema_of_products_accepts_what_the_reader_accepts(tmp_path_factory, changes, removed):
    changed = {key: value for key, value in (record() | changes).items() if key not in removed}
    if "\ud800" <= max(json.dumps(changed, ensure_ascii=False)) <= "\udfff":
        return  # no schema can say it
    findings, path = Findings(), tmp_path_factory.mktemp("items") / "items.json"
    path.write_text(json.dumps([changed]))
    list(read_products(path, {}, seed=0, findings=findings, skip_bad=True))
    left_out = findings.counts["long_asin"] or findings.counts["nan_asin"]  # whatever the rest is
    assert left_out or schema("items").is_valid([changed]) == (not findings.counts["bad"])


@settings(max_examples=200)
@given(
    st.sampled_from(["attributes", "human_instructions"]),
    st.dictionaries(
        st.sampled_from(["attributes", "instruction", "instruction_attributes", "instruction_options"]),
        values | st.just(["soft"]) | st.just("a shirt"),
        max_size=4,
    ),
    values,
)
def test_the_schemas_of_instructions_accept_what_the_readers_accept(tmp_path_factory, name, entry, other):
    read_file = read_attributes if name == "attributes" else read_human_instructions
    path = tmp_path_factory.mktemp("entries") / "entries.json"
    for value in (entry, [entry], other, [other]):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            continue
        path.write_text(json.dumps({"B": value}))
        try:
            read_file(path)
            accepted = True
        except RawDataError:
            accepted = False
        assert schema(name).is_valid({"B": value}) == accepted


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
