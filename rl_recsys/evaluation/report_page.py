"""A study's report: one HTML page that needs no other file, and the same in Markdown."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rl_recsys.console.escaping import for_markdown, for_terminal
from rl_recsys.console.table import Table
from rl_recsys.core.example_sessions import ExampleSession
from rl_recsys.core.task import DEFAULT_TASK
from rl_recsys.evaluation.episodes_page import Episode, episodes_page
from rl_recsys.storage.files import write_text

TEMPLATES = Path(__file__).parent
SESSIONS = "sessions.html"  # beside the report


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
    #: To watch: those of the ``sessions`` in their order, and others of the same goals; none where they have no words.
    episodes: Sequence[Episode] = ()
    task: str = DEFAULT_TASK


def write_report(report: Report, folder: Path) -> None:
    """Write report.html, with every picture in it, and report.md, which names the picture files.

    Both lead to sessions.html, where the report's ``episodes`` are stepped through.
    """
    # jinja escapes for HTML what is no markup; what is escaped for Markdown it must not touch again.
    pages = {"report.html": for_terminal, "report.md": lambda text: Markup(for_markdown(text))}
    for name, escape in pages.items():
        template = _environment(escape).get_template(f"{name}.j2")
        text = template.render(report=report, folder=folder, markdown_table=_markdown_table, sessions_page=SESSIONS)
        write_text(folder / name, text)
    if report.episodes:
        write_text(folder / SESSIONS, episodes_page(report.episodes, f"Sessions: {report.title}", task=report.task))
    else:  # an earlier report's has the words that this one leaves out
        (folder / SESSIONS).unlink(missing_ok=True)


def _markdown_table(table: Table) -> Markup:
    return Markup(table.markdown_rows())


def _environment(escape: Callable[[str], str]) -> Environment:
    """Templates in which every value is escaped, once, wherever it stands; what macros made is markup already."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        autoescape=True, finalize=lambda value: value if isinstance(value, Markup) else escape(str(value)),
    )  # fmt: skip
