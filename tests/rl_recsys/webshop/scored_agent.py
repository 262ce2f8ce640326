"""WebShop's rule baseline as somebody else would write it: a function, and a process that speaks JSON lines."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace


def act(turn):
    """Search the instruction, open the first product, buy."""
    if turn.has_search_bar:
        return f"search[{turn.instruction}]"
    if "buy now" in turn.clickables:
        return "click[buy now]"
    products = [label for label in turn.clickables if len(label) == 10 and label.startswith("b0")]
    return f"click[{products[0]}]" if products else "click[back to search]"


def number(turn):
    """No action."""
    return 7


def main(manner):
    """Answer each line, in this manner."""
    for line in sys.stdin:
        asked = json.loads(line)
        if "observation" not in asked:
            continue
        if manner == "die":
            sys.exit("out of luck")
        if manner == "slow":
            continue
        answer = "hello" if manner == "nonsense" else json.dumps({"action": act(SimpleNamespace(**asked))})
        print(answer, flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "well")
