"""WebShop-v0 on a server gives what it gives in this process."""

from __future__ import annotations

import pickle
import random
import threading
from dataclasses import asdict

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

import envs  # noqa: F401, which registers the environments
from algorithms.services.environment.app import environment_app
from envs.options import OptionsError
from envs.webshop_remote import RemoteShopError, RemoteWebShopEnv
from rl_recsys.webshop.replay import read_sessions
from tests.conftest import RECORDED
from tests.services.running import serving


@pytest.fixture(scope="module")
def server(shop_folder):
    with serving(environment_app(sessions=4, idle_s=600, place=shop_folder, reveal_goal=True)) as url:
        yield url.replace("http", "ws")


def made(shop: str, **arguments) -> gymnasium.Env:
    return gymnasium.make("WebShop-v0", shop=shop, **arguments)


def walk(env: gymnasium.Env, chance: random.Random, **reset) -> list:
    """All that a random episode shows."""
    observation, info = env.reset(**reset)
    shown = [(observation, info, env.unwrapped.get_available_actions(), env.unwrapped.get_instruction_text())]
    for _ in range(40):
        labels = info["available_actions"]["clickables"]
        if info["available_actions"]["has_search_bar"]:
            action = f"search[{' '.join(chance.sample(info['instruction_text'].split(), 3))}]"
        else:
            action = f"click[{chance.choice([*labels, 'nothing'])}]"
        observation, *rest, info = env.step(action)
        shown.append((observation, *rest, info, env.unwrapped.get_available_actions()))
        if rest[1] or rest[2]:
            break
    return shown


@pytest.mark.parametrize("mode", ["text", "text_rich", "html", "url"])
def test_episodes_are_those_of_the_local_environment(server, shop_folder, shop, mode):
    arguments = {"observation_mode": mode, "goals": "train", "max_steps": 25, "reveal_goal": True}
    here, there = made(str(shop_folder), **arguments), made(server, **arguments)
    record = asdict(shop.goal(3)) | {"asin": "from elsewhere"}
    named = [None, {"goal": 7}, {"session": 9}, {"session": "a name", "goal": shop.goal(2)}, {"goal": record}]
    for number, options in enumerate(named * 2):
        seed = number if number % 3 == 0 else None  # else drawing goes on
        pair = [walk(env, random.Random(number), seed=seed, options=options) for env in (here, there)]
        assert pair[0] == pair[1]
    there.close()


def test_goals_are_drawn_alike_from_a_list(server, shop_folder, shop):
    goals = [4, shop.goal(8), asdict(shop.goal(15)), 16, 23]
    here, there = made(str(shop_folder), goals=goals), made(server, goals=goals)
    drawn = []
    for env in (here, there):
        env.reset(seed=1)
        drawn.append([env.reset()[1]["instruction_text"] for _ in range(30)])
    assert drawn[0] == drawn[1] and len(set(drawn[0])) > 2
    there.close()


def test_it_keeps_gymnasiums_rules(server):
    env = RemoteWebShopEnv(server)
    check_env(env, skip_render_check=True)
    env.close()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"goal": 10**6}, "reset option goal: .*goal 1000000 of"),
        ({"goal": {"asin": "x"}}, "goal.*Field required"),
        ({"goal": "seven"}, "goal"),
        ({"session": 3, "goal": 4}, "is a goal's index: give it without the option goal"),
        ({"colour": "red"}, "no reset option 'colour'; there are: goal, session"),
    ],
)
def test_options_that_cannot_be_are_refused_and_the_episode_goes_on(server, options, message):
    env = made(server)
    env.reset(options={"goal": 1})
    with pytest.raises(OptionsError, match=message):
        env.reset(options=options)
    observation, *_ = env.step("click[nothing]")
    assert "WebShop" in observation
    env.close()


def test_a_copy_begins_with_a_reset(server):
    env = RemoteWebShopEnv(server, render_mode="ansi")
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step("search[shirt]")
    observation, _ = env.reset(options={"goal": 5})
    assert env.render() == observation
    copied = pickle.loads(pickle.dumps(env))
    with pytest.raises(gymnasium.error.ResetNeeded):
        copied.step("search[shirt]")
    assert copied.reset(options={"goal": 5})[0] == observation
    for one in (env, copied):
        one.close()


def test_a_server_without_room_says_so(server):
    playing = [RemoteWebShopEnv(server) for _ in range(5)]
    for env in playing[:4]:
        env.reset()
    with pytest.raises(RemoteShopError, match="all 4 sessions are taken: close one, or try again in 600 s"):
        playing[4].reset()
    playing[0].close()
    threading.Event().wait(0.2)  # the server hears of it
    playing[4].reset()
    for env in playing:
        env.close()


def test_a_session_that_was_idle_is_gone_and_a_reset_begins_another(shop_folder):
    with serving(environment_app(sessions=1, idle_s=0.3, place=shop_folder)) as url:
        env = RemoteWebShopEnv(url.replace("http", "ws"))
        env.reset()
        threading.Event().wait(1)
        with pytest.raises(RemoteShopError, match=r"the server ended the session \(4408 idle for more than 0.3 s\)"):
            env.step("search[shirt]")
        with pytest.raises(gymnasium.error.ResetNeeded):
            env.step("search[shirt]")
        env.reset()
        threading.Event().wait(1)
        assert "WebShop" in env.reset()[0], "a reset needs no episode"
        env.close()
        threading.Event().wait(0.2)
        with pytest.raises(OptionsError, match="shows no goals"):
            RemoteWebShopEnv(url.replace("http", "ws"), reveal_goal=True).reset()


def test_nobody_there():
    with pytest.raises(RemoteShopError, match="is jobs/serve_environment.py running there"):
        RemoteWebShopEnv("ws://127.0.0.1:9").reset()


@pytest.mark.skipif(not RECORDED.is_file(), reason="the recorded sessions are not here")
def test_the_originals_sessions_agree(webshop_folder):
    observations = 0
    with serving(environment_app(sessions=1, idle_s=600, place=webshop_folder)) as url:
        env = made(url.replace("http", "ws"))
        for recorded in read_sessions(RECORDED):
            observation, info = env.reset(options={"goal": recorded["goal"]})
            reward, done = 0.0, False
            for step in recorded["steps"]:
                assert observation == step["observation"]
                assert info["available_actions"] == step.get("available_actions", info["available_actions"])
                observations += 1
                if step.get("action") is not None:
                    observation, reward, done, _, info = env.step(step["action"])
            assert (reward, done) == (recorded["reward"], recorded["done"])
        env.close()
    assert observations == 1653
