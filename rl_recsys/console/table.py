"""A table of results: the same rows on the terminal, in a Markdown file and in a report's page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rl_recsys.console.escaping import for_markdown
from rl_recsys.console.terminal import print_rows, say


@dataclass(frozen=True)
class Table:
    """Rows of text under columns, with a caption that says how they were made. Text is escaped where it is shown."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    def show(self) -> None:
        """Print it on the terminal, the caption as a line below."""
        print_rows(self.columns, self.rows, self.title or None)
        if self.caption:
            say(self.caption)

    def markdown_rows(self) -> str:
        """Columns and rows in Markdown, without title and caption."""
        heading, *lines = [
            f"| {' | '.join(for_markdown(cell, cell=True) for cell in cells)} |\n"
            for cells in (self.columns, *self.rows)
        ]
        return "".join([heading, f"|{' --- |' * len(self.columns)}\n", *lines])

    def to_markdown(self) -> str:
        """All of it in Markdown, title and caption as paragraphs."""
        paragraphs = [f"{for_markdown(text)}\n" if text else "" for text in (self.title, self.caption)]
        return "\n".join(part for part in (paragraphs[0], self.markdown_rows(), paragraphs[1]) if part)
