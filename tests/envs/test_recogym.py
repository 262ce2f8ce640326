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
from rl_recsys.recogym import SettingsError
from rl_recsys.recogym.world import NoRecommendationError
from tests.recogym_recorded import recorded

both = pytest.mark.parametrize("name", envs.RECOGYM_IDS)


def vector(name, size, **arguments):
    return gymnasium.make_vec(name, num_envs=size, vectorization_mode="vector_entry_point", **arguments)


def episode(env, actions, **reset):
    """A user as (views, reward, time, user), one a step, with the views of the reset first."""
    observation, info = env.reset(**reset)
    seen, done = [(observation["views"], None, float(observation["time"]), info["user"])], False
    while not done:
        observation, reward, done, _, info = env.step(actions[len(seen) % len(actions)])
        seen.append((observation["views"], reward, float(observation["time"]), info["user"]))
    return seen


@both
@pytest.mark.parametrize("stream", ["paired", "original"])
def test_it_passes_gymnasiums_checker(name, stream):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(gymnasium.make(name, stream=stream, render_mode="ansi").unwrapped)


@both
def test_the_environment_plays_the_recorded_users(name):
    for trace in recorded("traces"):
        if f"RecoGym-{trace['env']}" != name or any(user["cut"] for user in trace["users"]):
            continue
        env = gymnasium.make(name, stream="original", **trace["args"]).unwrapped
        for user in trace["users"]:
            if user["first"]["done"]:
                continue  # is skipped
            actions = [step[0] for step in user["steps"]]
            seen = episode(env, [actions[-1], *actions[:-1]])
            views = [user["first"]["views"], *(step[4] for step in user["steps"])]
            assert [list(each[0]) for each in seen] == [[view for _, view in each] for each in views]
            assert [each[1] for each in seen[1:]] == [step[1] for step in user["steps"]]
            assert {each[3] for each in seen} == {user["user_id"]}


@both
def test_arms_meet_the_same_users_in_the_paired_stream(name):
    one, other = (gymnasium.make(name, random_seed=5).unwrapped for _ in range(2))
    for _ in range(40):
        first, second = episode(one, [0]), episode(other, [3, 7])
        assert first[0] == second[0]
        for mine, theirs in zip(first, second, strict=False):
            if mine[1] != theirs[1]:
                break  # one of them clicked: from here on this user's ways part, and no other user's do
            assert mine == theirs


@both
@settings(max_examples=6)
@given(seed=st.integers(0, 2**31 - 1), user=st.integers(0, 10**9), time=st.sampled_from([None, (0.5, 2.0)]))
def test_many_users_at_once_are_those_of_one_after_the_other(name, seed, user, time):
    arguments = {"random_seed": seed, "num_products": 6}
    if name == "RecoGym-v1":
        arguments |= {"number_of_flips": 2, "normal_time": time, "change_omega_for_bandits": seed % 2 == 1}
    env, many = gymnasium.make(name, **arguments).unwrapped, vector(name, 3, **arguments)
    many._next_user = user
    observation, info = many.reset()
    worlds = {}
    for step in range(30):
        for place, number in enumerate(info["user"]):
            if place not in worlds or worlds[place][0].user != number:
                world = copy.deepcopy(env.world)
                world.begin(int(number))
                worlds[place] = world, np.bincount(world.views, minlength=6)
            world, counts = worlds[place]
            assert (observation["counts"][place] == counts).all()
            assert many.crowd.click_probabilities()[place] == pytest.approx(world.click_probabilities())
            assert many.crowd.time[place] == pytest.approx(world.time)
        actions = np.array([step % 6, 1, 2])
        gone = many.crowd.left.copy()
        observation, reward, terminated, _, info = many.step(actions)
        for place, (world, counts) in worlds.items():
            if not gone[place]:
                assert world.recommend(actions[place]) == reward[place]
                counts += np.bincount(world.views, minlength=6)
                assert world.left == terminated[place]
    assert not many.step(actions)[3].any()


@both
def test_the_vector_environments_answers_are_in_its_spaces(name):
    env = vector(name, 50, num_products=4)
    observation, _ = env.reset(seed=1)
    left = 0
    for _ in range(60):
        assert env.observation_space.contains(observation)
        before = env.crowd.left.copy()
        observation, reward, terminated, _, info = env.step(env.action_space.sample())
        assert not reward[before].any() and not terminated[before].any()
        left += terminated.sum()
    assert left and len(set(info["user"])) == 50
    again, _ = env.reset(seed=1)
    first, _ = vector(name, 50, num_products=4).reset(seed=1)
    assert all((again[key] == first[key]).all() for key in first)


@both
def test_a_copy_in_the_middle_of_an_episode_goes_on_alike(name):
    for stream in ("paired", "original"):
        env = gymnasium.make(name, stream=stream).unwrapped
        env.reset(seed=3)
        copies = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
        expected = env.step(1)[:3], episode(env, [2])
        for each in copies:
            assert (each.step(1)[:3], episode(each, [2])) == expected


@both
def test_a_user_can_be_named_in_the_paired_stream(name):
    env = gymnasium.make(name).unwrapped
    env.reset(seed=0)
    users = [env.reset()[1]["user"] for _ in range(5)]
    expected = episode(env, [1], options={"user": users[-1]})
    assert episode(env, [1], options={"user": users[-1]}) == expected
    skipped = next(user for user in range(1000) if _leaves(env, user))
    with pytest.raises(OptionsError, match=f"user {skipped} leaves"):
        env.reset(options={"user": skipped})
    with pytest.raises(OptionsError, match="paired"):
        gymnasium.make(name, stream="original").reset(options={"user": 1})


def _leaves(env, user):
    env.world.begin(user)
    return env.world.left


@pytest.mark.parametrize(
    "arguments,error,said",
    [
        ({"num_product": 3}, ArgumentError, "num_product"),
        ({"num_products": 0}, ArgumentError, "at least 1"),
        ({"sigma_omega": -1.0}, ArgumentError, "sigma_omega"),
        ({"change_omega_for_bandits": "no"}, ArgumentError, "True or False"),
        ({"prob_leave_organic": 0.8}, SettingsError, "organic"),
        ({"stream": "other"}, SettingsError, "'paired', 'original'"),
        ({"quirks": ["first_taste"]}, SettingsError, "prob_leave_bandit"),
        ({"normal_time": (0.0, -1.0)}, SettingsError, "normal_time"),
    ],
)
def test_what_cannot_be_is_refused_by_name(arguments, error, said):
    with pytest.raises(error, match=said):
        gymnasium.make("RecoGym-v1", **arguments)


def test_further_refusals():
    with pytest.raises(SettingsError, match="multiple of num_clusters"):
        gymnasium.make("RecoGym-v0", num_products=11)
    with pytest.raises(SettingsError, match="paired"):
        vector("RecoGym-v1", 2, stream="original")
    env = gymnasium.make("RecoGym-v1").unwrapped
    env.reset(seed=0)
    for action in (-1, 10, "1", 1.0):
        with pytest.raises(ArgumentError, match="from 0 to 9"):
            env.step(action)
    while not env.world.left:
        env.step(0)
    with pytest.raises(NoRecommendationError):
        env.step(0)
