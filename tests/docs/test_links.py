"""README and docs name what is there, and the README stays short."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LOG = ROOT / "docs" / "log"  # says how things were: what it names may be gone
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED = re.compile(r"(?<![\w/.:$-])((?:jobs|algorithms|policies|envs|rl_recsys|tests|findings|docs)/[\w/.-]*\.\w+)")
TEST = re.compile(r"`(test_\w+\.py)`")


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def anchors(path: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text()):
        if link.startswith(("http:", "https:")):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{ids(page)} links to {place}, which is not there"
        assert target.is_relative_to(ROOT), f"{ids(page)} links to {place}, outside the repository"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{ids(page)} links to #{anchor}, which {ids(target)} does not have"


@pytest.mark.parametrize("page", [page for page in PAGES if LOG not in page.parents], ids=ids)
def test_files_that_are_named_are_there(page):
    text = page.read_text()
    for path in NAMED.findall(text):
        assert (ROOT / path.rstrip(".")).exists(), f"{ids(page)} names {path}, which is not there"
    for name in TEST.findall(text):
        assert any((ROOT / "tests").rglob(name)), f"{ids(page)} names {name}, which is not there"


def test_every_page_can_be_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            links = [link.partition("#")[0] for link in LINK.findall(page.read_text())]
            waiting += [(page.parent / link).resolve() for link in links if link.endswith(".md") and ":" not in link]
    assert set(PAGES) <= reached, sorted(map(ids, set(PAGES) - reached))


def test_the_readme_is_short():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    assert len(text.split()) <= 900
