"""A study's pages show the texts of arms, products and settings as texts, in HTML and in Markdown."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from rl_recsys.console.escaping import for_terminal
from rl_recsys.console.table import Table
from rl_recsys.core.example_sessions import ExampleSession, SessionStep
from rl_recsys.evaluation.plots import by_size, learning_curves, running_means
from rl_recsys.evaluation.report_page import Picture, Report, write_report

HOSTILE = (
    "<script>document.title='x'</script> a|b `c` [d](http://e) **f** _g_ $x_1$ # 1. \x1b[2J \u202eh\n- i\r\n</table> "
    "{{ 7 * 7 }}"
)
SHOWN = for_terminal(HOSTILE)


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, page: str):
        super().__init__()
        self.elements: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.elements.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


def report(folder, text: str) -> Report:
    path = folder / "figure.png"
    learning_curves({text: [[(0.0, 0.1), (1.0, 0.5)]]}, {text: 0.2}, path, text)
    running_means({(text, 0): [(1, 0.5), (2, 0.6)]}, folder / "running.png", text, text)
    by_size({text: [(2, 50.0, 40.0, 60.0)]}, {text: (50.0, 40.0, 60.0)}, folder / "size.png", text)
    table = Table(text, [text, "success"], [[text, "-0.7 (-1.2 to +0.6)"], [text, "-"]], text)
    session = ExampleSession(text, text, text, True, [SessionStep(text, text, 3)])
    return Report(
        text, [text], table, table, [text], [Picture(text, path, text)], [table], [session], text, {text: text}
    )


def test_html_has_the_texts_and_no_element_of_theirs(folder):
    write_report(report(folder, "plain"), folder)
    plain = Page((folder / "report.html").read_text())
    write_report(report(folder, HOSTILE), folder)
    hostile = Page((folder / "report.html").read_text())
    assert hostile.elements == plain.elements
    assert hostile.text.count(SHOWN) == plain.text.count("plain") > 10
    assert "49" not in re.sub(r"base64,[^\"]*", "", hostile.text) and "\x1b" not in hostile.text


def test_markdown_renders_the_texts_and_no_element_of_theirs(folder):
    found = []
    for text in ("plain", HOSTILE):
        write_report(report(folder, text), folder)
        tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse((folder / "report.md").read_text())
        inline = [child for token in tokens for child in token.children or ()]
        found.append(([one.type for one in tokens], [one.type for one in inline if one.type != "text"]))
        words = " ".join(child.content for child in inline)
    assert found[0] == found[1]
    assert words.count(SHOWN) > 10
    assert "| -0.7 (-1.2 to +0.6) |" in (folder / "report.md").read_text()
