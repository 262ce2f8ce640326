from __future__ import annotations

import copy
import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import envs
from envs.arguments import ArgumentError
from envs.options import OptionsError
from rl_recsys.errors import UserError
from rl_recsys.virtual_taobao import SettingsError
from rl_recsys.virtual_taobao.weights import WeightsError
from rl_recsys.virtual_taobao.world import NoCustomerError


def single(**arguments):
    return gymnasium.make(envs.VIRTUAL_TAOBAO_ID, **{"weights": "stand-in:0", **arguments}).unwrapped


def vector(size, **arguments):
    return gymnasium.make_vec(
        envs.VIRTUAL_TAOBAO_ID, size, "vector_entry_point", **{"weights": "stand-in:0", **arguments}
    )


def episode(env, actions, **reset):
    """What was seen, paid and said of a customer, one a step."""
    observation, info = env.reset(**reset)
    seen, done = [(observation.tolist(), None, info)], False
    while not done:
        observation, reward, done, _, info = env.step(actions[len(seen) % len(actions)])
        seen.append((observation.tolist(), reward, info))
    return seen


@pytest.mark.parametrize("arguments", [{}, {"stream": "original"}, {"leave_when_bored": True, "bored_memory": 2}])
def test_it_passes_gymnasiums_checker(arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(single(render_mode="ansi", **arguments))


@settings(max_examples=5)
@given(seed=st.integers(0, 2**31 - 1), bored=st.booleans())
def test_many_customers_at_once_are_those_of_one_after_the_other(seed, bored):
    env, many = (make(random_seed=seed, leave_when_bored=bored) for make in (single, lambda **a: vector(3, **a)))
    actions = np.random.default_rng(seed).uniform(-1.2, 1.2, (7, 27)).astype(np.float32)
    observations, info = many.reset()
    alone, terminated = {}, np.zeros(3, bool)
    for _ in range(20):
        for place, customer in enumerate(info["customer"]):
            if customer not in alone:
                alone[customer] = iter(episode(env, actions, options={"customer": customer}))
                assert next(alone[customer])[0] == observations[place].tolist()
        before, gone = many.world.pages.copy(), terminated
        observations, rewards, terminated, _, info = many.step(actions[(before + 1) % 7])
        assert many.observation_space.contains(observations)
        for place, customer in enumerate(info["customer"]):
            if gone[place]:
                assert rewards[place] == 0 and not terminated[place] and customer not in alone
            else:
                seen, reward, told = next(alone[customer])
                assert (observations[place].tolist(), rewards[place]) == (seen, reward)
                assert told["customer"] == customer
                assert (next(copy.copy(alone[customer]), None) is None) == terminated[place]


def test_the_last_observation_is_of_the_customer_who_left():
    for stream in ("paired", "original"):
        env = single(stream=stream)
        seen = episode(env, [np.zeros(27)], seed=3)
        assert all(each[0][:88] == seen[0][0][:88] for each in seen)
        assert [each[0][90] for each in seen] == list(range(len(seen)))
        assert seen[-1][2]["CTR"] == sum(each[1] for each in seen[1:]) / (len(seen) - 1) / 10


def test_a_seed_begins_anew_and_a_customer_can_be_named():
    for stream in ("paired", "original"):
        env = single(stream=stream)
        first = [episode(env, [np.ones(27)], **reset) for reset in ({"seed": 4}, {}, {})]
        assert [episode(env, [np.ones(27)], **reset) for reset in ({"seed": 4}, {}, {})] == first
    env = single(random_seed=4)
    assert episode(env, [np.ones(27)], options={"customer": 2}) == episode(env, [np.ones(27)], options={"customer": 2})
    assert env.reset()[1]["customer"] == 3


def test_a_copy_in_the_middle_of_an_episode_goes_on_alike():
    action = np.full(27, 0.3)
    for stream in ("paired", "original"):
        env = single(stream=stream)
        env.reset(seed=3)
        copies = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
        expected = episode(env, [action])
        for each in copies:
            assert episode(each, [action]) == expected


def test_clipped_pages_are_counted():
    env = single()
    env.reset(seed=0)
    assert env.step(np.full(27, 2.0))[4]["clipped"] == 1


@pytest.mark.parametrize(
    "arguments,error,said",
    [
        ({"weight": "stand-in:0"}, ArgumentError, "weight"),
        ({"weights": None}, ArgumentError, "weights is None, it must be a text"),
        ({"weights": "nowhere"}, WeightsError, "prepare_virtual_taobao"),
        ({"stream": "other"}, SettingsError, "'paired', 'original'"),
        ({"leave_when_bored": "yes"}, ArgumentError, "True or False"),
        ({"bored_memory": 0}, UserError, "at least 1"),
        ({"random_seed": -1}, UserError, "at least 0"),
    ],
)
def test_what_cannot_be_is_refused_by_name(arguments, error, said):
    with pytest.raises(error, match=said):
        single(**arguments)


def test_further_refusals():
    with pytest.raises(ArgumentError, match="'weights' is missing"):
        gymnasium.make(envs.VIRTUAL_TAOBAO_ID)
    with pytest.raises(SettingsError, match="paired"):
        vector(2, stream="original")
    with pytest.raises(OptionsError, match="paired"):
        single(stream="original").reset(options={"customer": 1})
    env = single()
    with pytest.raises(OptionsError, match="whole number"):
        env.reset(options={"customer": -1})
    env.reset(seed=0)
    for action in (np.zeros(26), np.full(27, np.nan), "up", 3, np.zeros((27, 1))):
        with pytest.raises(ArgumentError, match="finite numbers"):
            env.step(action)
    while not env.world.left[0]:
        env.step(np.zeros(27))
    with pytest.raises(NoCustomerError):
        env.step(np.zeros(27))
