"""Products: read from WebShop's raw files, cleaned by its rules, kept as an Arrow table."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import ijson
import pyarrow as pa

from rl_recsys.errors import UserError

DEFAULT_PRICE = 100.0  # WebShop: the price of a product that names none
MAX_ASIN_LENGTH = 10  # WebShop: records with a longer asin are left out
CATEGORY_SEPARATOR = "›"

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


class RawDataError(UserError):
    """A raw file breaks WebShop's format; the message names the file, the record, the field and the reason."""


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


def read_attributes(path: Path) -> dict[str, dict]:
    """The object asin -> {attributes, instruction?, instruction_attributes?} of an items_ins_v2 file."""
    entries = _read_object(path)
    for asin, entry in entries.items():
        where = f"{path}: product {asin!r}"
        if not isinstance(entry, dict):
            raise RawDataError(f"{where}: expected an object, found {type(entry).__name__}")
        _texts(entry.get("attributes", []), f"{where}: field 'attributes'")
        _texts(entry.get("instruction_attributes") or [], f"{where}: field 'instruction_attributes'")
        _text(entry.get("instruction") or "", f"{where}: field 'instruction'")
    return entries


def read_human_instructions(path: Path) -> dict[str, list[dict]]:
    """The object asin -> list of instructions of an items_human_ins file."""
    entries = _read_object(path)
    for asin, instructions in entries.items():
        for number, entry in enumerate(instructions if isinstance(instructions, list) else [instructions]):
            where = f"{path}: product {asin!r}: instruction {number}"
            if not isinstance(instructions, list) or not isinstance(entry, dict):
                raise RawDataError(f"{where}: expected a list of objects, found {type(entry).__name__}")
            _text(entry.get("instruction"), f"{where}: field 'instruction'")
            for field in ("instruction_attributes", "instruction_options"):
                _texts(entry.get(field), f"{where}: field {field!r}")
    return entries


def _text(value: object, where: str) -> str:
    if value is None:
        raise RawDataError(f"{where} is missing")
    if not isinstance(value, str):
        raise RawDataError(f"{where} is {type(value).__name__}, expected text")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # half of a pair such as "\ud83d": no text in any encoding
        raise RawDataError(f"{where} has half of a character at position {error.start}") from None
    return value


def _texts(values: object, where: str) -> list[str]:
    if not isinstance(values, list):
        raise RawDataError(f"{where} is {type(values).__name__}, expected a list of texts")
    return [_text(value, where) for value in values]


def _read_object(path: Path) -> dict:
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except FileNotFoundError:
        raise RawDataError(f"{path}: no such file") from None
    except json.JSONDecodeError as error:
        raise RawDataError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise RawDataError(f"{path}: expected an object that maps asins, found {type(value).__name__}")
    return value


def read_products(
    path: Path,
    attributes: dict[str, dict],
    *,
    seed: int,
    limit: int | None = None,
    skip: Callable[[RawDataError], None] | None = None,
) -> Iterator[Product]:
    """Products of a WebShop items file, in its order, without ``nouns`` and ``position``.

    The file is streamed. Records with asin "nan", an over-long asin or one already seen are left out (WebShop's rule).
    ``limit`` counts records of the file, as WebShop's num_products does. A bad record raises ``RawDataError``, or is
    left out and its error given to ``skip``. A file that is no JSON always raises.
    """
    seen: set[str] = set()
    for number, record in enumerate(_records(path)):
        if limit is not None and number >= limit:
            return
        try:
            product = _clean(record, attributes, seed, f"{path}: record {number}")
        except RawDataError as error:
            if skip is None:
                raise
            skip(error)
            continue
        if product is None or product.asin in seen:
            continue
        seen.add(product.asin)
        yield product


def _records(path: Path) -> Iterator[dict]:
    try:
        with open(path, "rb") as file:
            yield from ijson.items(file, "item", use_float=True)
    except FileNotFoundError:
        raise RawDataError(f"{path}: no such file") from None
    except (ijson.JSONError, UnicodeDecodeError) as error:
        raise RawDataError(f"{path}: not valid JSON: {error}") from None


def _clean(record: object, attributes: dict[str, dict], seed: int, where: str) -> Product | None:
    """One raw record by WebShop's rules, or None where WebShop leaves it out."""
    if not isinstance(record, dict):
        raise RawDataError(f"{where}: expected an object, found {type(record).__name__}")

    def text(field: str) -> str:
        return _text(record.get(field), f"{where}: field {field!r}")

    asin = text("asin")
    if asin == "nan" or len(asin) > MAX_ASIN_LENGTH:
        return None
    small = record.get("small_description")
    bullets = [str(bullet) for bullet in (small if isinstance(small, list) else [small])]
    images = record.get("images") or [""]
    if not isinstance(images, (list, str)):
        raise RawDataError(f"{where}: field 'images' is {type(images).__name__}, expected a list of addresses")
    price_text, prices = parse_pricing(record.get("pricing"), f"{where}: field 'pricing'")
    return Product(
        asin=asin,
        title=text("name"),
        category=text("category"),
        query=text("query").lower().strip(),
        product_category=text("product_category"),
        description=text("full_description"),
        bullets=tuple(_texts(bullets, f"{where}: field 'small_description'")),
        price_text=price_text,
        price=draw_price(prices, seed, asin),
        options=_clean_options(record.get("customization_options"), where),
        attributes=tuple(attributes.get(asin, {}).get("attributes", ["DUMMY_ATTR"])),
        image=_text(str(images[0]), f"{where}: field 'images'"),
    )


def parse_pricing(pricing: str | None, where: str = "pricing") -> tuple[str, list[float]]:
    """The price as the page shows it, and the one or two numbers behind it (WebShop's rule).

    >>> parse_pricing("$12.00$15.99")
    ('$12.0 to $15.99', [12.0, 15.99])
    """
    if not pricing:
        return f"${DEFAULT_PRICE}", [DEFAULT_PRICE]
    try:
        prices = [float(re.sub(r"[^\d.]", "", piece)) for piece in str(pricing).split("$")[1:]]
    except ValueError:
        prices = []
    if not prices:
        raise RawDataError(f"{where}: cannot read a price in {pricing!r}")
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


def _clean_options(raw: object, where: str) -> dict[str, tuple[str, ...]]:
    if not raw:
        return {}
    if not isinstance(raw, dict):
        raise RawDataError(f"{where}: field 'customization_options' is {type(raw).__name__}, expected an object")
    options = {}
    for name, contents in raw.items():
        if contents is None:
            continue
        try:
            values = [content["value"].strip().replace("/", " | ").lower() for content in contents]
        except (TypeError, KeyError, AttributeError):
            raise RawDataError(f"{where}: option {name!r} is not a list of objects with a text 'value'") from None
        options[_text(name, f"{where}: option name").lower()] = tuple(_texts(values, f"{where}: option {name!r}"))
    return options
