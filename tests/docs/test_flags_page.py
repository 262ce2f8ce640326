"""The page of flags is what the jobs' dataclasses say."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_flags_is_up_to_date():
    page = runpy.run_path(str(DOCS / "make_flags.py"))["page"]()
    assert (DOCS / "reference" / "flags.md").read_text() == page, "run: python docs/make_flags.py"
