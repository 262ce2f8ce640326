"""Text from data, made harmless where it is shown: on a terminal, in Markdown, in a picture, as a metric's label.

A title, an option, a request, an arm's or a folder's name may hold markup, escape sequences and line breaks. In HTML
jinja escapes what ``for_terminal`` leaves.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote

LABEL_LENGTH = 120  # characters
_BREAKS = re.compile("[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
# What a terminal obeys or cannot show: C0 and C1 controls, marks that turn the direction of writing, lone surrogates.
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_MARKDOWN = re.compile(r"[\\`*_\[\]<>&|~$]")
# What begins a heading, a list, or the line under a heading; what ends a heading.
_BLOCK = re.compile(r"^(?:(?=#)|(?=[+\-=](?:\s|[\-=\s]*$))|([0-9]{1,9})(?=[.)](?:\s|$)))|(?<=\s)(?=#+$)")
_LABEL_SAFE = " !#&'()*+,-./:;<=>?@[]^_`{|}"  # ASCII beside letters and digits; "~" ends what was cut


def for_terminal(text: str) -> str:
    r"""A text as one line that no terminal obeys: line breaks and tabs are spaces, other controls are written out.

    It is plain text: rich shows it as it is in a ``Text``, not as a string with markup.

    >>> for_terminal("red\n\x1b[2J mug")
    'red \\x1b[2J mug'
    """
    return _UNSHOWN.sub(lambda found: ascii(found[0])[1:-1], _BREAKS.sub(" ", text))


def for_markdown(text: str, *, cell: bool = False) -> str:
    r"""A text for a line in Markdown or, with ``cell``, of a table, where it reads as ``for_terminal`` has it.

    Spaces at its ends are dropped, as Markdown drops them.

    >>> for_markdown("# 2 mugs | [new] *blue*")
    '\\# 2 mugs \\| \\[new\\] \\*blue\\*'
    """
    escaped = _MARKDOWN.sub(r"\\\g<0>", for_terminal(text).strip())
    return escaped if cell else _BLOCK.sub(r"\g<1>\\", escaped)


def for_picture(text: str) -> str:
    r"""A text in a matplotlib picture, which takes what stands between two dollar signs for a formula.

    >>> for_picture("$9 to $12")
    '\\$9 to \\$12'
    """
    return for_terminal(text).replace("$", r"\$")


def for_label(text: str) -> str:
    """A text as the value of a metric's label: ASCII, as Ray's metrics take no other, and ``LABEL_LENGTH`` at most.

    Two texts never have the same label: what is not ASCII is percent-encoded, and a long one ends in its digest.

    >>> for_label("läufe/a")
    'l%C3%A4ufe/a'
    """
    data = text.encode("utf-8", "surrogatepass")
    # quote never encodes "~" itself.
    label = quote(data, safe=_LABEL_SAFE).replace("~", "%7E")
    if len(label) <= LABEL_LENGTH:
        return label
    digest = hashlib.sha256(data).hexdigest()[:16]
    return f"{label[: LABEL_LENGTH - len(digest) - 1]}~{digest}"
