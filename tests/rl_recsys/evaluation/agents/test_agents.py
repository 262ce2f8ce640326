"""Agents from elsewhere: what they are asked, and what is said where they do not answer."""

from __future__ import annotations

import json
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from string import Template

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_recsys.errors import UserError
from rl_recsys.evaluation.agents import chat
from rl_recsys.evaluation.agents.chat import DEFAULT_TEMPLATE, ChatAgent, action_of, read_template
from rl_recsys.evaluation.agents.function import FunctionAgent
from rl_recsys.evaluation.agents.process import LONGEST_REPLY, ProcessAgent
from rl_recsys.evaluation.agents.turn import AgentError, Turn

OFFERED = {"has_search_bar": True, "clickables": ["search", "buy now"]}
TURN = Turn(4, 17, 2, 15, "a red shirt, under $20", "the page", OFFERED, [("p1", "a1"), ("p2", "a2"), ("p3", "a3")])
WHERE = r"episode 4 \(goal 17\), step 3: "


def test_a_function_is_found_by_its_name_and_called_with_the_page(tmp_path, monkeypatch):
    (tmp_path / "my_own_agent.py").write_text(
        "def act(page, offered):\n    return f'{page}|{sorted(offered)}'\nx = 1\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    agent = FunctionAgent.named("my_own_agent:act")
    assert agent.act(TURN) == "the page|['clickables', 'has_search_bar']"
    for name, said in {
        "my_own_agent": "write MODULE:FUNCTION",
        "my_own_agent:x": "has no function x",
        "my_own_agent:none": "has no function none",
        "no_such_module:act": "there is no module no_such_module",
    }.items():
        with pytest.raises(UserError, match=said):
            FunctionAgent.named(name)


def test_what_a_function_does_instead_of_acting_is_said_with_the_episode():
    with pytest.raises(AgentError, match=WHERE + "the function raised ZeroDivisionError"):
        FunctionAgent(lambda page, offered: 1 / 0).act(TURN)
    with pytest.raises(AgentError, match=WHERE + "the function returned None"):
        FunctionAgent(lambda page, offered: None).act(TURN)


def process(code: str, patience: float = 20.0) -> ProcessAgent:
    """A Python process that runs this code."""
    return ProcessAgent(shlex.join([sys.executable, "-c", f"import json, sys, time\n{code}"]), patience=patience)


def test_a_process_is_asked_a_line_and_answers_one():
    code = "for line in sys.stdin:\n    print(json.dumps({'action': line}), flush=True)"
    with closing(process(code)) as agent:
        wide = Turn(4, 17, 0, 15, "é \ud800", "x" * 300_000, OFFERED)  # more than a pipe holds
        for turn in (TURN, wide, TURN):
            assert json.loads(agent.act(turn)) == {
                "episode": 4, "step": turn.step, "max_steps": 15, "instruction": turn.instruction,
                "observation": turn.observation, "available_actions": OFFERED,
            }  # fmt: skip
    assert agent._process.returncode == 0  # it ended by itself, as its input did


@pytest.mark.parametrize(
    ("code", "patience", "said"),
    [
        ("sys.stdin.readline(); sys.exit(3)", 20, "wrote no action: it ended with status 3"),
        ("import os, signal; sys.stdin.readline(); os.kill(os.getpid(), 9)", 20, "wrote no action: signal 9 ended it"),
        ("sys.stdin.readline(); print('Loading ...', flush=True)", 20, "'Loading ...', which is no JSON"),
        ("sys.stdin.readline(); print('[' * 100000, flush=True)", 20, "which is no JSON"),
        ("sys.stdin.readline(); print('[1]', flush=True)", 20, r"'\[1\]', expected"),
        ("sys.stdin.readline(); print('{\"action\": 1}', flush=True)", 20, "expected"),
        ('sys.stdin.readline(); print(\'{"error": "no credit"}\', flush=True)', 20, "gave up: no credit"),
        (f"sys.stdin.readline(); print('x' * {LONGEST_REPLY + 9})", 20, "a line of more than"),
        ("sys.stdin.readline(); sys.stdin.readline()", 0.3, "no action within 0.3 s; --patience"),
    ],
)
def test_what_a_process_does_instead_of_acting_is_said_with_the_episode(code, patience, said):
    with closing(process(code, patience)) as agent, pytest.raises(AgentError, match=WHERE + "the process .*" + said):
        agent.act(TURN)
    assert agent._process.returncode is not None  # none is left behind


def test_a_command_that_cannot_be_started_is_named():
    for command, said in {"": "it is empty", "a 'b": "quotation", "/no/such/program": "No such file"}.items():
        with pytest.raises(UserError, match=f"--process.*{said}"):
            ProcessAgent(command, patience=1)


@contextmanager
def serving(answer: Callable[[dict, dict], tuple[int, bytes]]) -> Iterator[str]:
    """The base address of a real server; ``answer`` gives status and body for a request's headers and body."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, found = answer({"path": self.path, **self.headers}, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            self.wfile.write(found)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def model(address: str, template: Template | None = None) -> ChatAgent:
    template = template or read_template(DEFAULT_TEMPLATE)
    return ChatAgent(address, model="m-1", template=template, temperature=0.4, patience=20)


def completion(content: str | None) -> bytes:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}).encode()


def test_a_model_is_asked_with_the_prompt_and_its_tagged_action_taken(monkeypatch):
    asked = []

    def answer(head, body):
        asked.append((head, body))
        return 200, completion("I <action>no</action> think <action> click[Buy Now]\n</action>.")

    monkeypatch.setenv(chat.API_KEY, "k-1")
    with serving(answer) as address:
        assert model(f"{address}/").act(TURN) == "click[Buy Now]"
    ((head, body),) = asked
    assert head["path"] == "/v1/chat/completions" and head["Authorization"] == "Bearer k-1"
    assert body["model"] == "m-1" and body["temperature"] == 0.4
    ((prompt),) = [message["content"] for message in body["messages"]]
    assert "a red shirt, under $20" in prompt and "the page" in prompt and "13 steps left" in prompt
    assert "search[...]\nclick[buy now]" in prompt and "click[search]" not in prompt
    assert "p1" not in prompt and "Step 2, the page:\np2\nYou did: a2" in prompt and "Step 3, the page:\np3" in prompt


def test_a_server_that_is_busy_is_asked_again_and_one_that_refuses_is_not(monkeypatch):
    monkeypatch.setattr(chat, "PAUSES_S", (0.0, 0.0))
    monkeypatch.delenv(chat.API_KEY, raising=False)
    statuses = [503, 429, 200, 503, 503, 503, 401]

    def answer(head, body):
        assert "Authorization" not in head
        return statuses.pop(0), completion(None)

    with serving(answer) as address:
        assert model(address).act(TURN) == ""  # it said nothing: an action that changes nothing
        with pytest.raises(AgentError, match=WHERE + ".*status 503"):
            model(address).act(TURN)
        with pytest.raises(AgentError, match=WHERE + ".*status 401"):
            model(address).act(TURN)
    assert not statuses
    with pytest.raises(AgentError, match=WHERE + ".*refused"):  # nobody is there any more
        model(address).act(TURN)
    with pytest.raises(UserError, match="write an address"):
        model("127.0.0.1:8000")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"choices": []}', b'{"error": {"message": "no"}}', b"\xff"])
def test_what_is_no_completion_is_said_with_the_episode(body):
    with serving(lambda *_: (200, body)) as address, pytest.raises(AgentError, match=WHERE + ".*which is no"):
        model(address).act(TURN)


def test_a_template_says_what_the_model_reads(tmp_path):
    path = tmp_path / "prompt.txt"
    path.write_text("$observation costs $$5, ${steps_left} left")
    agent = model("http://127.0.0.1:1/v1", read_template(path))
    assert agent.prompt(TURN) == "the page costs $5, 13 left"
    for text, said in {
        "$instruction": r"no \$observation",
        "$observation $page": r"no field \$page",
        "$ 5": "alone",
    }.items():
        path.write_text(text)
        with pytest.raises(UserError, match=f"{path}: .*{said}"):
            read_template(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_template(tmp_path / "none.txt")


@given(st.text("a <>/\n", max_size=20), st.text("a[é \n", max_size=20))
def test_an_action_is_what_the_last_tags_enclose(before, action):
    assert action_of(f"{before}<action>{action}</action> so") == action.strip()
    assert action_of(action) == action.strip()
