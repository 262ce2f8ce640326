"""How a distribution is built; pyproject.toml has the rest. docs/packaging.md says why it is so.

In the repository envs, policies, algorithms and jobs are top-level folders. A wheel has them as rl_recsys.envs and so
on, so that they meet no folder of the user's with such a name. An editable install uses the repository as it lies.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from setuptools import find_namespace_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

PACKAGE = "rl_recsys"
ROOMS = ("envs", "policies", "algorithms", "jobs")  # the jobs are scripts: nothing imports them
ROOT = Path(__file__).resolve().parent
#: A whole string that names a module of a room, or something in one: "envs.choice:ChoiceEnv".
DOTTED = re.compile(rf"({'|'.join(ROOMS)})\.(\w+)[\w.]*(:\w+)?")


def packages_of(folder: str, prefix: str) -> list[str]:
    """The package at a folder of the repository, and those in it, as ``prefix`` and what is below.

    Folders of pages and templates are packages too: setuptools warns at length of data in a folder that is none.
    """
    below = find_namespace_packages(str(ROOT / folder), exclude=["*__pycache__*"])
    return [prefix, *(f"{prefix}.{name}" for name in below)]


class EditableWheel(editable_wheel):
    """An editable install: every top-level folder is a package of its own, as in the repository."""

    def finalize_options(self) -> None:
        """Name the packages anew."""
        self.distribution.packages = [name for top in (PACKAGE, *ROOMS[:-1]) for name in packages_of(top, top)]
        self.distribution.package_dir = {}
        super().finalize_options()


class BuildPy(build_py):
    """Has the rooms' names say where they are in a wheel."""

    def run(self) -> None:
        """Build from nothing: what an earlier build left would be packed too."""
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()

    def build_module(self, module: str, module_file: str, package: str | list[str]) -> tuple[str, bool]:
        """Copy a module, with the rooms' names changed."""
        outfile, copied = super().build_module(module, module_file, package)
        Path(outfile).write_bytes(moved(Path(module_file).read_bytes(), module_file))
        return outfile, copied


def moved(source: bytes, name: str) -> bytes:
    """A module's source where the rooms are in the package. Nothing else of it changes, and no line's number."""
    lines = source.splitlines(keepends=True)
    changes = [change for node in ast.walk(ast.parse(source, name)) for change in _changes(node, lines, name)]
    for line, column, old, new in sorted(changes, reverse=True):  # from the end, so that columns stay true
        before, after = lines[line - 1][:column], lines[line - 1][column:]
        start = after.index(old)
        lines[line - 1] = before + after[:start] + new + after[start + len(old) :]
    return b"".join(lines)


def _changes(node: ast.AST, lines: list[bytes], name: str) -> Iterator[tuple[int, int, bytes, bytes]]:
    """(line, column in bytes, the text that is next from there on, what takes its place)."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.partition(".")[0] not in ROOMS:
                continue
            if "." in alias.name and not alias.asname:  # it would bind rl_recsys, and the code says the room's name
                raise SyntaxError(f"{name}:{node.lineno}: write `from ... import` or `import {alias.name} as ...`")
            bound = "" if alias.asname else f" as {alias.name}"
            yield _change(alias, alias.name, f"{PACKAGE}.{alias.name}{bound}")
    elif isinstance(node, ast.ImportFrom) and not node.level and node.module.partition(".")[0] in ROOMS:
        yield _change(node, f" {node.module} ", f" {PACKAGE}.{node.module} ")
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _names_a_module(node.value):
        yield _change(node, node.value, f"{PACKAGE}.{node.value}")


def _change(node: ast.alias | ast.stmt | ast.expr, old: str, new: str) -> tuple[int, int, bytes, bytes]:
    return node.lineno, node.col_offset, old.encode(), new.encode()


def _names_a_module(text: str) -> bool:
    """Whether a text is the dotted path of a module here, and not the name of a file, "jobs.json" say."""
    found = DOTTED.fullmatch(text)
    return found is not None and any((ROOT / found[1]).glob(f"{found[2]}*"))


if __name__ == "__main__":
    setup(
        packages=[*packages_of(PACKAGE, PACKAGE), *(name for r in ROOMS for name in packages_of(r, f"{PACKAGE}.{r}"))],
        package_dir={f"{PACKAGE}.{room}": room for room in ROOMS},
        cmdclass={"build_py": BuildPy, "editable_wheel": EditableWheel},
    )
