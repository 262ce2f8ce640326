"""The same rule as a server of OpenAI's chat completions, which reads the page in the prompt, as a model would.

    python docs/agents/rule_server.py 8000
    python jobs/evaluate_agent.py --shop shops/demo --chat http://127.0.0.1:8000/v1 --model rule --name r --out runs/c

It is for a look at the messages, and for trying a prompt's template without a model.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from rule_agent import act

PAGE, OFFERED, END = "The page now:\n", "\n\nActions that this page offers", "\n\nThink about"


def answer(prompt: str) -> str:
    """What the rule does about a prompt of the default template."""
    page = prompt.rpartition(PAGE)[2].partition(OFFERED)[0]
    actions = prompt.rpartition(OFFERED)[2].partition(END)[0].split("\n")[1:]
    clickables = [action[len("click[") : -1] for action in actions if action.startswith("click[")]
    offered = {"has_search_bar": "search[...]" in actions, "clickables": clickables}
    return f"The rule says <action>{act(page, offered)}</action>"


class Handler(BaseHTTPRequestHandler):
    """POST /v1/chat/completions."""

    def do_POST(self) -> None:
        """Answer the last message."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message = {"role": "assistant", "content": answer(asked["messages"][-1]["content"])}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = json.dumps({"object": "chat.completion", "model": asked["model"], "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
