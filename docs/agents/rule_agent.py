"""WebShop's rule as an agent that reads text: search the instruction, open the first product, buy.

python jobs/evaluate_agent.py --shop shops/demo --function docs.agents.rule_agent:act --name rule --out runs/rule
"""

from __future__ import annotations

BUTTONS = {"back to search", "< prev", "next >"}


def act(observation: str, available_actions: dict) -> str:
    """What to do on a page. The observation is WebShop's text_rich: a string a line."""
    labels = available_actions["clickables"]
    if available_actions["has_search_bar"]:
        instruction = observation.split("\n")[2]
        return f"search[{instruction.replace('[', ' ').replace(']', ' ').strip()}]"
    if "buy now" in labels:
        return "click[buy now]"
    products = [label for label in labels if label not in BUTTONS]
    return f"click[{products[0] if products else 'back to search'}]"
