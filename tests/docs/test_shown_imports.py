"""What README and docs import is there, by names that a checkout and a wheel have alike."""

from __future__ import annotations

import ast
import re
import textwrap
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOG = ROOT / "docs" / "log"  # says how things were
PAGES = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").rglob("*.md") if LOG not in page.parents)]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
#: Folders of the checkout that a wheel has inside rl_recsys (docs/packaging.md).
ONLY_IN_A_CHECKOUT = {"envs", "policies", "algorithms", "jobs"}


def imports(page: Path) -> list[tuple[str, str | None]]:
    """(module, name) of each import; the name is None where the whole module is imported."""
    pairs: list[tuple[str, str | None]] = []
    for block in BLOCK.findall(page.read_text()):
        for node in ast.walk(ast.parse(textwrap.dedent(block))):
            if isinstance(node, ast.Import):
                pairs += [(alias.name, None) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                pairs += [(str(node.module), alias.name) for alias in node.names]
    return pairs


SHOWN = [(page, module, name) for page in PAGES for module, name in imports(page)]


IDS = [f"{page.stem}-{name or module}" for page, module, name in SHOWN]


@pytest.mark.parametrize("page,module,name", SHOWN, ids=IDS)
def test_a_shown_import_works_in_a_checkout_and_in_a_wheel(page, module, name):
    room, *_ = module.split(".")
    assert room not in ONLY_IN_A_CHECKOUT, f"{page.name}: a wheel has this as rl_recsys.{module}"
    if room == "rl_recsys":
        shown = import_module(module)
        assert name is None or hasattr(shown, name) or import_module(f"{module}.{name}")


def test_there_are_imports():
    assert len(SHOWN) > 10
