"""What people typed into the search for an instruction, from a file such as WebShop's goal_query_map.json."""

from __future__ import annotations

from pathlib import Path

from rl_recsys.errors import UserError
from rl_recsys.storage.files import read_object
from rl_recsys.webshop.goals.goal import without_price_clause

EXPECTED = "--pairs is an object, instruction -> list of queries, with two instructions or more"


def read_query_pairs(path: Path) -> dict[str, list[str]]:
    """Instruction, in lower case and without what it may cost -> queries.

    What differs in the price only is one instruction: it must not be held out and learnt from. Raises ``UserError``
    where the file is damaged, or has less than two instructions.
    """
    read = read_object(path, EXPECTED)
    right = all(
        isinstance(queries, list) and queries and all(isinstance(query, str) and query.strip() for query in queries)
        for queries in read.values()
    )
    pairs: dict[str, list[str]] = {}
    for instruction, queries in read.items() if right else ():
        pairs.setdefault(without_price_clause(instruction), []).extend(queries)
    if len(pairs) < 2:
        raise UserError(f"{path}: not the pairs of a query model; {EXPECTED}")
    return pairs
