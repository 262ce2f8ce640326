"""A study's report: one HTML page that needs no other file, and the same in Markdown."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rl_recsys.evaluation.example_sessions import ExampleSession
from rl_recsys.files import write_text

TEMPLATES = Path(__file__).parent


@dataclass(frozen=True)
class Table:
    """Rows of text under columns, with a caption that says how it was made."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """A PNG file, with the CSV of its points beside it."""

    title: str
    path: Path
    caption: str = ""

    @property
    def data(self) -> str:
        """The file as a data URI."""
        return "data:image/png;base64," + base64.b64encode(self.path.read_bytes()).decode()


@dataclass(frozen=True)
class Report:
    """What the page shows, from the top."""

    title: str
    summary: Sequence[str]
    arms: Table
    claims: Table
    verdicts: Sequence[str]
    pictures: Sequence[Picture]
    tables: Sequence[Table]
    sessions: Sequence[ExampleSession]
    sessions_of: str
    facts: Mapping[str, str] = field(default_factory=dict)


def write_report(report: Report, folder: Path) -> None:
    """Write report.html, with every picture in it, and report.md, which names the picture files."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        autoescape=lambda name: name is not None and ".html" in name,
    )  # fmt: skip
    for name in ("report.html", "report.md"):
        text = environment.get_template(f"{name}.j2").render(report=report, folder=folder)
        write_text(folder / name, text)
