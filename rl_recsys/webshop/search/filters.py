"""WebShop's hidden searches: a first word in angle brackets lists the catalogue instead of ranking it.

An agent that finds them cheats, so a shop answers them only under the rule "catalog_filters". As in the original all
products are listed that fit, in the order of the items file, on any number of pages. Where the original fails nothing
is found (a word that is missing, an attribute that no product has); its text environment fails on every "<a>", here
that lists what its site does.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from rl_recsys.webshop.data.table import BATCH_ROWS, MappedTable
from rl_recsys.webshop.search.lucene import TOP_K

RANDOM = "<r>"  # 50 random products, others on each page that is shown
FIELDS = {"<a>": "attributes", "<c>": "category", "<q>": "query"}


def filtered(products: MappedTable, keywords: Sequence[str]) -> list[int] | None:
    """The rows that keywords such as ["<q>", "men's", "shirts"] list, or None where they are words to search for.

    "<r>" lists nothing here: a session draws the products anew for each page (``random_rows``).
    """
    if keywords[0] == RANDOM:
        return []
    field = FIELDS.get(keywords[0])
    if field is None:
        return None
    import pyarrow.compute as pc  # a tenth of a second and 4 MB that most shops do without

    # A category is one word in the original: what follows it is not read.
    wanted = "".join(keywords[1:2]) if field == "category" else " ".join(keywords[1:])
    rows: list[np.ndarray] = []
    for number, column in enumerate(products.columns(field)):
        if pa.types.is_list(column.type):
            owners = pc.list_parent_indices(column)
            found = np.unique(owners.filter(pc.equal(column.flatten(), wanted.strip())).to_numpy())
        else:
            found = np.flatnonzero(pc.equal(column, wanted.strip()).to_numpy(zero_copy_only=False))
        rows.append(found + number * BATCH_ROWS)
    return sorted(np.concatenate(rows).tolist(), key=lambda row: products.value(row, "position"))


def random_rows(count: int, rng: random.Random) -> list[int]:
    """What "<r>" lists in a shop of ``count`` products."""
    return rng.sample(range(count), min(TOP_K, count))
