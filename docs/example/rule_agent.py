"""WebShop's rule baseline as an agent of your own: a function, and a process that speaks JSON lines."""

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


if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        if "observation" in asked:  # else it tells what a session earned
            print(json.dumps({"action": act(SimpleNamespace(**asked))}), flush=True)
