"""The demo shop: a seeded generator of raw files in WebShop's formats, so that everything runs without any download.

Products come in families of near-duplicates that differ in one attribute, in their options or in the price, so that
the first plausible product is often the wrong one.
"""

from __future__ import annotations

import json
import random
import string
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_recsys.webshop.data.compile import Source

FAMILY = 5  # products that share brand, type and most of the rest
INSTRUCTED = 0.45  # share of products that somebody asks for, about that of the real 1k

COLORS = ["black", "white", "navy", "gray", "beige", "olive", "teal", "burgundy", "pink", "yellow"]
SIZES = ["small", "medium", "large", "x-large", "xx-large"]
BRANDS = [
    "Alder",
    "Arbor",
    "Birchline",
    "Brightwell",
    "Calder",
    "Clovermoor",
    "Copperfield",
    "Dunmore",
    "Eastbrook",
    "Fernway",
    "Glenhart",
    "Harrowby",
    "Ivyton",
    "Juniper",
    "Kestrel",
    "Larkmead",
    "Marlow",
    "Northgate",
    "Oakhurst",
    "Pinecrest",
    "Quillon",
    "Ravenna",
    "Silverdale",
    "Thornbury",
    "Underhill",
    "Vale",
    "Westmere",
    "Yarrow",
    "Zephyrine",
]


@dataclass(frozen=True)
class Kind:
    """A kind of product: how it is searched for, called and filed, and what may be said of it."""

    query: str
    noun: str
    chain: str
    attributes: tuple[str, ...]
    options: dict[str, tuple[str, ...]]
    uses: tuple[str, ...]
    price: tuple[float, float]


def _kind(query, noun, chain, attributes, options, uses, low, high) -> Kind:
    split = tuple(part.strip() for part in attributes.split(","))
    return Kind(query, noun, chain, split, options, tuple(part.strip() for part in uses.split(",")), (low, high))


_COLOR = {"color": tuple(COLORS)}
_CLOTHES = {"color": tuple(COLORS), "size": tuple(SIZES)}
_SHOES = {"color": tuple(COLORS), "size": ("6", "7", "8", "9", "10", "11")}
_PACK = {"size": ("pack of 1", "pack of 2", "pack of 4", "pack of 6")}
_TASTE = {
    "flavor name": ("vanilla", "dark chocolate", "salted caramel", "raspberry", "peanut butter", "coconut"),
    **_PACK,
}
_SCENT = {"scent": ("lavender", "citrus", "rose", "unscented", "sandalwood"), "size": ("2 fl oz", "4 fl oz", "8 fl oz")}
_CABLE = {"color": ("black", "white", "red"), "size": ("3 ft", "6 ft", "10 ft", "15 ft")}

_CLOTHES_SAYS = (
    "machine wash, hand wash, quick drying, moisture wicking, long sleeve, elastic waist, relaxed fit, slim fit, "
    "tummy control, button closure"
)
_SHOES_SAYS = "non slip, arch support, memory foam, rubber sole, steel toe, leather sole, lace up, slip resistant"
_SKIN_SAYS = (
    "cruelty free, paraben free, fragrance free, hyaluronic acid, tea tree, fine lines, sensitive skin, dry skin, "
    "oil free, long lasting"
)
_FOOD_SAYS = (
    "gluten free, sugar free, non gmo, dairy free, low sodium, plant based, high protein, keto friendly, nut free, "
    "soy free"
)
_DEVICE_SAYS = (
    "fast charging, noise cancelling, water resistant, plug play, long lasting, high definition, carrying case, "
    "hands free, quad core, usb port"
)
_HOME_SAYS = (
    "easy assemble, space saving, solid wood, stainless steel, easy clean, machine washable, memory foam, heavy duty, "
    "white finish, storage space"
)

KINDS: dict[str, tuple[Kind, ...]] = {
    "fashion": (
        _kind("men's shirts", "Shirt", "Clothing › Men › Shirts", _CLOTHES_SAYS, _CLOTHES, "work, travel, summer", 14, 60),
        _kind("women's dresses", "Dress", "Clothing › Women › Dresses", _CLOTHES_SAYS, _CLOTHES, "parties, the beach, work", 18, 90),
        _kind("men's shorts", "Shorts", "Clothing › Men › Shorts", _CLOTHES_SAYS, _CLOTHES, "running, the gym, hiking", 12, 45),
        _kind("women's sweaters", "Sweater", "Clothing › Women › Sweaters", _CLOTHES_SAYS, _CLOTHES, "winter, the office", 20, 80),
        _kind("pajama sets", "Pajama Set", "Clothing › Sleepwear › Sets", _CLOTHES_SAYS, _CLOTHES, "sleeping, lounging", 15, 55),
        _kind("walking shoes", "Walking Shoes", "Shoes › Women › Walking", _SHOES_SAYS, _SHOES, "walking, nursing", 25, 110),
        _kind("work boots", "Work Boots", "Shoes › Men › Boots", _SHOES_SAYS, _SHOES, "building sites, the garden", 45, 180),
        _kind("sandals", "Sandals", "Shoes › Women › Sandals", _SHOES_SAYS, _SHOES, "the beach, travel", 15, 70),
    ),
    "beauty": (
        _kind("face creams", "Face Cream", "Beauty › Skin Care › Creams", _SKIN_SAYS, _SCENT, "day, night", 9, 60),
        _kind("body lotions", "Body Lotion", "Beauty › Skin Care › Lotions", _SKIN_SAYS, _SCENT, "hands, the whole body", 7, 35),
        _kind("shampoos", "Shampoo", "Beauty › Hair Care › Shampoo", _SKIN_SAYS, _SCENT, "daily washing, curls", 6, 30),
        _kind("face masks", "Face Mask", "Beauty › Skin Care › Masks", _SKIN_SAYS, _PACK, "weekly care, tired skin", 5, 25),
        _kind("lip balms", "Lip Balm", "Beauty › Makeup › Lips", _SKIN_SAYS, _PACK, "winter, sports", 4, 18),
        _kind("makeup brushes", "Brush Set", "Beauty › Makeup › Tools", _SKIN_SAYS, _COLOR, "powder, blending", 8, 40),
        _kind("hair serums", "Hair Serum", "Beauty › Hair Care › Serums", _SKIN_SAYS, _SCENT, "dry ends, shine", 8, 45),
        _kind("bath salts", "Bath Salt", "Beauty › Bath › Salts", _SKIN_SAYS, _SCENT, "relaxing, sore muscles", 6, 28),
    ),
    "grocery": (
        _kind("protein bars", "Protein Bars", "Grocery › Snacks › Bars", _FOOD_SAYS, _TASTE, "hiking, breakfast", 8, 40),
        _kind("cookies", "Cookies", "Grocery › Snacks › Cookies", _FOOD_SAYS, _TASTE, "tea, lunch boxes", 5, 25),
        _kind("granola", "Granola", "Grocery › Breakfast › Granola", _FOOD_SAYS, _TASTE, "breakfast, yogurt", 6, 24),
        _kind("hot cocoa mixes", "Hot Cocoa Mix", "Grocery › Drinks › Cocoa", _FOOD_SAYS, _TASTE, "winter, camping", 6, 28),
        _kind("nut butters", "Nut Butter", "Grocery › Spreads › Nut Butter", _FOOD_SAYS, _PACK, "toast, baking", 7, 30),
        _kind("crackers", "Crackers", "Grocery › Snacks › Crackers", _FOOD_SAYS, _PACK, "cheese, soup", 4, 20),
        _kind("coffee pods", "Coffee Pods", "Grocery › Drinks › Coffee", _FOOD_SAYS, _PACK, "mornings, the office", 10, 48),
        _kind("baking mixes", "Baking Mix", "Grocery › Baking › Mixes", _FOOD_SAYS, _TASTE, "cakes, muffins", 5, 22),
    ),
    "electronics": (
        _kind("headphones", "Headphones", "Electronics › Audio › Headphones", _DEVICE_SAYS, _COLOR, "travel, the gym", 18, 150),
        _kind("phone chargers", "Phone Charger", "Electronics › Phones › Chargers", _DEVICE_SAYS, _CABLE, "the car, the desk", 8, 45),
        _kind("speakers", "Speaker", "Electronics › Audio › Speakers", _DEVICE_SAYS, _COLOR, "parties, the shower", 20, 140),
        _kind("tablets", "Tablet", "Electronics › Computers › Tablets", _DEVICE_SAYS, {"color": ("black", "gray", "pink"), "size": ("32gb", "64gb", "128gb")}, "reading, drawing", 70, 320),
        _kind("hdmi cables", "HDMI Cable", "Electronics › Accessories › Cables", _DEVICE_SAYS, _CABLE, "television, gaming", 6, 30),
        _kind("security cameras", "Security Camera", "Electronics › Cameras › Security", _DEVICE_SAYS, _PACK, "the porch, the baby's room", 25, 160),
        _kind("smart watches", "Smart Watch", "Electronics › Wearables › Watches", _DEVICE_SAYS, _COLOR, "running, sleep", 30, 200),
        _kind("power banks", "Power Bank", "Electronics › Phones › Power", _DEVICE_SAYS, _COLOR, "travel, festivals", 15, 70),
    ),
    "garden": (
        _kind("coffee tables", "Coffee Table", "Home › Furniture › Tables", _HOME_SAYS, {"color": ("oak", "walnut", "black", "white")}, "small rooms, the terrace", 60, 320),
        _kind("throw pillows", "Throw Pillow", "Home › Bedding › Pillows", _HOME_SAYS, {"color": tuple(COLORS), "size": ("16x16", "18x18", "20x20")}, "the sofa, the bed", 9, 40),
        _kind("storage baskets", "Storage Basket", "Home › Storage › Baskets", _HOME_SAYS, {"color": tuple(COLORS[:5]), "size": ("small", "medium", "large")}, "toys, laundry", 10, 50),
        _kind("desk lamps", "Desk Lamp", "Home › Lighting › Lamps", _HOME_SAYS, _COLOR, "reading, studying", 16, 80),
        _kind("bar stools", "Bar Stool", "Home › Furniture › Stools", _HOME_SAYS, _COLOR, "kitchens, counters", 45, 220),
        _kind("shower curtains", "Shower Curtain", "Home › Bath › Curtains", _HOME_SAYS, {"color": tuple(COLORS), "size": ("60x72", "72x72", "72x84")}, "hotels, family baths", 10, 45),
        _kind("mattresses", "Mattress", "Home › Bedroom › Mattresses", _HOME_SAYS, {"size": ("twin", "full", "queen", "king")}, "guests, back sleepers", 120, 700),
        _kind("plant stands", "Plant Stand", "Garden › Decor › Stands", _HOME_SAYS, _COLOR, "balconies, ferns", 15, 85),
    ),
}  # fmt: skip

_BULLETS = (
    "Made to be {0}: we tested it with people who use it every day",
    "You get {0} as well as {1}, without paying for more than you need",
    "Because it is {0} and {1}, it suits {2}",
    "{0}. Our small team answers every question about it",
    "What customers like best: {0}",
)
_INSTRUCTIONS = (
    "I am looking for {attributes} {query}",
    "I need {query} for {use} with {attributes}",
    "Show me {attributes} {query} for {use}",
    "Could you find {query} with {attributes}",
)


def write_demo_files(folder: Path, *, products: int = 1000, seed: int = 0) -> tuple[Path, Path, Path]:
    """Write items_shuffle.json, items_ins_v2.json and items_human_ins.json into ``folder``; return their paths."""
    rng = random.Random(f"demo:{seed}")
    kinds = [(category, kind) for category, group in KINDS.items() for kind in group]
    items: list[dict] = []
    attributes: dict[str, dict] = {}
    human: dict[str, list[dict]] = {}
    while len(items) < products:
        category, kind = kinds[(len(items) // FAMILY) % len(kinds)]
        for item, said in _family(category, kind, rng)[: products - len(items)]:
            asin = item["asin"]
            if asin in attributes:
                continue
            items.append(item)
            attributes[asin] = {"attributes": said}
            if rng.random() < INSTRUCTED:
                wanted = rng.sample(said, rng.randint(1, min(3, len(said))))
                template = rng.choice(_INSTRUCTIONS)
                text = template.format(attributes=" and ".join(wanted), query=kind.query, use=rng.choice(kind.uses))
                attributes[asin] |= {"instruction": text, "instruction_attributes": wanted}
                human[asin] = [_human_instruction(item, kind, said, rng)]
    rng.shuffle(items)
    written = []
    for name, value in (
        ("items_shuffle.json", items),
        ("items_ins_v2.json", attributes),
        ("items_human_ins.json", human),
    ):
        path = folder / name
        path.write_text(json.dumps(value))
        written.append(path)
    return tuple(written)


@contextmanager
def demo_source(*, products: int = 1000, seed: int = 0, **options: Any) -> Iterator[Source]:
    """The same files as a source; they are gone afterwards. ``options`` are ``Source``'s."""
    with tempfile.TemporaryDirectory() as folder:
        yield Source(*write_demo_files(Path(folder), products=products, seed=seed), **options)


def _family(category: str, kind: Kind, rng: random.Random) -> list[tuple[dict, list[str]]]:
    """Near-duplicates: the second differs from the first in one attribute, the third in its options, and so on."""
    brand = f"{rng.choice(BRANDS)} {rng.choice('ACEKLMRTX')}{rng.randint(1, 99)}"
    said = rng.sample(kind.attributes, 4)
    options = {
        name: sorted(rng.sample(values, rng.randint(2, min(5, len(values)))), key=values.index)
        for name, values in kind.options.items()
    }
    use, price = rng.choice(kind.uses), round(rng.uniform(*kind.price), 2)
    family = []
    for variant in range(FAMILY):
        its_said, its_options, its_price = list(said), dict(options), price
        if variant in (1, 4):
            others = [attribute for attribute in kind.attributes if attribute not in said]
            its_said[rng.randrange(len(said))] = rng.choice(others)
        if variant in (2, 4):
            name = rng.choice(list(options))
            values = kind.options[name]
            its_options[name] = sorted(rng.sample(values, len(options[name])), key=values.index)
        if variant == 3:
            its_price = round(price * rng.uniform(1.6, 2.6), 2)
        family.append((_item(category, kind, brand, its_said, its_options, its_price, use, rng), its_said))
    return family


def _item(
    category: str, kind: Kind, brand: str, said: list[str], options: dict, price: float, use: str, rng: random.Random
) -> dict:
    asin = "B0" + "".join(rng.choices(string.ascii_uppercase + string.digits, k=8))
    shown = rng.sample(said, 2)  # the title names two of the attributes, the bullets all of them
    bullets = [_sentence(template, said[place % len(said)], said[(place + 1) % len(said)], use)
               for place, template in enumerate(rng.sample(_BULLETS, len(said)))]  # fmt: skip
    ranged = rng.random() < 0.1
    return {
        "asin": asin,
        "name": f"{brand} {shown[0].title()} {kind.noun} for {use.title()}, {shown[1].title()}",
        "category": category,
        "query": kind.query,
        "product_category": kind.chain,
        "full_description": f"A {kind.noun.lower()} for {use}, by {brand}. It is known for {said[0]} and {said[2]}."
        if rng.random() < 0.7
        else "",
        "small_description": bullets,
        "pricing": f"${price}${round(price * 1.3, 2)}" if ranged else f"${price}",
        "images": [f"https://example.org/{asin}.jpg"],
        "customization_options": {
            name.title(): [{"value": value.title(), "image": None} for value in values]
            for name, values in options.items()
        },
        "average_rating": "",
    }


def _sentence(template: str, first: str, second: str, use: str) -> str:
    text = template.format(first, second, use)
    return text[0].upper() + text[1:]


def _human_instruction(item: dict, kind: Kind, said: list[str], rng: random.Random) -> dict:
    chosen = {
        name.lower(): rng.choice(values)["value"].lower() for name, values in item["customization_options"].items()
    }
    wanted = rng.sample(said, 1)
    text = f"hi, i'd like {kind.query} with {wanted[0]}, {' and '.join(f'{v} {n}' for n, v in chosen.items())} please."
    return {
        "asin": item["asin"],
        "instruction": text,
        "attributes": said,
        "options": [f"{name}: {value}" for name, value in chosen.items()],
        "instruction_attributes": wanted,
        "instruction_options": list(chosen.values()),
    }
