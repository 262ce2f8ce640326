"""One table on the terminal and in Markdown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from rl_recsys.console.escaping import for_terminal
from rl_recsys.console.table import Table

COLUMNS = ("arm", "success %")
texts = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: for_terminal(text).strip())


def test_a_table_says_the_same_on_the_terminal_and_in_markdown(capsys):
    table = Table("4 [test] goals", COLUMNS, [("dpo", "75.0"), ("a|b", "-")], "By $x$.")
    table.show()
    shown = capsys.readouterr().out
    for text in ("4 [test] goals", *COLUMNS, "dpo", "75.0", "a|b", "By $x$."):
        assert text in shown
    assert table.to_markdown() == (
        "4 \\[test\\] goals\n\n| arm | success % |\n| --- | --- |\n| dpo | 75.0 |\n| a\\|b | - |\n\nBy \\$x\\$.\n"
    )
    bare = Table("", COLUMNS, [])
    assert bare.to_markdown() == bare.markdown_rows() == "| arm | success % |\n| --- | --- |\n"


@given(texts, st.lists(st.tuples(texts, texts), max_size=3), texts)
def test_whatever_it_holds_it_is_one_table_between_two_paragraphs(title, rows, caption):
    tokens = MarkdownIt("commonmark").enable("table").parse(Table(title, COLUMNS, rows, caption).to_markdown())
    assert [token.type for token in tokens if token.level == 0 and token.nesting >= 0] == [
        "paragraph_open", "table_open", "paragraph_open"
    ]  # fmt: skip
    assert sum(token.type == "tr_open" for token in tokens) == 1 + len(rows)
