"""What is met while raw files are read: how often each kind of thing, and the first examples."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

EXAMPLES, SHOWN = 20, 3  # of a kind: kept, and told

#: What is left out, or is not as it seems, by kind: what it is, and what to do.
KINDS = {
    "bad": ("bad records, which are left out", "mend them"),
    "long_asin": (
        "records with an asin of more than 10 characters, which WebShop leaves out",
        "give them asins of at most 10 characters, in all files alike",
    ),
    "nan_asin": ('records with the asin "nan", which WebShop leaves out', "give them asins"),
    "repeated_asin": ("records with an asin that was met before, which are left out", ""),
    "no_price": ("products without a price, which cost $100.0 by WebShop's rule", 'write it as "pricing": "$12.50"'),
    "no_bullets": ('products without small_description, whose features page shows "None"', ""),
    "empty_option": (
        "products with an option without values, of which no synthetic goal is made",
        "leave the option out",
    ),
    "repeated_option": (
        "products with options whose names are equal in lower case, of which the last counts, by WebShop's rule",
        "put their values into one option, or give them other names",
    ),
    "unclickable_product": (
        "products that cannot be opened: their asin has a bracket or a line break, or is called as a button",
        "give them other asins",
    ),
    "unclickable_option": (
        "option values that cannot be chosen: they have a bracket or a line break, are called as a button, or two "
        "options of a product have them",
        "word them in another way",
    ),
    "control_characters": ("products with control characters in a text that is shown", "remove them"),
    "no_attributes": ("products that are not in the attributes file", ""),
    "absent_attributes": ("products of the attributes file that are not in the items file", ""),
    "instruction_without_attributes": (
        "instructions without instruction_attributes, which make no goal by WebShop's rule",
        "say which attributes each asks for",
    ),
    "empty_instruction": ("instructions without a word, which are left out", "say what is asked for"),
    "repeated_key": (
        "asins that the attributes or the instructions file has more than once, of which the last entry counts",
        "put the entries of an asin into one",
    ),
    "absent_instructions": ("instructions of products that are not in the items file", ""),
    "price_clause": (
        "instructions that got a price limit at their end, by WebShop's rule",
        "--price-clauses as-written leaves the words as they are",
    ),
}

#: Fields that WebShop does not read, and the field that was probably meant.
MEANT = {
    "options": "customization_options",
    "price": "pricing",
    "bullets": "small_description",
    "bullet_points": "small_description",
    "features": "small_description",
    "description": "full_description",
    "title": "name",
    "categories": "product_category",
    "image": "images",
    "attributes": "attributes of the attributes file",
    "instruction": "instruction of the attributes file",
}


class Findings:
    """Counts and first examples by ``KINDS``, and the fields that were not read."""

    def __init__(self) -> None:
        self.records = 0
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = defaultdict(list)
        self.ignored_fields: Counter[str] = Counter()

    def add(self, kind: str, example: str, count: int = 1) -> None:
        """One more of a kind, or ``count``."""
        self.counts[kind] += count
        if len(self.examples[kind]) < EXAMPLES:
            self.examples[kind].append(example)

    def to_mapping(self) -> dict:
        """As the manifest has it."""
        kinds = [kind for kind in KINDS if self.counts[kind]]
        by_kind = {kind: {"count": self.counts[kind], "examples": self.examples[kind]} for kind in kinds}
        return {"records": self.records, "found": by_kind, "ignored_fields": dict(self.ignored_fields.most_common())}


def described(findings: Mapping, *, every_field: bool = False) -> Iterator[str]:
    """Lines about ``Findings.to_mapping()``; of ignored fields those that were meant for others, or every one."""
    for kind, entry in findings["found"].items():
        words, remedy = KINDS[kind]
        examples = entry["examples"][:SHOWN]
        more = " | ..." if entry["count"] > len(examples) else ""
        yield f"{words}: {entry['count']} ({' | '.join(examples)}{more}){f'; {remedy}' if remedy else ''}"
    for field, count in findings["ignored_fields"].items():
        if field in MEANT:
            yield f"records with a field {field!r}, which is not read: {count}; did you mean {MEANT[field]!r}?"
    if every_field:
        others = [f"{name} ({count})" for name, count in findings["ignored_fields"].items() if name not in MEANT]
        if others:
            yield f"fields that are not read: {', '.join(others)}"
