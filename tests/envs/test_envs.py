from __future__ import annotations

import json
import re
import shutil
import warnings
from collections import Counter
from dataclasses import asdict, replace
from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from envs.options import OptionsError
from rl_recsys.core.encoding import EncodingError
from rl_recsys.core.text_encoding import EncodingShape, TextDecisionEncoder
from rl_recsys.errors import UserError
from rl_recsys.webshop import Shop, shared_shop
from tests.conftest import SMALL

choice_env = partial(envs._choice_env, envs.WEBSHOP_CHOICE_ID, envs.WebShopChoiceEnv)  # as RLlib makes it


@pytest.fixture
def choice(shop_folder, policy_folder):
    return gymnasium.make(envs.WEBSHOP_CHOICE_ID, shop=shop_folder, tokenizer=policy_folder, encoding=SMALL)


@pytest.fixture
def text(shop_folder):
    return gymnasium.make(envs.WEBSHOP_TEXT_ID, shop=shop_folder, render_mode="ansi")


def test_both_pass_gymnasiums_checker(choice, text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(choice.unwrapped)
        check_env(text.unwrapped)


@pytest.mark.parametrize("mode", ["text", "text_rich", "html", "url"])
def test_the_text_environment_is_a_session(shop_folder, shop, mode):
    env = gymnasium.make(envs.WEBSHOP_TEXT_ID, shop=shop_folder, observation_mode=mode)
    observation, info = env.reset(seed=0, options={"goal": 17})
    session = shop.session(17)
    assert observation == session.page.observe(mode)
    assert info["available_actions"] == env.unwrapped.get_available_actions()
    assert info["available_actions"] == {"has_search_bar": True, "clickables": ["search"]}
    assert env.unwrapped.get_instruction_text() == f"Instruction: {info['instruction_text']}"
    query = f"search[{shop.goal(17).query}]"
    observation, reward, terminated, truncated, info = env.step(query)
    assert observation == session.step(query).page.observe(mode)
    assert (reward, terminated, truncated) == (0.0, False, False)
    env.step(f"click[{info['available_actions']['clickables'][-1]}]")
    *_, terminated, _, info = env.step("click[buy now]")
    assert terminated and {"r_type", "r_att", "r_price", "w_att"} <= info["reward_parts"].keys()


def test_the_text_environment_draws_goals_by_weight_and_seed(text):
    drawn = [text.reset(seed=seed)[1]["session_id"] for seed in (5, 5, 6)]
    assert drawn[0] == drawn[1]
    assert len({text.reset()[1]["session_id"] for _ in range(30)}) > 5
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
        first = [env.session.session.session_id]
        return first + [(env.reset(), env.session.session.session_id)[1] for _ in range(19)]

    assert goals(1) == goals(1) != goals(2)
    assert sorted(map(int, goals(1))) == list(range(20))


def test_nobody_waits_for_goals_that_nobody_wants(shop_folder, policy_folder, monkeypatch):
    """Before the first one can be made up all goals are read, which takes seconds."""
    monkeypatch.setattr("rl_recsys.webshop.task._variations", lambda *_: pytest.fail("all goals were read"))
    env = envs.WebShopChoiceEnv(shop_folder, policy_folder, encoding=SMALL)
    for _ in range(3):
        env.reset()
    later = envs.WebShopChoiceEnv(shop_folder, policy_folder, encoding=SMALL, variations=1.0)
    later.reset(options={"goal": 1})


def test_some_goals_are_made_up_and_groups_keep_theirs(shop_folder, policy_folder):
    def instructions(seed, **options) -> list[tuple[str, str]]:
        env = envs.WebShopChoiceEnv(shop_folder, policy_folder, encoding=SMALL, **options)
        found = []
        for number in range(40):
            env.reset(seed=seed if number == 0 else None)
            session = env.session.session
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
    with pytest.raises(ValueError, match="variations is 1.5, it must be a number at least 0 and at most 1"):
        envs.WebShopChoiceEnv(shop_folder, policy_folder, encoding=SMALL, variations=1.5)


def test_workers_share_the_training_goals_without_overlap(shop_folder, policy_folder):
    class Context(dict):
        """What RLlib hands to an environment's creator."""

        worker_index, num_workers = 0, 0

    def goals(index):
        context = Context(shop=shop_folder, tokenizer=policy_folder, encoding=SMALL)
        context.worker_index, context.num_workers = index, 3
        return set(choice_env(context)._goals.tolist())

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
            return self.draw_goal()

    right, slip = Drawn(shop_folder), Drawn(shop_folder, rules={"quirks": ["goal_draw"]})
    last = right.shop.goal_count - 1
    shares = [(number + 0.5) / 5000 for number in range(5000)]
    drawn, slipped = Counter(map(right.at, shares)), Counter(map(slip.at, shares))
    assert 0 in drawn and 0 not in slipped
    assert slipped[last] == drawn[last] + drawn[last - 1]
    assert all(slipped[goal] == drawn[goal - 1] for goal in range(1, last))


def test_a_group_is_one_goal_several_times(shop_folder, policy_folder):
    env = gymnasium.make(
        envs.WEBSHOP_CHOICE_ID, shop=shop_folder, tokenizer=policy_folder, goals=[3, 5, 8], group_size=4
    )
    first, info = env.reset(seed=0)
    starts = [(info["session_id"], first)]
    starts += [(info["session_id"], start) for start, info in (env.reset() for _ in range(11))]
    for place in range(0, 12, 4):
        group = starts[place : place + 4]
        assert len({goal for goal, _ in group}) == 1
        assert all((start["state"] == group[0][1]["state"]).all() for _, start in group)
    assert {goal for goal, _ in starts} == {"3", "5", "8"}
    with pytest.raises(ValueError, match="group_size is 0, it must be a whole number at least 1"):
        envs.WebShopChoiceEnv(shop_folder, policy_folder, group_size=0)


def environments(shop, policy_folder):
    return envs.WebShopTextEnv(shop), envs.WebShopChoiceEnv(shop, policy_folder, encoding=SMALL)


def test_the_answer_is_only_told_where_it_is_asked_for(shop):
    """What a purchase must be is in no info; what the person says is."""
    env = envs.WebShopTextEnv(shop)
    _, info = env.reset(options={"goal": 17})
    goal = shop.goal(17)
    assert info.keys() == {"available_actions", "instruction_text", "session_id"}
    assert info["instruction_text"] == goal.instruction_text and info["session_id"] == "17"
    assert goal.asin.lower() not in str(info).lower()
    assert envs.WebShopTextEnv(shop, reveal_goal=True).reset(options={"goal": 17})[1]["goal"] == goal


def test_a_session_is_asked_for_as_in_the_original_or_by_its_goal(shop, policy_folder):
    for env in environments(shop, policy_folder):
        for goal in (5, np.int64(5), shop.goal(5), asdict(shop.goal(5))):
            assert env.reset(options={"goal": goal})[1]["instruction_text"] == shop.goal(5).instruction_text
        _, info = env.reset(options={"session": 17})
        assert (info["session_id"], info["instruction_text"]) == ("17", shop.goal(17).instruction_text)
        _, info = env.reset(options={"session": "ann", "goal": 3})
        assert (info["session_id"], info["instruction_text"]) == ("ann", shop.goal(3).instruction_text)
        env.reset(seed=3)
        drawn = env.reset(options={"session": "ann"})[1]["instruction_text"]
        env.reset(seed=3)
        assert env.reset(options={})[1]["instruction_text"] == drawn  # a name draws as none does


CHOICE_ARGUMENTS = [
    ({"shards": 0}, "shards is 0, it must be a whole number at least 1"),
    ({"shard": -1}, "shard is -1, it must be a whole number at least 0 and below 1"),
    ({"shard": 3, "shards": 3}, "shard is 3, it must be a whole number at least 0 and below 3"),
    ({"shard": 0.5, "shards": 3}, "shard is 0.5, it must be a whole number at least 0 and below 3"),
    ({"group_size": 1.5}, "group_size is 1.5, it must be a whole number at least 1"),
    ({"group_size": True}, "group_size is True, it must be"),
    ({"variations": "a"}, "variations is 'a', it must be a number at least 0 and at most 1"),
    ({"variations": float("nan")}, "variations is nan, it must be"),
    ({"words": "no"}, "words is 'no', it must be True or False"),
    ({"encoding": {"zz": 1}}, "encoding has 'zz', it may have: state_tokens, choices, choice_tokens"),
    ({"encoding": {"choices": "a"}}, "encoding choices is 'a', it must be a whole number"),
    ({"encoding": 7}, "encoding is 7, it must be an EncodingShape, or a mapping of state_tokens, "),
    ({"goals": [{"asin": "B1"}]}, "goals has {'asin': 'B1'}, it must be a split's name or a list of goals' indices"),
]
BOTH_ARGUMENTS = [
    *(({"max_steps": steps}, f"max_steps is {steps!r}, it must be a whole number at least 1, or None")
      for steps in (0, -1, 1.5, "3", True)),
    ({"goals": [1.5]}, "goals has 1.5, it must be a split's name or a list of goals' indices"),
    ({"goals": [0, 9999]}, "goals has 9999, it must be a list of indices that there are: "),
    ({"goals": [0, -1]}, "goals has -1, it must be a list of indices that there are: "),
    ({"goals": []}, "goals: the list has none"),
    ({"goals": 5}, "goals is 5, it must be a split's name or a list"),
    ({"rules": {"show_attributes": "no"}}, "show_attributes 'no': choose one of True, False"),
    ({"rules": {"quirks": 5}}, "quirks 5: give a list of them"),
    ({"rules": 5}, "rules is 5, it must be a mapping"),
    ({"render_mode": "human"}, "render_mode is 'human', it must be one of None, 'ansi'"),
]  # fmt: skip
TEXT_ARGUMENTS = [
    ({"reveal_goal": "no"}, "reveal_goal is 'no', it must be True or False"),
    ({"observation_mode": "pdf"}, "observation_mode is 'pdf', it must be one of "),
]


@pytest.mark.parametrize(("arguments", "message"), CHOICE_ARGUMENTS + BOTH_ARGUMENTS)
def test_arguments_of_a_choice_that_cannot_be_followed_are_refused_by_name(
    shop_folder, policy_folder, arguments, message
):
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        envs.WebShopChoiceEnv(shop_folder, policy_folder, **{"encoding": SMALL} | arguments)
    assert isinstance(raised.value, UserError) and "\n" not in str(raised.value)


@pytest.mark.parametrize(("arguments", "message"), TEXT_ARGUMENTS + BOTH_ARGUMENTS)
def test_arguments_of_the_shop_in_strings_that_cannot_be_followed_are_refused_by_name(shop_folder, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        envs.WebShopTextEnv(shop_folder, **arguments)
    assert isinstance(raised.value, UserError) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [*TEXT_ARGUMENTS, ({"max_steps": 0}, "max_steps is 0"), ({"goals": [1.5]}, "goals has 1.5"),
     ({"goals": [-1]}, "goals has -1"), ({"timeout_s": 0}, "timeout_s is 0, it must be a number above 0"),
     ({"render_mode": "human"}, "render_mode is 'human'")],
)  # fmt: skip
def test_arguments_of_a_served_shop_are_refused_before_the_server_is_asked(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        envs.RemoteWebShopEnv("ws://127.0.0.1:9", **arguments)


@pytest.mark.parametrize("action", [None, 3, b"click[buy now]", ["search[red]"]])
def test_an_action_that_is_no_text_is_refused(shop, action):
    env = envs.WebShopTextEnv(shop)
    env.reset(options={"goal": 0})
    with pytest.raises(ValueError, match=re.escape(f"action is {action!r}, it must be a text such as")):
        env.step(action)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"instruction": "red shirt"}, "no reset option 'instruction'; there are: goal, session"),
        ({"goal": 1, "seed": 3}, "no reset option 'seed'; there are: goal, session"),
        (["goal"], r"reset options are \['goal'\], they must be a mapping"),
        ({"goal": 10**6}, "reset option goal: .* goal 1000000 of"),
        ({"goal": -1}, "reset option goal: .* goal -1 of"),
        ({"goal": 1.0}, "reset option goal is 1.0, it must be an index, a Goal, or a mapping"),
        ({"goal": True}, "reset option goal is True, it must be an index"),
        ({"goal": "red shirt"}, "reset option goal is 'red shirt', it must be an index"),
        ({"goal": {"asin": "B1"}}, "reset option goal: the goal lacks the keys category, query"),
        ({"session": 1, "goal": 2}, "reset option session 1 is a goal's index: give it without the option goal"),
        ({"session": 1.5}, "reset option session is 1.5, it must be a goal's index or a name"),
        ({"session": 10**6}, "reset option goal: .* goal 1000000 of"),
    ],
)
def test_options_that_cannot_be_followed_are_refused_by_name(shop, policy_folder, options, message):
    for env in environments(shop, policy_folder):
        with pytest.raises(OptionsError, match=message) as raised:
            env.reset(options=options)
        assert "\n" not in str(raised.value)


def test_actions_of_a_choice_have_their_words_in_info(choice):
    _, info = choice.reset(seed=0)
    while len(info["actions"]) < 5:
        observation, *_, info = choice.step(len(info["actions"]) - 1)
    assert info["action_mask"].dtype == np.int8 and (info["action_mask"] == observation["mask"]).all()
    assert len(info["actions"]) == len(info["texts"]) == observation["mask"].sum()
    decision = choice.unwrapped.session.decision
    assert info["actions"] == [one.action for one in decision.choices]
    assert info["texts"] == [one.text for one in decision.choices]
    place = next(number for number, one in enumerate(info["actions"]) if one == "click[back to search]")
    assert choice.step(place)[4]["actions"][0].startswith("search[")


@pytest.mark.parametrize("action", [-1, 24, 1.0, "0", None, np.float32(1), np.array([0, 1])])
def test_an_action_outside_the_space_is_refused(shop, policy_folder, action):
    _, env = environments(shop, policy_folder)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="it must be an integer from 0 to 23"):
        env.step(action)
    assert env.session.steps == 0


def test_an_index_without_a_choice_counts_and_changes_nothing(shop, policy_folder):
    _, env = environments(shop, policy_folder)
    before, _ = env.reset(seed=0)
    for action in (23, np.int16(23), np.array(23)):
        after, reward, terminated, *_ = env.step(action)
        assert all((after[name] == before[name]).all() for name in before) and (reward, terminated) == (0.0, False)
    assert env.session.steps == 3
    env.session.choose(-1)  # of a list it would be the last
    assert env.session.session.kind == "search" and env.session.steps == 4


def test_a_config_for_rllib_with_another_key_is_refused_by_name(shop, policy_folder):
    config = {"shop": shop, "tokenizer": policy_folder, "encoding": SMALL}
    assert "actions" not in choice_env(config).reset(seed=0)[1]  # it would be shipped to the learners
    assert "actions" in choice_env(config | {"words": True}).reset(seed=0)[1]
    with pytest.raises(UserError, match="env_config of WebShopChoice-v0 has 'goal', it may have: shop, tokenizer"):
        choice_env(config | {"goal": "test"})
    with pytest.raises(UserError, match="env_config of WebShop-v0 has 'tokenizer', 'encoding', it may have: shop"):
        envs._text_env(config)


def test_a_tokenizer_that_was_replaced_is_read_anew(shop, policy_folder, tmp_path):
    """Both environments of a process at one path: each has the tokenizer that was there when it was made."""
    folder = tmp_path / "policy"
    shutil.copytree(policy_folder, folder)
    before = envs.WebShopChoiceEnv(shop, folder, encoding=SMALL).reset(options={"goal": 1})[0]["state"]
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    words = tokenizer["model"]["vocab"]
    first, last = shop.goal(1).instruction_text.lower().split()[0], max(words, key=words.get)
    words[first], words[last] = words[last], words[first]
    path.write_text(json.dumps(tokenizer))
    after = envs.WebShopChoiceEnv(shop, folder, encoding=SMALL).reset(options={"goal": 1})[0]["state"]
    assert set(after.tolist()) - set(before.tolist()) == {words[first]}


def test_goals_that_do_not_fit_a_state_are_never_played(shop, shop_folder, policy_folder):
    lengths = sorted(TextDecisionEncoder(policy_folder).tokens(shop.goal(goal).instruction_text)
                     for goal in shop.split("train"))  # fmt: skip
    shape = replace(SMALL, state_tokens=lengths[len(lengths) // 4])
    left_out = sum(length > shape.state_tokens for length in lengths)
    with pytest.warns(UserWarning, match=f"left out: {left_out} of {len(lengths)} goals"):
        env = envs.WebShopChoiceEnv(shop_folder, policy_folder, encoding=shape, variations=0.5)
    env.reset(seed=0)
    for _ in range(200):  # half of them would raise
        env.reset()
    too_long = max(shop.split("train"), key=lambda goal: len(shop.goal(goal).instruction_text))
    with pytest.raises(EncodingError, match="it is never cut"):
        env.reset(options={"goal": too_long})
    with pytest.raises(EncodingError, match="goals do not fit"):
        envs.WebShopChoiceEnv(shop_folder, policy_folder, encoding=replace(SMALL, state_tokens=4))


def test_goals_too_long_for_the_state_are_left_out_with_a_warning(shop, policy_folder):
    """A reset that dealt one ended the worker."""
    encoder = TextDecisionEncoder(policy_folder, SMALL)
    lengths = {goal: encoder.tokens(shop.goal(goal).instruction_text) for goal in range(20)}
    limit = sorted(lengths.values())[10]
    shape = EncodingShape(limit, SMALL.choices, SMALL.choice_tokens)
    fitting = {goal for goal, tokens in lengths.items() if tokens <= limit}
    assert 0 < len(fitting) < 20
    with pytest.warns(UserWarning, match=f"left out: {20 - len(fitting)} of 20 goals"):
        env = envs.WebShopChoiceEnv(shop, policy_folder, goals=list(range(20)), encoding=shape)
    env.reset(seed=0)
    assert {int(env.reset()[1]["session_id"]) for _ in range(len(fitting))} <= fitting
    too_long = next(iter(lengths.keys() - fitting))
    with pytest.raises(EncodingError, match="it is never cut"):
        env.reset(options={"goal": too_long})
