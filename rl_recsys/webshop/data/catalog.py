"""Products: read from WebShop's raw files, cleaned by its rules, kept as an Arrow table."""

from __future__ import annotations

import itertools
import math
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from rl_recsys.webshop.data.raw_json import RawDataError, read_list, read_mapping
from rl_recsys.webshop.data.record_findings import MEANT, Findings

DEFAULT_PRICE = 100.0  # WebShop: the price of a product that names none
MAX_ASIN_LENGTH = 10  # WebShop: records with a longer asin are left out
CATEGORY_SEPARATOR = "›"
ERRORS_SHOWN = 5  # of a file

#: The fields of a record of an items file that are read.
PRODUCT_FIELDS = (
    "asin", "name", "category", "query", "product_category", "full_description", "small_description", "pricing",
    "images", "customization_options",
)  # fmt: skip
# What follows a "$": one number, its thousands apart by commas. Of more the original would make one.
_PRICE = re.compile(r"[^\d.,-]*((?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)[^\d.]*")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

PRODUCT_SCHEMA = pa.schema(
    [
        ("asin", pa.string()),
        ("title", pa.string()),
        ("category", pa.string()),
        ("query", pa.string()),
        ("product_category", pa.string()),
        ("description", pa.string()),
        ("bullets", pa.list_(pa.string())),
        ("price_text", pa.string()),
        ("price", pa.float64()),
        ("options", pa.list_(pa.struct([("name", pa.string()), ("values", pa.list_(pa.string()))]))),
        ("attributes", pa.list_(pa.string())),
        ("image", pa.string()),
        ("nouns", pa.list_(pa.string())),
        ("position", pa.int32()),
    ]
)


@dataclass(frozen=True, slots=True)
class Product:
    """One product as the shop shows it and as the reward sees it.

    ``price`` is in dollars; where the raw file gives a range, it is one draw from it (seeded by asin).
    ``options`` maps an option's name to its values in the order of the page.
    ``nouns`` are the lower-cased nouns of the title, with repeats, from spaCy at compile time. ``position`` is the
    product's place among those of the items file that WebShop does not leave out.
    """

    asin: str
    title: str
    category: str
    query: str
    product_category: str
    description: str
    bullets: tuple[str, ...]
    price_text: str
    price: float
    options: dict[str, tuple[str, ...]]
    attributes: tuple[str, ...]
    image: str
    nouns: tuple[str, ...] = ()
    position: int = 0

    @classmethod
    def from_row(cls, row: dict) -> Product:
        """The product of one row of a table with ``PRODUCT_SCHEMA``."""
        row = dict(row, options={group["name"]: tuple(group["values"]) for group in row["options"]})
        for field in ("bullets", "attributes", "nouns"):
            row[field] = tuple(row[field])
        return cls(**row)

    def to_row(self) -> dict:
        """The inverse of ``from_row``."""
        row = {field: getattr(self, field) for field in self.__slots__}
        row["options"] = [{"name": name, "values": list(values)} for name, values in self.options.items()]
        for field in ("bullets", "attributes", "nouns"):
            row[field] = list(row[field])
        return row

    @property
    def index_text(self) -> str:
        """What Lucene indexes: title, description, first bullet and options, lower-cased (WebShop's rule)."""
        options = ", and ".join(f"{name}: {', '.join(values)}" for name, values in self.options.items())
        first_bullet = self.bullets[0] if self.bullets else ""
        return f"{self.title} {self.description} {first_bullet} {options}".lower()


def read_attributes(path: Path, findings: Findings | None = None) -> dict[str, dict]:
    """The object asin -> {attributes, instruction?, instruction_attributes?} of an items_ins_v2 file.

    ``findings`` is told the asins that are there more than once.
    """
    entries = _entries(path, findings)
    errors = _Errors(path)
    for asin, entry in entries.items():
        if not isinstance(entry, dict):
            errors.add(f"product {asin!r}: expected an object, found {type(entry).__name__}")
            continue
        fields = _Fields(entry)
        fields.texts("attributes", entry.get("attributes", []))
        fields.texts("instruction_attributes", entry.get("instruction_attributes") or [])
        fields.text("instruction", entry.get("instruction") or "")
        errors.add_all(f"product {asin!r}", fields)
    errors.raise_any()
    return entries


def read_human_instructions(path: Path, findings: Findings | None = None) -> dict[str, list[dict]]:
    """The object asin -> list of instructions of an items_human_ins file. ``findings``: see ``read_attributes``."""
    entries = _entries(path, findings)
    errors = _Errors(path)
    for asin, instructions in entries.items():
        for number, entry in enumerate(instructions if isinstance(instructions, list) else [instructions]):
            where = f"product {asin!r}: instruction {number}"
            if not isinstance(instructions, list) or not isinstance(entry, dict):
                errors.add(f"{where}: expected a list of objects, found {type(entry).__name__}")
                continue
            fields = _Fields(entry)
            fields.text("instruction", entry.get("instruction"))
            for field in ("instruction_attributes", "instruction_options"):
                fields.texts(field, entry.get(field))
            fields.price("price_upper", entry.get("price_upper"))
            errors.add_all(where, fields)
    errors.raise_any()
    return entries


def _entries(path: Path, findings: Findings | None) -> dict:
    if findings is None:
        return read_mapping(path)
    return read_mapping(path, repeated=lambda asin: findings.add("repeated_key", f"{asin!r} in {path.name}"))


class _Errors:
    """What is wrong with a file, told all at once."""

    def __init__(self, path: Path):
        self._path, self._first, self._count = path, [], 0

    def add(self, error: str) -> None:
        self._count += 1
        if self._count <= ERRORS_SHOWN:
            self._first.append(error)

    def add_all(self, where: str, fields: _Fields) -> None:
        if fields.errors:
            self.add(f"{where}: {'; '.join(fields.errors)}")

    def raise_any(self, remedy: str = "") -> None:
        if self._count:
            more = f" (and {self._count - ERRORS_SHOWN} more)" if self._count > ERRORS_SHOWN else ""
            raise RawDataError(f"{self._path}: {' | '.join(self._first)}{more}{remedy}")


class _Fields:
    """Reads the fields of one record and keeps what is wrong with each."""

    def __init__(self, record: dict):
        self.record, self.errors = record, []

    def text(self, field: str, value: object) -> str:
        if value is None:
            others = [other for other, meant in MEANT.items() if meant == field and other in self.record]
            self.errors.append(f"field {field!r} is missing" + "".join(f" (there is {one!r})" for one in others))
        elif not isinstance(value, str):
            shown = "NaN, expected text" if value != value else f"{type(value).__name__}, expected text"
            self.errors.append(f"field {field!r} is {shown}")
        else:
            try:
                value.encode()
                return value
            except UnicodeEncodeError as error:  # half of a pair such as "\ud83d": no text in any encoding
                self.errors.append(f"field {field!r} has half of a character at position {error.start}")
        return ""

    def texts(self, field: str, values: object) -> tuple[str, ...]:
        if not isinstance(values, list):
            self.errors.append(f"field {field!r} is {type(values).__name__}, expected a list of texts")
            return ()
        return tuple(self.text(field, value) for value in values)

    def price(self, field: str, value: object) -> None:
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= sys.float_info.max
        ):
            self.errors.append(f"field {field!r} is {value!r}, expected a price in dollars, or null")

    def pricing(self) -> tuple[str, list[float]]:
        try:
            return parse_pricing(self.record.get("pricing"))
        except ValueError as error:
            self.errors.append(f"field 'pricing': {error}")
            return "", [DEFAULT_PRICE]

    def options(self) -> dict[str, tuple[str, ...]]:
        raw = self.record.get("customization_options")
        if not raw:
            return {}
        if not isinstance(raw, dict):
            self.errors.append(f"field 'customization_options' is {type(raw).__name__}, expected an object")
            return {}
        options = {}
        for name, contents in raw.items():
            if contents is None:
                continue
            try:
                values = [content["value"].strip().replace("/", " | ").lower() for content in contents]
            except (TypeError, KeyError, AttributeError):
                self.errors.append(f"option {name!r} is not a list of objects with a text 'value'")
                continue
            options[self.text("customization_options", name).lower()] = self.texts("customization_options", values)
        return options


def read_products(
    path: Path,
    attributes: dict[str, dict],
    *,
    seed: int,
    limit: int | None = None,
    findings: Findings | None = None,
    skip_bad: bool = False,
) -> Iterator[Product]:
    """Products of a WebShop items file, in its order, without ``nouns`` and ``position``.

    The file is streamed. Records with asin "nan", an over-long asin or one already seen are left out (WebShop's rule).
    ``limit`` counts records of the file, as WebShop's num_products does. ``findings`` is told what is left out, and
    what is not as it seems. Bad records end it with a ``RawDataError`` that names the first of them when all were read,
    or with ``skip_bad`` are left out. A file that is no JSON list always raises.
    """
    findings = findings or Findings()
    seen: set[str] = set()
    errors = _Errors(path)
    wrong = 0
    for number, record in enumerate(read_list(path)):
        if limit is not None and number >= limit:
            break
        findings.records += 1
        try:
            product = _clean(record, attributes, seed)
        except ValueError as error:
            wrong += 1
            findings.add("bad", f"record {number}: {error}")
            errors.add(f"record {number}: {error}")
            continue
        findings.ignored_fields.update(field for field in record if field not in PRODUCT_FIELDS)
        asin = product.asin
        if asin == "nan":
            findings.add("nan_asin", f"record {number}")
        elif len(asin) > MAX_ASIN_LENGTH:
            findings.add("long_asin", f"{asin!r} (record {number})")
        elif asin in seen:
            findings.add("repeated_asin", f"{asin!r} (record {number})")
        elif not wrong or skip_bad:
            seen.add(asin)
            _note(product, record, asin in attributes, findings)
            yield product
    if not skip_bad:
        errors.raise_any("; --skip-bad leaves bad records out")


def _note(product: Product, record: dict, has_attributes: bool, findings: Findings) -> None:
    """Tell ``findings`` what of a product is not as it seems."""
    asin = product.asin
    if not record.get("pricing"):
        findings.add("no_price", asin)
    if record.get("small_description") is None:
        findings.add("no_bullets", asin)
    if not has_attributes:
        findings.add("no_attributes", asin)
    empty = [name for name, values in product.options.items() if not values]
    if empty:
        findings.add("empty_option", f"{asin} {empty[0]!r}")
    options = record.get("customization_options") or {}
    names = Counter(name.lower() for name, contents in options.items() if contents is not None)
    if repeated := [name for name, count in names.items() if count > 1]:
        findings.add("repeated_option", f"{asin} {repeated[0]!r}")
    shown = (product.title, product.description, *product.bullets, *itertools.chain(*product.options.values()))
    if any(map(_CONTROL.search, shown)):
        findings.add("control_characters", asin)


def _clean(record: object, attributes: dict[str, dict], seed: int) -> Product:
    """One raw record by WebShop's rules. Raises ValueError with all that is wrong with it."""
    if not isinstance(record, dict):
        raise ValueError(f"expected an object, found {type(record).__name__}")
    fields = _Fields(record)
    asin = fields.text("asin", record.get("asin"))
    if asin == "nan" or len(asin) > MAX_ASIN_LENGTH:  # left out, whatever the rest is
        return _left_out(asin)
    if record.get("asin") == "":
        fields.errors.append("field 'asin' is empty")
    small = record.get("small_description")
    bullets = [str(bullet) for bullet in (small if isinstance(small, list) else [small])]
    images = record.get("images") or [""]
    if not isinstance(images, (list, str)):
        fields.errors.append(f"field 'images' is {type(images).__name__}, expected a list of addresses")
        images = [""]
    price_text, prices = fields.pricing()
    product = Product(
        asin=asin,
        title=fields.text("name", record.get("name")),
        category=fields.text("category", record.get("category")),
        query=fields.text("query", record.get("query")).lower().strip(),
        product_category=fields.text("product_category", record.get("product_category")),
        description=fields.text("full_description", record.get("full_description")),
        bullets=fields.texts("small_description", bullets),
        price_text=price_text,
        price=draw_price(prices, seed, asin),
        options=fields.options(),
        attributes=tuple(attributes.get(asin, {}).get("attributes", ["DUMMY_ATTR"])),
        image=fields.text("images", str(images[0])),
    )
    if fields.errors:
        raise ValueError("; ".join(fields.errors))
    return product


def _left_out(asin: str) -> Product:
    return Product(asin, *[""] * 5, (), "", 0.0, {}, (), "")


def parse_pricing(pricing: object) -> tuple[str, list[float]]:
    """The price as the page shows it, and the one or two numbers behind it, in dollars (WebShop's rule).

    Raises ValueError where the original fails or would read another number than is meant: "$5 / 100g", "$5,50".

    >>> parse_pricing("$12.00$15.99")
    ('$12.0 to $15.99', [12.0, 15.99])
    """
    if not pricing:
        return f"${DEFAULT_PRICE}", [DEFAULT_PRICE]
    if isinstance(pricing, (int, float)) and not isinstance(pricing, bool):
        prices = [float(pricing)] if 0 < pricing <= sys.float_info.max else []
    elif isinstance(pricing, str):
        pieces = [_PRICE.fullmatch(piece) for piece in pricing.split("$")[1:]]
        prices = [float(piece[1].replace(",", "")) for piece in pieces] if all(pieces) else []
    else:
        prices = []
    if not prices or not all(map(math.isfinite, prices)):
        raise ValueError(f'cannot read a price in {pricing!r}; write it in dollars, as "$12.50" or "$12.00$15.99"')
    if len(prices) == 1:
        return f"${prices[0]}", prices
    return f"${prices[0]} to ${prices[1]}", prices[:2]


def draw_price(prices: list[float], seed: int, asin: str) -> float:
    """The price that goals and rewards use: the one given, or a uniform draw from the range.

    The original draws anew in every process; here it depends on the seed and the asin only, so every process agrees.
    """
    if len(prices) == 1:
        return prices[0]
    return random.Random(f"price:{seed}:{asin}").uniform(*prices)
