from __future__ import annotations

import json

import pytest

from envs.webshop_compat import CompatibilityError, WebAgentTextEnv
from tests.conftest import RECORDED


def test_sessions_recorded_on_the_original_are_the_same_through_its_own_calls(webshop):
    sessions = [json.loads(line) for line in RECORDED.open(encoding="utf-8", newline="\n")]
    assert len(sessions) == 96
    env = WebAgentTextEnv(webshop, observation_mode="text_rich", goals=[session["goal"] for session in sessions])
    compared = 0
    for number, session in enumerate(sessions):
        found, info = env.reset(session=number)
        assert (env.session, info) == (str(number), None)
        assert (
            env.get_instruction_text() == env.instruction_text == f"Instruction: {session['goal']['instruction_text']}"
        )
        reward, done = 0.0, False
        for step in session["steps"]:
            assert found == env.observation == step["observation"]
            compared += 1
            if step.get("action") is not None:
                found, reward, done, info = env.step(step["action"])
                assert info is None
        assert (reward, done) == (session["reward"], session["done"])
    assert compared == 1653


@pytest.fixture
def env(shop):
    return WebAgentTextEnv(shop, observation_mode="text", seed=1)


def test_a_session_is_a_number_a_name_or_nobodys(env, shop):
    observation, _ = env.reset(session=17)
    assert shop.goal(17).instruction_text in observation
    assert env.state == {
        "url": "http://127.0.0.1:3000/17",
        "html": env.unwrapped.session.page.html,
        "instruction_text": f"Instruction: {shop.goal(17).instruction_text}",
    }
    assert env.get_available_actions() == {"has_search_bar": True, "clickables": ["search"]}
    first, _ = env.reset(session="fixed_3")
    assert env.reset(session="other")[0] and env.reset(session="fixed_3")[0] == first  # a name keeps its goal
    drawn = {env.reset()[0] for _ in range(20)}
    assert len(drawn) > 5 and len(env.session) == 10
    assert set(env.server.user_sessions) >= {"17", "fixed_3", "other"} and len(env.server.user_sessions) == 4
    same = [WebAgentTextEnv(shop, seed=seed).observation for seed in (5, 5, 6)]
    assert same[0] == same[1] != same[2]
    with pytest.raises(IndexError, match=f"session 99999: there are {shop.goal_count} goals"):
        env.reset(session=99999)


def test_the_server_remembers_a_purchase(env, shop):
    env.reset(session=4)
    session = env.server.user_sessions[env.session]
    assert session["goal"]["instruction_text"] == shop.goal(4).instruction_text
    assert (session["asin"], session["keywords"], session["done"], "reward" in session) == (None, None, False, False)
    env.step(f"search[{shop.goal(4).query}]")
    asin = env.get_available_actions()["clickables"][-1]
    env.step(f"click[{asin}]")
    assert session["asin"] == asin.upper() and session["asins"] == {asin.upper()} and session["page"] == 1
    assert env.get_instruction_text() == f"Instruction:{shop.goal(4).instruction_text}"
    state, reward, done, _ = env.step("click[Buy Now]")
    assert done and "Thank you for shopping with us!" in state
    assert session["reward"] == reward and {"r_type", "w_att", "r_price"} <= session["verbose_info"].keys()
    with pytest.raises(ValueError, match="the page after a purchase shows no instruction"):
        env.get_instruction_text()
    assert env.step("click[buy now]")[1:] == (0.0, False, None)  # as the original goes on


def test_earlier_pages_and_actions_stand_before_the_page(shop):
    env = WebAgentTextEnv(shop, observation_mode="text", session=2, num_prev_obs=2, num_prev_actions=1)
    start = env.observation
    first, *_ = env.step("search[shirt]")
    results = env.observation
    assert first == f"{start} [SEP] search[shirt] [SEP] {results}"
    second, *_ = env.step("click[next >]")
    assert second == f"{start} [SEP] {results} [SEP] click[next >] [SEP] {env.observation}"


def test_goals_are_filtered_limited_and_shared(shop):
    env = WebAgentTextEnv(shop, filter_goals=lambda index, goal: index % 2 == 0 and goal["price_upper"] < 100)
    kept = [i for i in range(0, shop.goal_count, 2) if shop.goal(i).price_upper < 100]
    assert [goal["instruction_text"] for goal in env.server.goals] == [shop.goal(i).instruction_text for i in kept]
    env.reset(session=3)
    assert env.unwrapped.session.goal == shop.goal(kept[3])
    limited = WebAgentTextEnv(shop, limit_goals=5, seed=0)
    assert len(limited.server.goals) == 5 == len({goal["instruction_text"] for goal in limited.server.goals[:]})
    other = WebAgentTextEnv(shop, server=limited.server, session_prefix="b-", session=2)
    assert other.session == "b-2" and other.server.goals is limited.server.goals
    assert other.unwrapped.session.goal.instruction_text == limited.server.goals[2]["instruction_text"]


def test_what_the_shop_is_not_is_said_with_the_command_that_makes_it(shop):
    with pytest.raises(CompatibilityError, match=r"human_goals=True: the goals of .* jobs/prepare.py --goals human"):
        WebAgentTextEnv(shop, human_goals=True)
    with pytest.raises(CompatibilityError, match=r"num_products=100: .* has 200; .* --limit 100"):
        WebAgentTextEnv(shop, num_products=100)
    with pytest.raises(CompatibilityError, match="filter_goals leaves none of"):
        WebAgentTextEnv(shop, filter_goals=lambda index, goal: False)
    with pytest.raises(TypeError, match="get_image"):
        WebAgentTextEnv(shop, get_image=1)
    assert WebAgentTextEnv(shop, human_goals=False, num_products=1000, show_attrs=False).observation_mode == "html"
