"""Both environments in gymnasium's own tools: vector environments, wrappers, spaces, copies."""

from __future__ import annotations

import copy
import pickle
import shutil

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers import FlattenObservation, RecordEpisodeStatistics
from hypothesis import given
from hypothesis import strategies as st

import envs
from envs.spaces import FreeText
from envs.webshop_text import ActionText
from rl_recsys.webshop import ShopError, shared_shop
from rl_recsys.webshop.benchmark import files_in_use
from rl_recsys.webshop.search.java import SearchError
from tests.conftest import SMALL

SPAWN = {"context": "spawn"}  # this process has searched, or will
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=50)  # lone surrogates too


@given(ANY_TEXT)
def test_any_text_is_in_the_space_and_survives_its_flat_form(text):
    space = FreeText(50)
    assert text in space
    flat = spaces.flatten(space, text)
    assert flat in spaces.flatten_space(space) and len(flat) == spaces.flatdim(space)
    assert spaces.unflatten(space, flat) == text


def test_a_space_of_texts_is_a_space_of_gymnasium():
    space = FreeText(50, min_length=2)
    assert "a" not in space and "ab" in space and "a" * 51 not in space and 7 not in space
    assert pickle.loads(pickle.dumps(space)) == copy.deepcopy(space) == space != FreeText(49, min_length=2)
    assert space != spaces.Text(50, min_length=2) and spaces.Text(50, min_length=2) != space
    batched = batch_space(space, 3)
    batched.seed(5)
    first = batched.sample()
    batched.seed(5)
    assert first == batched.sample() in batched
    assert len(space.sample(mask=(7, None))) == 7
    with pytest.raises(ValueError, match="no list of characters"):
        space.sample(mask=(None, np.ones(3, np.int8)))
    actions = ActionText(100)
    actions.seed(0)
    drawn = [actions.sample() for _ in range(200)]
    assert all(text in actions for text in drawn)
    assert all(text.startswith(("search[", "click[")) and text.endswith("]") for text in drawn)
    assert {"click[buy now]", "click[back to search]"} < set(drawn)


def test_a_random_agent_plays_both_by_their_samples(shop_folder, policy_folder):
    env = gymnasium.make(envs.WEBSHOP_TEXT_ID, shop=shop_folder, max_episode_steps=30)
    env.action_space.seed(0)
    for seed in range(3):
        env.reset(seed=seed)
        while not any(env.step(env.action_space.sample())[2:4]):
            pass
    env = gymnasium.make(envs.WEBSHOP_CHOICE_ID, shop=shop_folder, tokenizer=policy_folder, encoding=SMALL)
    env.action_space.seed(0)
    for seed in range(3):
        _, info = env.reset(seed=seed)
        done = False
        while not done:
            action = env.action_space.sample(mask=info["action_mask"])
            assert action < len(info["actions"])
            _, _, terminated, truncated, info = env.step(action)
            done = terminated or truncated
        assert not info["action_mask"].any() and info["actions"] == [] == info["texts"]


def texts(vector, steps: int) -> list:
    """What both sub-environments show and say of themselves over some steps of a search and what it found."""
    observation, info = vector.reset(seed=[3, 4])
    shown = [(observation, list(info["session_id"]))]
    for step in range(steps):
        labels = info["available_actions"]["clickables"]
        actions = tuple("search[shirt]" if step % 3 == 0 else f"click[{found[-1]}]" for found in labels)
        observation, reward, terminated, truncated, info = vector.step(actions)
        shown.append((observation, reward.tolist(), terminated.tolist(), truncated.tolist(), list(info["session_id"])))
    return shown


@pytest.mark.parametrize(
    "how",
    [{}, {"shared_memory": False, "autoreset_mode": AutoresetMode.SAME_STEP}],
    ids=["shared memory", "pipes"],
)
def test_text_environments_in_processes_play_as_in_one(shop_folder, how):
    """Gymnasium's own texts in shared memory stay empty for ever: AsyncVectorEnv reads them once."""
    mode = {name: value for name, value in how.items() if name == "autoreset_mode"}
    arguments = {"num_envs": 2, "shop": str(shop_folder), "max_steps": 5}
    alone = gymnasium.make_vec(envs.WEBSHOP_TEXT_ID, vectorization_mode="sync", vector_kwargs=mode, **arguments)
    expected = texts(alone, 8)
    assert all(isinstance(text, str) and text for observation, *_ in expected for text in observation)
    apart = gymnasium.make_vec(envs.WEBSHOP_TEXT_ID, vectorization_mode="async", vector_kwargs=SPAWN | how, **arguments)
    try:
        assert texts(apart, 8) == expected
        assert expected[-1][0] in apart.observation_space
        assert apart.call("get_available_actions") == alone.call("get_available_actions")
    finally:
        apart.close()
        alone.close()


def test_a_worker_forked_after_a_search_says_so(shop):
    """It answered some thousand searches and then stood still for ever, when Java wanted to collect its garbage."""
    shop.search("shirt")
    vector = gymnasium.make_vec(envs.WEBSHOP_TEXT_ID, num_envs=1, vectorization_mode="async", shop=shop)
    try:
        vector.reset(seed=0)
        with pytest.raises(SearchError, match="forked from one that had searched.*spawn"):
            vector.step(("search[something else]",))
    finally:
        vector.close(terminate=True)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_choice_environments_in_processes_play_as_in_one(shop_folder, policy_folder, mode):
    arguments = {"shop": str(shop_folder), "tokenizer": str(policy_folder), "encoding": SMALL, "max_steps": 3}
    single = [gymnasium.make(envs.WEBSHOP_CHOICE_ID, **arguments) for _ in range(2)]
    vector = gymnasium.make_vec(
        envs.WEBSHOP_CHOICE_ID, num_envs=2, vectorization_mode=mode,
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP} | (SPAWN if mode == "async" else {}), **arguments,
    )  # fmt: skip
    try:
        observation, info = vector.reset(seed=7)
        expected = [env.reset(seed=7 + number) for number, env in enumerate(single)]
        for _ in range(7):
            assert info["action_mask"].shape == (2, SMALL.choices)
            for number, (one, its_info) in enumerate(expected):
                assert all((observation[name][number] == one[name]).all() for name in one)
                assert info["actions"][number] == its_info["actions"]
            actions = np.array([int(np.flatnonzero(one["mask"])[-1]) for one, _ in expected])
            observation, *_, info = vector.step(actions)
            expected = []
            for env, action in zip(single, actions, strict=True):
                one, _, terminated, truncated, its_info = env.step(action)
                expected.append(env.reset() if terminated or truncated else (one, its_info))
    finally:
        vector.close()


def test_wrappers_of_gymnasium_fit_both(shop_folder, policy_folder):
    env = gymnasium.make(envs.WEBSHOP_CHOICE_ID, shop=shop_folder, tokenizer=policy_folder, encoding=SMALL, max_steps=4)
    env = FlattenObservation(RecordEpisodeStatistics(env))
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    steps = [env.step(0) for _ in range(4)]
    assert steps[-1][3] and steps[-1][4]["episode"]["l"] == 4
    env = FlattenObservation(gymnasium.make(envs.WEBSHOP_TEXT_ID, shop=shop_folder, max_episode_steps=2))
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    assert spaces.unflatten(env.unwrapped.observation_space, observation) == env.unwrapped.session.page.text_rich
    assert not env.step("nothing")[3] and env.step("nothing")[3]


@pytest.mark.parametrize("name", [envs.WEBSHOP_TEXT_ID, envs.WEBSHOP_CHOICE_ID])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))], ids=["deep", "pickle"])
def test_a_copy_in_mid_episode_goes_on_alike_and_by_itself(shop_folder, policy_folder, name, copied):
    arguments = {} if name == envs.WEBSHOP_TEXT_ID else {"tokenizer": policy_folder, "encoding": SMALL}
    env = gymnasium.make(name, shop=shop_folder, **arguments)

    def play(one: gymnasium.Env, steps: int) -> list:
        """What a walk of so many steps leads to, and the next episode after a purchase."""
        seen, rng = [], np.random.default_rng(0)
        for _ in range(steps):
            session = one.unwrapped.session if name == envs.WEBSHOP_TEXT_ID else one.unwrapped.session.session
            labels = list(session.page.clickables)
            if name == envs.WEBSHOP_CHOICE_ID:
                action = int(rng.integers(len(one.unwrapped.session.decision.choices)))
            else:
                action = "search[red shirt]" if labels == ["search"] else f"click[{rng.choice(labels)}]"
            observation, *rest = one.step(action)
            seen.append((str(observation), *rest[:3], session.page.url))
            if rest[1] or rest[2]:
                seen.append(str(one.reset()))
        return seen

    env.reset(seed=4)
    before = play(env, 3)
    other, third = copied(env), copied(env)
    ahead = play(other, 30)
    assert play(env, 30) == ahead == play(third, 30)
    assert before and len(set(map(str, ahead))) > 10


def test_environments_of_a_process_share_a_shop_that_any_may_close(tmp_path, shop_folder):
    folder = shutil.copytree(shop_folder, tmp_path / "shop")
    rules = {"reward": "corrected"}
    pickled = pickle.dumps(gymnasium.make(envs.WEBSHOP_TEXT_ID, shop=folder, rules=rules))
    several = [pickle.loads(pickled) for _ in range(3)]
    shop = several[0].unwrapped.shop
    assert all(env.unwrapped.shop is shop for env in several)

    def play(env: gymnasium.Env) -> list:
        return [env.reset(seed=3)[0], *(env.step(action)[0] for action in ("search[red shirt]", "click[next >]"))]

    expected = play(several[0])
    several[0].reset()
    several[0].close()
    shop.close()
    assert not files_in_use(folder)
    assert play(several[1]) == expected == play(gymnasium.make(envs.WEBSHOP_TEXT_ID, shop=folder, rules=rules))
    assert shared_shop(folder, rules) is shop is shared_shop(folder, dict(rules, protocol="1k"))
    assert shared_shop(folder) is not shop
    shop.close()
    shutil.rmtree(folder)
    with pytest.raises(ShopError, match="replaced or removed"):
        play(several[2])
