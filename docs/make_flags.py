"""Write docs/reference/flags.md: every flag of every job, as its dataclass says it.

    python docs/make_flags.py

tests/docs/test_flags.py fails where the page is not what this writes.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "flags.md"
HEAD = """# Flags

Every flag of every job. This page is generated: `python docs/make_flags.py`. `--help` says the same.
Switches (`on` or `off`) are turned by `--name` and `--no-name`.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for path in sorted((ROOT / "jobs").glob("[!_]*.py")):
        job = import_module(f"jobs.{path.stem}")
        parts.append(f"## {path.stem}\n{job.__doc__.splitlines()[0]}\n")
        kinds = getattr(job, "KINDS", None) or {"": job.Arguments}  # with subcommands, or without
        for name, kind in kinds.items():
            title = f"### {path.stem} {name}\n" if name else ""
            parts.append(f"{title}| flag | default | values | |\n| --- | --- | --- | --- |\n" + "".join(rows(kind)))
    return "\n".join(parts)


def rows(kind: type) -> Iterator[str]:
    """A table row of each flag."""
    texts = {name: text for base in reversed(kind.__mro__) for name, text in _texts(base).items()}
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        hint, text = hints[field.name], " ".join(texts.get(field.name, "").split()).replace("|", "\\|")
        if is_dataclass(inner := get_args(hint)[0] if get_args(hint) else hint):
            yield from rows(inner)
            continue
        positional = "Positional" in str(hint)
        flag = field.name.upper() if positional else f"--{field.name.replace('_', '-')}"
        yield f"| `{flag}` | {_default(field)} | {', '.join(dict.fromkeys(_values(hint)))} | {text} |\n"


def _texts(kind: type) -> dict[str, str]:
    """The docstrings below a class's own fields."""
    if not is_dataclass(kind):
        return {}
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0].body
    return {
        field.target.id: below.value.value
        for field, below in zip(body, body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
    }


def _default(field: Field) -> str:
    default = field.default if field.default_factory is MISSING else field.default_factory()
    if default is MISSING:
        return "**required**"
    if isinstance(default, bool):
        return "on" if default else "off"
    if default in (None, ()):
        return ""
    return f"`{' '.join(map(str, default)) if isinstance(default, tuple) else default}`"


def _values(hint: Any) -> Iterator[str]:
    """What a flag may be, where it is not any text."""
    from rl_recsys.console.ranges import Range

    if isinstance(hint, Range):
        yield str(hint)
    elif get_origin(hint) is Literal:
        yield from (f"`{value}`" for value in get_args(hint))
    elif hasattr(hint, "__metadata__") or get_origin(hint) in (Union, UnionType, tuple):
        for part in (*get_args(hint), *getattr(hint, "__metadata__", ())):
            yield from _values(part)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PAGE.write_text(page())
