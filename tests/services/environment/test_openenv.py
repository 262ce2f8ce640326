"""OpenEnv's protocol: the frames that its clients send, what is refused, and what ends a session."""

from __future__ import annotations

import asyncio
import json

import httpx
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from algorithms.services.environment.app import environment_app
from algorithms.services.environment.openenv import answer
from algorithms.services.sessions import Sessions
from envs.webshop_choice import WebShopChoiceEnv
from envs.webshop_served import ServedShop
from envs.wire import to_array
from rl_recsys.core.text_encoding import EncodingShape
from tests.conftest import SMALL
from tests.services.running import serving

#: What OpenEnv's GenericEnvClient sends in docs/doors/clients/openenv_client.py, to the byte: 0.10.0 and 0.3.0 alike.
FRAMES = [
    '{"type": "reset", "data": {"goal": 3, "observation_mode": "text"}}',
    '{"type": "step", "data": {"action": "search[Show me nut free crackers for]"}}',
    '{"type": "step", "data": {"action": "click[b0w8ait07j]"}}',
    '{"type": "step", "data": {"action": "click[buy now]"}}',
    '{"type": "state"}',
    '{"type": "step", "data": {"action": "click[buy now]"}}',
    '{"type": "reset", "data": {"seed": 1, "split": "test"}}',
    '{"type": "close"}',
]


@pytest.fixture(scope="module")
def served(shop_folder, policy_folder) -> ServedShop:
    return ServedShop(shop_folder, policy=policy_folder)


@pytest.fixture(scope="module")
def server(shop_folder, policy_folder):
    with serving(environment_app(sessions=8, idle_s=600, place=shop_folder, policy=policy_folder)) as url:
        yield url


def ask(session, message) -> dict:
    return json.loads(asyncio.run(answer(session, message if isinstance(message, str) else json.dumps(message))))


def begun(served, **data):
    session = served.session()
    assert ask(session, {"type": "reset", "data": data})["type"] == "observation"
    return session


def test_an_episode(served, shop):
    session = served.session()
    first = ask(session, {"type": "reset", "data": {"goal": 3, "episode_id": "mine"}})["data"]
    assert first["reward"] is None and first["done"] is False
    assert first["observation"]["instruction_text"] == shop.goal(3).instruction_text
    actions = [f"search[{shop.goal(3).query}]", f"click[{shop.goal(3).asin}]", "click[buy now]"]
    for action in actions:
        last = ask(session, {"type": "step", "data": {"action": action}})["data"]
    assert last["done"] and 0 < last["reward"] <= 1 and last["observation"]["reward_parts"]
    state = ask(session, {"type": "state"})["data"]
    assert (state["episode_id"], state["step_count"], state["done"], state["session_id"]) == ("mine", 3, True, "3")
    after = ask(session, {"type": "step", "data": {"action": "click[buy now]"}})["data"]
    assert after == {"message": "no episode is under way: reset begins one", "code": "EXECUTION_ERROR"}


@pytest.mark.parametrize(
    "message, code, said",
    [
        ("{", "INVALID_JSON", "not JSON"),
        ("[" * 100_000, "INVALID_JSON", "not JSON"),
        ("[1]", "VALIDATION_ERROR", "a message is"),
        ("{}", "UNKNOWN_TYPE", "unknown type None: reset, step, state or close"),
        ({"type": ["step"]}, "UNKNOWN_TYPE", "unknown type"),
        ({"type": "step"}, "VALIDATION_ERROR", 'a step needs "data"'),
        ({"type": "step", "data": 3}, "VALIDATION_ERROR", "valid dictionary"),
        ({"type": "step", "data": {}}, "VALIDATION_ERROR", "action: Field required"),
        ({"type": "step", "data": {"action": 3}}, "VALIDATION_ERROR", "action: Input should be a valid string"),
        ({"type": "step", "data": {"action": "x" * 10_001}}, "VALIDATION_ERROR", "at most 10000 characters"),
        ({"type": "step", "data": {"action": "x", "why": "y"}}, "VALIDATION_ERROR", "why: Extra inputs"),
        ({"type": "step", "data": {"action": "x"}, "more": 1}, "VALIDATION_ERROR", "nothing else"),
        ({"type": "reset", "data": {"colour": 1}}, "VALIDATION_ERROR", "colour: Extra inputs"),
        ({"type": "reset", "data": {"goal": -1}}, "VALIDATION_ERROR", "goal"),
        ({"type": "reset", "data": {"goal": 10**6}}, "EXECUTION_ERROR", "goal 1000000 of"),
        ({"type": "reset", "data": {"goals": [10**6]}}, "EXECUTION_ERROR", ""),
        ({"type": "reset", "data": {"goals": []}}, "VALIDATION_ERROR", "goals"),
        ({"type": "reset", "data": {"split": "dev"}}, "EXECUTION_ERROR", "no split 'dev'"),
        ({"type": "reset", "data": {"split": "test", "index": 10**6}}, "EXECUTION_ERROR", "goals, none at 1000000"),
        ({"type": "reset", "data": {"index": 1}}, "EXECUTION_ERROR", "it is of a split"),
        ({"type": "reset", "data": {"split": "test", "goals": [1]}}, "EXECUTION_ERROR", "drawn from one of them"),
        ({"type": "reset", "data": {"reveal_goal": True}}, "EXECUTION_ERROR", "shows no goals"),
        ({"type": "reset", "data": {"observation_mode": "image"}}, "VALIDATION_ERROR", "observation_mode"),
        ({"type": "mcp", "data": {"id": 7}}, None, "Environment does not support MCP"),
    ],
)
def test_what_is_amiss_is_named_and_the_episode_goes_on(served, message, code, said):
    session = begun(served, goal=1)
    reply = ask(session, message)
    if code is None:
        assert reply == {"type": "mcp", "data": {"jsonrpc": "2.0", "id": 7, "error": {"code": -32603, "message": said}}}
    else:
        assert (reply["type"], reply["data"]["code"]) == ("error", code)
        assert said in reply["data"]["message"]
    assert ask(session, {"type": "step", "data": {"action": "nothing"}})["data"]["done"] is False


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
RESETS = st.dictionaries(
    st.sampled_from(["seed", "goal", "goals", "session", "split", "index", "max_steps", "arrays", "observation_mode"]),
    ANYTHING | st.integers(0, 9) | st.sampled_from(["test", "train", "url"]),
)


@settings(max_examples=150)
@given(data=RESETS | st.fixed_dictionaries({"action": ANYTHING}), kind=st.sampled_from(["reset", "step", "state", "x"]))
def test_no_message_breaks_a_session(served, data, kind):
    session = begun(served, goal=1)
    reply = ask(session, {"type": kind, "data": data})
    assert "a mistake of the server's" not in str(reply)
    assert reply["type"] in ("observation", "state", "error")
    assert ask(session, {"type": "reset"})["type"] == "observation"


def test_sessions_of_one_seed_start_alike_and_are_apart(served):
    one, other = begun(served, seed=5, split="train"), begun(served, seed=5, split="train")
    alike = [ask(session, {"type": "reset", "data": {"split": "train"}})["data"] for session in (one, other)]
    assert alike[0] == alike[1], "and go on alike"
    ask(one, {"type": "step", "data": {"action": "search[shirt]"}})
    assert ask(other, {"type": "state"})["data"]["step_count"] == 0
    assert ask(other, {"type": "step", "data": {"action": "none"}})["data"]["observation"] == alike[1]["observation"]


def test_a_task_is_a_goal_of_a_split(served, shop):
    goal = shop.split("test")[4]
    observed = ask(served.session(), {"type": "reset", "data": {"split": "test", "index": 4}})["data"]["observation"]
    assert observed["session_id"] == str(goal)


def test_arrays_are_those_of_the_choice_environment(served, shop, policy_folder):
    shape = EncodingShape(**vars(SMALL))
    here = WebShopChoiceEnv(shop, policy_folder, encoding=shape, max_steps=6)
    expected, info = here.reset(options={"goal": 2})
    session = served.session()
    got = ask(session, {"type": "reset", "data": {"goal": 2, "arrays": True, "max_steps": 6}})["data"]
    for step in range(6):
        observed = got["observation"]
        arrays = {name: to_array(array) for name, array in observed["arrays"].items()}
        assert arrays.keys() == expected.keys()
        for name, array in arrays.items():
            assert array.dtype == expected[name].dtype and (array == expected[name]).all(), name
        assert observed["actions"] == info["actions"] and observed["texts"] == info["texts"]
        index = step % max(len(info["actions"]), 1)
        expected, reward, terminated, truncated, info = here.step(index)
        got = ask(session, {"type": "step", "data": {"action": observed["actions"][index]}})["data"]
        assert (got["reward"], got["done"]) == (reward, terminated or truncated)
        if got["done"]:
            break
    assert got["observation"]["truncated"] == truncated


def test_arrays_need_a_policy(shop_folder):
    reply = ask(ServedShop(shop_folder).session(), {"type": "reset", "data": {"arrays": True}})
    assert reply["data"]["message"].endswith("this server has no policy to say how pages become arrays")


def test_what_is_sent_is_what_the_schemas_say(server):
    schemas = httpx.get(f"{server}/schema").json()
    assert schemas["action"]["required"] == ["action"] and list(schemas["action"]["properties"]) == ["action"]
    assert schemas["action"]["title"] == "ShopAction", "verifiers takes one that is called Action for MCP's"
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    reply = httpx.post(f"{server}/reset", json={"goal": 2, "arrays": True}).json()
    jsonschema.validate(reply["observation"], schemas["observation"])
    stepped = httpx.post(f"{server}/step", json={"action": {"action": "search[shirt]"}}).json()
    jsonschema.validate(stepped["observation"], schemas["observation"])
    assert stepped["reward"] == 0 and stepped["done"] is False
    jsonschema.validate(httpx.get(f"{server}/state").json(), schemas["state"])


@pytest.mark.parametrize(
    "method, path, body, status, expected",
    [
        ("GET", "/health", None, 200, {"status": "healthy"}),
        ("GET", "/list_environments", None, 200, ["webshop"]),
        ("GET", "/nothing/splits", None, 404, {"detail": "unknown environment 'nothing'"}),
        ("POST", "/webshop/num_tasks", {"split": "test"}, 200, {"num_tasks": 500}),
        ("POST", "/webshop/task", {"split": "test", "index": 500}, 400, None),
        ("POST", "/webshop/tasks", {"split": "dev"}, 400, None),
        ("POST", "/step", {"action": {"action": 3}}, 422, None),
        ("POST", "/reset", {"goal": 10**6}, 422, None),
        ("POST", "/mcp", {}, 200, {"jsonrpc": "2.0", "id": None, "error": {"code": -32603, "message": None}}),
    ],
)
def test_routes(server, method, path, body, status, expected):
    answered = httpx.request(method, server + path, json=body)
    assert answered.status_code == status
    if expected is not None:
        found = answered.json()
        if "error" in found:
            found["error"]["message"] = None
        assert found == expected


def test_tasks(server, shop):
    found = httpx.post(f"{server}/webshop/task_range", json={"split": "test", "start": 2, "stop": 4}).json()["tasks"]
    goals = list(shop.split("test"))[2:4]
    assert [task["goal"] for task in found] == goals
    assert [task["instruction_text"] for task in found] == [shop.goal(goal).instruction_text for goal in goals]
    assert found[0] == httpx.post(f"{server}/webshop/task", json={"split": "test", "index": 2}).json()["task"]
    assert {split["name"]: split["type"] for split in httpx.get(f"{server}/webshop/splits").json()} == {
        "all": "validation", "train": "train", "test": "test",
    }  # fmt: skip
    assert len(httpx.post(f"{server}/webshop/tasks", json={"split": "test"}).json()["tasks"]) == 500


def test_the_frames_of_openenvs_clients_are_answered_as_these_read_them(server):
    """They take observation, reward and done from the data, and raise for a reply of the type "error"."""

    async def play() -> list[dict]:
        async with connect(f"{server.replace('http', 'ws')}/ws") as socket:  # with deflate offered, as they do
            replies = []
            for frame in FRAMES[:-1]:
                await socket.send(frame)
                replies.append(json.loads(await socket.recv()))
            await socket.send(FRAMES[-1])
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd.code == 1000
            return replies

    replies = asyncio.run(play())
    assert [reply["type"] for reply in replies] == [*["observation"] * 4, "state", "observation", "observation"]
    for reply in replies:
        assert reply.keys() == {"type", "data"}
        if reply["type"] == "observation":
            assert reply["data"].keys() == {"observation", "reward", "done"}


def test_a_message_after_the_idle_limit_is_told_why(shop_folder, monkeypatch):
    """Also where nobody has looked for idle sessions yet."""
    monkeypatch.setattr(Sessions, "end_idle", lambda _: 0)

    async def play(url: str) -> int:
        async with connect(f"{url.replace('http', 'ws')}/ws") as socket:
            await socket.send('{"type": "reset"}')
            await socket.recv()
            await asyncio.sleep(0.4)
            await socket.send('{"type": "state"}')
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            return closed.value.rcvd.code

    with serving(environment_app(sessions=1, idle_s=0.2, place=shop_folder)) as url:
        assert asyncio.run(play(url)) == 4408


def test_a_client_that_leaves_makes_room(shop_folder):
    """By closing, by a message, or by the end of its connection."""

    async def play(url: str) -> list:
        seen = []
        for way in ("close", "message", "abort"):
            async with connect(f"{url.replace('http', 'ws')}/ws") as socket:
                await socket.send(b'{"type": "reset"}')
                assert json.loads(await socket.recv())["type"] == "observation"
                async with connect(f"{url.replace('http', 'ws')}/ws") as second:
                    refused = json.loads(await second.recv())
                    assert refused["data"] | {"message": ""} == {
                        "message": "", "code": "CAPACITY_REACHED", "active_sessions": 1, "max_sessions": 1,
                    }  # fmt: skip
                    with pytest.raises(ConnectionClosed) as closed:
                        await second.recv()
                    assert closed.value.rcvd.code == 1013
                if way == "message":
                    await socket.send(json.dumps({"type": "close"}))
                    with pytest.raises(ConnectionClosed) as closed:
                        await socket.recv()
                    seen.append(closed.value.rcvd.code)
                elif way == "abort":
                    socket.transport.abort()
            for _ in range(100):
                if httpx.get(f"{url}/sessions").json()["open"] == 0:
                    break
                await asyncio.sleep(0.01)
        return seen

    with serving(environment_app(sessions=1, idle_s=600, place=shop_folder)) as url:
        assert asyncio.run(play(url)) == [1000]
        assert httpx.get(f"{url}/sessions").json() == {"open": 0, "most": 1, "idle_seconds": 600}
