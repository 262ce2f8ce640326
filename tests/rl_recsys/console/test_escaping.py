"""Text of data reaches people and tools as text: real renderers show it and obey none of it."""

from __future__ import annotations

import io
import os
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from rich.console import Console
from rich.text import Text

from rl_recsys.console.escaping import (
    LABEL_LENGTH,
    for_label,
    for_markdown,
    for_picture,
    for_terminal,
)
from rl_recsys.console.terminal import print_rows, say
from rl_recsys.storage.file_names import FileNameError, require_file_name

SIGNS = "\\`*_{}[]<>()#+-.!|&~$=:\"'@%; \t\n\r\x1b\x00\x9b\u202e\u200b\u2028 019aé👟"
texts = st.one_of(st.text(), st.text(SIGNS), st.text(st.characters()))
RENDERER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
hostile = example("[/bold] [pack of 2] \x1b[2J\u202e|`a` <script>x</script>\n# $x_1$")


@given(texts)
@hostile
def test_a_terminal_gets_one_line_without_controls(text):
    shown = for_terminal(text)
    assert not [char for char in shown if unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs")]
    assert not [char for char in shown if unicodedata.bidirectional(char) in ("RLO", "LRO", "RLE", "LRE", "RLI", "LRI")]
    assert for_terminal(shown) == shown
    shown.encode()


@given(texts)
@hostile
def test_rich_shows_exactly_the_text(text):
    shown = for_terminal(text)
    console = Console(file=io.StringIO(), width=10_000, color_system="truecolor", force_terminal=True)
    console.print(Text(shown), highlight=False)
    assert console.file.getvalue().removesuffix("\n").rstrip() == shown.rstrip()


def _inline(tokens) -> list:
    return [child for token in tokens if token.type == "inline" for child in token.children]


@given(texts)
@hostile
@example("a #")
@example("a ##")
@example("1) a")
@example("---")
@example("\\|")
@example("&amp;")
@example("![a](b)")
@example("    code")
@example("+ item")
@example("10. item")
@example("--")
@example("- -")
@example("== ")
@example("=")
def test_markdown_renders_exactly_the_text_and_nothing_else(text):
    written, shown = for_markdown(text), for_terminal(text).strip()
    around = {
        f"{written}\n": ["paragraph_open", "inline", "paragraph_close"],
        f"## {written}\n": ["heading_open", "inline", "heading_close"],
        f"above\n{written}\n": ["paragraph_open", "inline", "paragraph_close"],
        f"- {written}\n": ["bullet_list_open", "list_item_open", "paragraph_open", "inline", "paragraph_close",
                           "list_item_close", "bullet_list_close"],
    }  # fmt: skip
    for document, types in around.items():
        tokens = RENDERER.parse(document)
        if shown:
            assert [token.type for token in tokens] == types, document
        assert {child.type for child in _inline(tokens)} <= {"text", "softbreak"}
        found = "".join("\n" if child.type == "softbreak" else child.content for child in _inline(tokens))
        assert found.removeprefix("above").strip() == shown
    tokens = RENDERER.parse(f"| a | b |\n| --- | --- |\n| {for_markdown(text, cell=True)} | 1 |\n")
    cells = [token.content for token in tokens if token.type == "inline"]
    assert len(cells) == 4 and cells[3] == "1"
    row = _inline(tokens)[2:-1]
    assert {child.type for child in row} <= {"text"} and "".join(child.content for child in row).strip() == shown


def test_figures_in_markdown_stay_readable():
    for figure in ("87.6 (82.1 to 92.3)", "-0.7 (-1.2 to +0.6)", "+1.5", "12,087", "3:20 min", "--learning-rate"):
        assert for_markdown(figure) == figure


@given(texts)
@hostile
def test_a_picture_has_no_formula(text):
    figure = Figure()
    label = figure.text(0, 0, for_picture(text))
    shown, is_formula = label._preprocess_math(label.get_text())
    assert not is_formula and shown == for_terminal(text)


@given(texts, texts)
@example("a" * 500, "a" * 501)
@example("a~b", "a%7Eb")
def test_labels_are_ascii_and_bounded_and_differ_where_the_texts_do(one, another):
    labels = for_label(one), for_label(another)
    assert all(label.isascii() and label.isprintable() and len(label) <= LABEL_LENGTH for label in labels)
    assert (labels[0] == labels[1]) == (one == another)


def test_ray_takes_a_label_of_any_text(ray_session):
    from ray.util.metrics import Gauge

    gauge = Gauge("rl_recsys_escaping_test", "A test", ("run",))
    gauge.set(1.0, {"run": for_label("läufe/\u202e👟\n\x1b")})


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "-rf", "=1+1", "@x", "+1", "_x", "a\nb", "a\x1b", "a\u202eb",
     "nul", "con.txt", "ends.", "ends ", "c:", "a*", "x" * 121, "x" + "👟" * 40],
)  # fmt: skip
def test_names_that_no_file_should_have_are_refused(name):
    with pytest.raises(FileNameError, match="cannot be the name of a file"):
        require_file_name(name, "arm")


@given(st.text())
@example("dpo, 100 generated")
@example("größe-1.5")
def test_a_name_that_is_taken_is_that_of_one_file_in_the_folder(name):
    try:
        require_file_name(name, "arm")
    except FileNameError as error:
        assert "\n" not in str(error) and str(error).startswith("arm ")
        return
    assert os.path.basename(os.path.normpath(os.path.join("folder", name))) == name
    assert os.path.dirname(os.path.normpath(os.path.join("folder", name))) == "folder"


def test_lines_and_tables_are_printed_as_they_are(capsys):
    say("[pack of 2] \x1b[2J")
    print_rows(("product", "price"), [("mug [/bold] [red]x[/red]\n\x1b[31m", "$9")], "[pack of 2]")
    shown = capsys.readouterr().out
    assert "[pack of 2] \\x1b[2J\n" in shown and "mug [/bold] [red]x[/red] \\x1b[31m" in shown and "\x1b" not in shown
    assert shown.count("[pack of 2]") == 2
