"""What an experiment came to: its table shown and written, and its figures as JSON with how they were made."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_recsys.console.table import Table
from rl_recsys.runs.provenance import MADE_WITH, note_maker
from rl_recsys.storage.files import write_json, write_text


def write_results(table: Table, figures: Mapping[str, Any], *others: Table, page: Path, data: Path) -> None:
    """Show a table and ``others``, write them to ``page`` in Markdown, and ``figures`` to ``data`` as a JSON object.

    Beside the figures the object has the "command" that made them, the first table's "title", and ``MADE_WITH``: the
    makers of the folder of ``data``. Raises ``OSError`` where there is no room.
    """
    tables = (table, *others)
    for each in tables:
        each.show()
    write_text(page, "\n".join(each.to_markdown() for each in tables))
    how = {"command": shlex.join(sys.argv), "title": table.title, MADE_WITH: note_maker(data.parent)}
    write_json(data, how | dict(figures))
