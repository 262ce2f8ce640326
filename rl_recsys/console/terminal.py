"""What jobs print: lines and tables, in which no text of data is markup or a command to the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rl_recsys.console.escaping import for_terminal

TABLE_WIDTH = 140  # characters
NAMES = ("arm", "product", "folder", "source", "author", "what", "options", "lacks")  # columns of words


def say(line: object) -> None:
    """Print a line at once, also where the output is a file."""
    print(for_terminal(str(line)), flush=True)


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> None:
    """Print a table; names stand at the left, figures at the right."""
    table = Table(title=None if title is None else Text(for_terminal(title)))
    for column in columns:
        table.add_column(Text(for_terminal(column)), justify="left" if column in NAMES else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(for_terminal(cell)) for cell in row))
    Console(width=TABLE_WIDTH, highlight=False).print(table)
