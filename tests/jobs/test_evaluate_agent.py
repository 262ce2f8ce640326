"""Anybody's agent scored through each door: the same agent, the same number."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from policies.base import load_policy
from policies.play import policy_episodes
from rl_recsys.core.play import baseline_episodes
from rl_recsys.errors import UserError
from rl_recsys.webshop.agents.doors import AddressAgent, AgentError, FunctionAgent, ProcessAgent
from rl_recsys.webshop.agents.protocols import VERL_GOALS, seen_share, verl_goals
from rl_recsys.webshop.agents.session import play_agent
from tests.jobs.test_jobs import main_of
from tests.rl_recsys.webshop import scored_agent

GOALS = 12
FUNCTION = "tests.rl_recsys.webshop.scored_agent:act"
COMMAND = f"{sys.executable} {scored_agent.__file__}"


class Model(BaseHTTPRequestHandler):
    """An OpenAI-compatible server whose model follows the rule, from nothing but the prompt."""

    refusals: Counter = Counter()
    asked: list = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        refusal = body["model"]
        if refusal.isdigit() and self.refusals[refusal] < (1 if refusal == "503" else 9):
            self.refusals[refusal] += 1
            self.send_response(int(refusal))
            self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(b"not now")
            return
        prompt = body["messages"][0]["content"]
        clickables = re.findall(r"^click\[(.+)\]$", prompt, re.MULTILINE)
        turn = SimpleNamespace(
            instruction=re.search(r"^Task: (.*)$", prompt, re.MULTILINE)[1],
            has_search_bar="\nsearch[<words>]" in prompt,
            clickables=clickables,
        )
        said = "I might click[back to search], but " + scored_agent.act(turn)
        answer = json.dumps({"choices": [{"message": {"role": "assistant", "content": said}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture(scope="module")
def address():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


@pytest.fixture
def score(shop_folder, tmp_path, capsys):
    """The job on a few goals; its results."""

    def run(*flags, out="scored", goals=GOALS):
        main_of("evaluate_agent", capsys)("--shop", shop_folder, "--goals", goals, "--out", tmp_path / out, *flags)
        return json.loads((tmp_path / out / "results.json").read_text())

    return run


def address_agent(address, model="rule", **options):
    asked = {"template": None, "temperature": 0.0, "answer_s": 10.0, "seed": 0} | options
    return AddressAgent(address, model, **asked)


def test_the_rule_has_one_number_through_every_door(score, address, task):
    played = list(baseline_episodes(task, task.split("test")[:GOALS], "rule"))
    for door in (("--function", FUNCTION), ("--command", COMMAND), ("--address", address)):
        found = score(*door, out=door[0])
        agent, rule, *_ = found["arms"]
        assert agent["score"] == rule["score"] == pytest.approx(100 * sum(one.reward for one in played) / GOALS)
        assert (agent["success"], agent["steps"]) == (rule["success"], rule["steps"])
        assert found["invalid_actions"] == 0 and found["protocol"]["goals"] == GOALS and found["made_with"]
    assert {body["temperature"] for body in Model.asked} == {0.0}


def test_a_policy_folder_has_the_number_that_it_has_elsewhere(score, policy_folder, task):
    played = list(policy_episodes(load_policy(policy_folder), task, task.split("test")[:GOALS], greedy=True))
    agent = score("--policy", policy_folder)["arms"][0]
    assert agent["score"] == pytest.approx(100 * sum(one.reward for one in played) / GOALS)
    assert agent["steps"] == pytest.approx(sum(one.steps for one in played) / GOALS)


def test_what_was_played_is_not_played_again_and_another_agent_is_refused(score, tmp_path):
    score("--function", FUNCTION)
    episodes = tmp_path / "scored" / "episodes.jsonl"
    rows = episodes.read_text().splitlines()
    first = json.loads(rows[0]) | {"reward": 0.123}
    episodes.write_text("\n".join([json.dumps(first), *rows[1:5]]) + "\n" + rows[5][:20])  # a kill cut it
    score("--function", FUNCTION)
    again = [json.loads(row) for row in episodes.read_text().splitlines()]
    assert again[0]["reward"] == 0.123 and again[1:] == [json.loads(row) for row in rows[1:]]
    with pytest.raises(UserError, match="begun with other settings"):
        score("--function", FUNCTION, "--max-steps", 9)


@pytest.mark.parametrize(
    ("manner", "said"),
    [
        ("die", "session 0, step 0: the process ended with exit status 1"),
        ("nonsense", r"session 0, step 0: it answered b'hello', expected"),
        ("slow", "session 0, step 0: no answer in 0.5 s; --answer-seconds"),
    ],
)
def test_a_process_that_does_not_answer_is_named_with_the_session(shop, manner, said):
    agent = ProcessAgent(f"{COMMAND} {manner}", answer_s=30 if manner != "slow" else 0.5)
    try:
        with pytest.raises(AgentError, match=said):
            play_agent(shop, agent, 0, 0, max_steps=15)
    finally:
        agent.close()


def test_what_is_no_agent_is_refused(shop, address, tmp_path):
    with pytest.raises(AgentError, match="no such function"):
        FunctionAgent("tests.nowhere:act")
    with pytest.raises(AgentError, match="7 is no action"):
        play_agent(shop, FunctionAgent(FUNCTION.replace(":act", ":number")), 0, 0, max_steps=15)
    (tmp_path / "template").write_text("$instruction for $5")
    with pytest.raises(AgentError, match=r"it may have \$instruction"):
        address_agent(address, template=tmp_path / "template")
    with pytest.raises(AgentError, match="HTTP 401: not now"):
        play_agent(shop, address_agent(address, "401"), 0, 0, max_steps=15)


def test_a_busy_address_is_asked_again_and_a_template_is_used(shop, address, tmp_path):
    (tmp_path / "template").write_text("Task: $instruction\n$actions\nfor $$5, $history")
    agent = address_agent(address, "503", template=tmp_path / "template", temperature=0.4)
    played = play_agent(shop, agent, 0, 3, max_steps=15)
    assert Model.refusals["503"] == 1 and played.outcome.bought
    prompt, temperature = Model.asked[-1]["messages"][0]["content"], Model.asked[-1]["temperature"]
    assert prompt.endswith(f"for $5, {'1. ' + 'search['}{shop.goal(3).instruction_text}]\n2. {prompt.split('2. ')[1]}")
    assert temperature == 0.4


def test_an_action_that_cannot_be_done_counts_as_a_step(shop):
    said = iter(["dance", "click[buy now]", "search[]", *["search[shoes]"] * 9])
    agent = SimpleNamespace(act=lambda turn: next(said), ended=lambda *told: None)
    played = play_agent(shop, agent, 0, 0, max_steps=5)
    assert (played.outcome.steps, played.outcome.reward, played.outcome.bought, played.invalid) == (5, 0.0, False, 4)


def test_verl_agents_validations_scatter_and_are_of_training_goals(score, shop, tmp_path):
    protocol = verl_goals(shop, 3, 0)
    assert [len(goals) for goals in protocol.validations] == [VERL_GOALS] * 3
    assert len({tuple(goals) for goals in protocol.validations}) == 3 and protocol == verl_goals(shop, 3, 0)
    assert max(protocol.goals) < shop.goal_count
    found = score("--function", FUNCTION, "--protocol", "verl-128", "--validations", 3)
    assert [one["training_goals"] for one in found["validations"]] == [
        seen_share(shop, goals) for goals in protocol.validations
    ]
    rewards = [json.loads(row)["reward"] for row in (tmp_path / "scored" / "episodes.jsonl").read_text().splitlines()]
    scores = [100 * sum(rewards[n * VERL_GOALS : (n + 1) * VERL_GOALS]) / VERL_GOALS for n in range(3)]
    assert [one["score"] for one in found["validations"]] == pytest.approx(scores)


def test_a_leaderboard_has_a_table_for_what_can_be_compared(score, tmp_path, capsys):
    score("--function", FUNCTION, out="one")
    score("--command", COMMAND, "--name", "mine", out="two")
    score("--function", FUNCTION, out="three", goals=5)
    results = [tmp_path / name / "results.json" for name in ("one", "two", "three")]
    write, board = main_of("leaderboard", capsys), tmp_path / "LEADERBOARD.md"
    write(*results, "--out", board)
    page = board.read_text()
    assert page.count("## webshop, test") == 2 and page.count("| mine | command |") == 1
    assert page.count("| heuristic | rules |") == 2
    write(*results, "--out", board)
    (tmp_path / "notes.md").write_text("mine")
    with pytest.raises(UserError, match="is no leaderboard"):
        write(*results, "--out", tmp_path / "notes.md")
    results[0].write_text("{}")
    with pytest.raises(UserError, match=r"one/results.json: damaged .*jobs/evaluate_agent.py"):
        write(*results, "--out", board)
