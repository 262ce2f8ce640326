"""AgentGym's routes, in the order in which its client calls them."""

from __future__ import annotations

import httpx
import pytest

from algorithms.services.environment.app import environment_app
from rl_recsys.webshop import Shop
from tests.services.running import serving


@pytest.fixture(scope="module")
def client(shop_folder):
    with (
        serving(environment_app(sessions=3, idle_s=600, place=shop_folder)) as url,
        httpx.Client(base_url=f"{url}/agentgym") as opened,
    ):
        yield opened


@pytest.fixture
def number(client) -> int:
    made = client.post("/create").json()
    yield made
    client.post("/close", json={"env_idx": made})


def test_an_episode_is_the_shops(client, number, shop: Shop):
    session = shop.session(5)
    assert client.post("/reset", json={"env_idx": number, "session_id": 5}).json() == [session.page.text, None]
    for action in (f"search[{shop.goal(5).query}]", f"click[{shop.goal(5).asin}]", "click[buy now]"):
        for path, expected in (
            ("observation", session.page.text),
            ("available_actions", session.available_actions),
            (
                "state",
                {
                    "url": session.page.url,
                    "html": session.page.html,
                    "instruction_text": session.goal.instruction_text,
                },
            ),
        ):
            assert client.get(path, params={"env_idx": number}).json() == expected
        assert session.goal.instruction_text in client.get("instruction_text", params={"env_idx": number}).json()
        result = session.step(action)
        assert client.post("/step", json={"env_idx": number, "action": action}).json() == {
            "state": result.page.text, "reward": result.reward, "done": result.done, "info": None,
        }  # fmt: skip
    assert result.done
    assert client.get("instruction_text", params={"env_idx": number}).status_code == 409
    again = client.post("/step", json={"env_idx": number, "action": "search[shirt]"})
    assert (again.status_code, again.json()["detail"]) == (409, "no episode is under way: reset begins one")


def test_a_new_session_has_a_page_and_a_drawn_goal(client, number):
    assert client.get("observation", params={"env_idx": number}).json().startswith("WebShop [SEP] Instruction: [SEP]")
    drawn = {client.post("/reset", json={"env_idx": number}).json()[0] for _ in range(20)}
    assert len(drawn) > 5
    assert client.get("/").json() == "ok" and client.get("/list_envs").json() == [number]


def test_sessions_are_bounded_and_make_room_when_closed(client):
    numbers = [client.post("/create").json() for _ in range(3)]
    assert len(set(numbers)) == 3
    full = client.post("/create")
    assert (full.status_code, full.headers["retry-after"]) == (503, "600")
    assert "all 3 sessions are taken" in full.json()["detail"]
    assert [client.post("/close", json={"env_idx": number}).json() for number in numbers] == [True] * 3
    assert client.post("/close", json={"env_idx": numbers[0]}).json() is False
    assert client.get("/list_envs").json() == []


@pytest.mark.parametrize(
    "path, body, status",
    [
        ("/step", {"env_idx": 1, "action": "x"}, 404),
        ("/reset", {"env_idx": 1}, 404),
        ("/step", {"action": "x"}, 422),
        ("/step", {"env_idx": "one", "action": "x"}, 422),
        ("/step", {"env_idx": 1, "action": "x" * 10_001}, 422),
    ],
)
def test_what_is_amiss_is_named(client, path, body, status):
    answered = client.post(path, json=body)
    assert answered.status_code == status and answered.json()["detail"]


def test_a_goal_that_there_is_not(client, number):
    answered = client.post("/reset", json={"env_idx": number, "session_id": 10**6})
    assert answered.status_code == 422 and "goal 1000000 of" in answered.json()["detail"]


def test_several_processes_have_none_of_it(shop_folder):
    with serving(environment_app(sessions=3, idle_s=600, several_processes=True, place=shop_folder)) as url:
        assert httpx.post(f"{url}/agentgym/create").status_code == 404
