from __future__ import annotations

import warnings
from collections import Counter

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from rl_recsys.shop import Shop, shared_shop
from tests.conftest import SMALL


@pytest.fixture
def choice(shop_folder, policy_folder):
    return gymnasium.make(envs.CHOICE_ID, shop=shop_folder, tokenizer=policy_folder, encoding=SMALL)


@pytest.fixture
def text(shop_folder):
    return gymnasium.make(envs.TEXT_ID, shop=shop_folder, render_mode="ansi")


def test_both_pass_gymnasiums_checker(choice, text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(choice.unwrapped)
        check_env(text.unwrapped)


@pytest.mark.parametrize("mode", ["text", "text_rich", "html", "url"])
def test_the_text_environment_is_a_session(shop_folder, shop, mode):
    env = gymnasium.make(envs.TEXT_ID, shop=shop_folder, observation_mode=mode)
    observation, info = env.reset(seed=0, options={"goal": 17})
    session = shop.session(17)
    assert observation == session.page.observe(mode)
    assert info["available_actions"] == {"has_search_bar": True, "clickables": ["search"]}
    query = f"search[{shop.goal(17).query}]"
    observation, reward, terminated, truncated, info = env.step(query)
    assert observation == session.step(query).page.observe(mode)
    assert (reward, terminated, truncated) == (0.0, False, False)
    env.step(f"click[{info['available_actions']['clickables'][-1]}]")
    *_, terminated, _, info = env.step("click[buy now]")
    assert terminated and {"r_type", "r_att", "r_price", "w_att"} <= info["reward_parts"].keys()


def test_the_text_environment_draws_goals_by_weight_and_seed(text):
    drawn = [text.reset(seed=seed)[1]["goal"].instruction_text for seed in (5, 5, 6)]
    assert drawn[0] == drawn[1]
    assert len({text.reset()[1]["goal"].asin for _ in range(30)}) > 5
    assert "WebShop" in text.render()


def test_steps_limit_and_missing_reset(shop_folder, policy_folder):
    env = envs.WebShopTextEnv(shop_folder, max_steps=2)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step("search[a]")
    env.reset(seed=0)
    assert not env.step("nonsense")[3]
    assert env.step("nonsense")[3]
    env = envs.WebShopChoiceEnv(shop_folder, policy_folder, encoding=SMALL)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)


def test_the_choice_environment_plays_an_episode_within_its_space(choice):
    rng = np.random.default_rng(0)
    for seed in range(5):
        observation, _ = choice.reset(seed=seed)
        done = False
        while not done:
            assert observation in choice.observation_space
            available = np.flatnonzero(observation["mask"])
            observation, reward, terminated, truncated, info = choice.step(rng.choice(available))
            assert info["dropped"] >= 0 and 0 <= reward <= 1
            done = terminated or truncated
        assert observation["mask"].sum() == 0
        assert observation in choice.observation_space


def test_an_episode_that_ran_out_of_steps_leaves_no_choice_either(shop_folder, policy_folder):
    env = envs.WebShopChoiceEnv(shop_folder, policy_folder, encoding=SMALL, max_steps=2)
    env.reset(seed=0)
    observation, _, terminated, truncated, _ = env.step(0)
    assert observation["mask"].sum() > 1 and not terminated and not truncated
    observation, reward, terminated, truncated, _ = env.step(0)
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert observation["mask"].sum() == 0 and observation["state"].any()


def test_equal_seeds_deal_equal_goals_each_once(shop_folder, policy_folder):
    def goals(seed):
        env = envs.WebShopChoiceEnv(shop_folder, policy_folder, goals=list(range(20)), encoding=SMALL)
        env.reset(seed=seed)
        first = [env.choices.session.session_id]
        return first + [(env.reset(), env.choices.session.session_id)[1] for _ in range(19)]

    assert goals(1) == goals(1) != goals(2)
    assert sorted(map(int, goals(1))) == list(range(20))


def test_some_goals_are_made_up_and_groups_keep_theirs(shop_folder, policy_folder):
    def instructions(seed, **options) -> list[tuple[str, str]]:
        env = envs.WebShopChoiceEnv(shop_folder, policy_folder, encoding=SMALL, **options)
        found = []
        for number in range(40):
            env.reset(seed=seed if number == 0 else None)
            session = env.choices.session
            found.append((session.session_id, session.goal.instruction_text))
        return found

    half = instructions(1, variations=0.5)
    made_up = [text for name, text in half if name == "session"]
    assert 8 < len(made_up) < 32 and len(set(made_up)) == len(made_up)
    shop = shared_shop(shop_folder)
    assert not set(made_up) & {shop.goal(index).instruction_text for index in range(shop.goal_count)}
    assert half == instructions(1, variations=0.5) != instructions(2, variations=0.5)
    shards = [set(instructions(1, variations=1.0, shard=shard, shards=2)) for shard in range(2)]
    assert len(shards[0]) == len(shards[1]) == 40 and not shards[0] & shards[1]
    grouped = instructions(1, variations=0.5, group_size=4)
    assert all(len(set(grouped[start : start + 4])) == 1 for start in range(0, 40, 4))
    assert len(set(grouped)) == 10
    with pytest.raises(ValueError, match="variations 1.5: a share"):
        envs.WebShopChoiceEnv(shop_folder, policy_folder, encoding=SMALL, variations=1.5)


def test_workers_share_the_training_goals_without_overlap(shop_folder, policy_folder):
    class Context(dict):
        """What RLlib hands to an environment's creator."""

        worker_index, num_workers = 0, 0

    def goals(index):
        context = Context(shop=shop_folder, tokenizer=policy_folder, encoding=SMALL)
        context.worker_index, context.num_workers = index, 3
        return set(envs._choice_env(context)._goals.tolist())

    shards = [goals(index) for index in (1, 2, 3)]
    assert set.union(*shards) == goals(0) == set(shared_shop(shop_folder).split("train"))
    assert sum(map(len, shards)) == len(goals(0))
    with pytest.raises(ValueError, match="shard 2 of 3 has none of the 2 goals"):
        envs.WebShopChoiceEnv(shop_folder, policy_folder, goals=[0, 1], shard=2, shards=3, encoding=SMALL)


def test_environments_of_a_process_share_one_shop(choice, text):
    assert choice.unwrapped.shop is text.unwrapped.shop


def test_the_environments_follow_the_protocol(webshop_folder, policy_folder):
    shop = Shop.open(webshop_folder, protocol="product-disjoint")
    test, train = ({shop.goal(goal).asin for goal in shop.split(name)} for name in ("test", "train"))
    assert len(shop.split("test")) == 500 and len(test) > 40 and not test & train
    rules = {"protocol": "product-disjoint"}
    env = envs.WebShopChoiceEnv(webshop_folder, policy_folder, rules=rules)
    assert {shop.goal(int(goal)).asin for goal in env._goals} == train


def test_a_random_goal_is_drawn_as_the_original_does_only_on_request(shop_folder):
    class Drawn(envs.WebShopTextEnv):
        """The draw alone, at a given place of the cumulated weights."""

        def at(self, share: float) -> int:
            self._np_random = type("Fixed", (), {"random": lambda _: share})()
            return self._draw_goal()

    right, slip = Drawn(shop_folder), Drawn(shop_folder, rules={"quirks": ["goal_draw"]})
    last = right.shop.goal_count - 1
    shares = [(number + 0.5) / 5000 for number in range(5000)]
    drawn, slipped = Counter(map(right.at, shares)), Counter(map(slip.at, shares))
    assert 0 in drawn and 0 not in slipped
    assert slipped[last] == drawn[last] + drawn[last - 1]
    assert all(slipped[goal] == drawn[goal - 1] for goal in range(1, last))


def test_a_group_is_one_goal_several_times(shop_folder, policy_folder, shop):
    env = gymnasium.make(envs.CHOICE_ID, shop=shop_folder, tokenizer=policy_folder, goals=[3, 5, 8], group_size=4)
    first, info = env.reset(seed=0)
    starts = [(info["session_id"], first)]
    starts += [(info["session_id"], start) for start, info in (env.reset() for _ in range(11))]
    for place in range(0, 12, 4):
        group = starts[place : place + 4]
        assert len({goal for goal, _ in group}) == 1
        assert all((start["state"] == group[0][1]["state"]).all() for _, start in group)
    assert {goal for goal, _ in starts} == {"3", "5", "8"}
    with pytest.raises(ValueError, match="group_size 0: a group has at least one episode"):
        envs.WebShopChoiceEnv(shop_folder, policy_folder, group_size=0)
