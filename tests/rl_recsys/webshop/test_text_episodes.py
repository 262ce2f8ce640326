"""Agents that read pages: they play as the shop's text environment does, one after the other or side by side."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docs.agents import rule_agent
from envs.webshop_text import WebShopTextEnv
from rl_recsys.core.play import baseline_episodes
from rl_recsys.evaluation.agent_evaluation import Planned
from rl_recsys.evaluation.agents.function import FunctionAgent
from rl_recsys.evaluation.agents.turn import AgentError
from rl_recsys.webshop.text_episodes import LONGEST_ACTION, text_episodes


class Scripted:
    """Takes the actions of a list, and keeps what it was asked."""

    def __init__(self, actions):
        self._actions, self.turns = actions, []

    def act(self, turn):
        self.turns.append(turn)
        return self._actions[turn.step % len(self._actions)]

    def close(self): ...


def played(shop, agent, goals, **options):
    planned = [Planned(number, goal) for number, goal in enumerate(goals)]
    return list(text_episodes(shop, planned, agent, **{"observation_mode": "text_rich", "max_steps": 15} | options))


def test_the_rule_earns_what_the_baseline_does(shop, task):
    goals = list(task.split("test"))[:40]
    found = played(shop, FunctionAgent(rule_agent.act), goals)
    for one, outcome in zip(found, baseline_episodes(task, goals, "rule"), strict=True):
        assert (one.goal, one.reward, one.steps, one.bought) == (
            outcome.goal, outcome.reward, outcome.steps, outcome.bought,
        )  # fmt: skip
        assert one.parts == outcome.parts and not one.unchanged and one.actions[-1] == "click[buy now]"
    assert len({one.reward for one in found}) > 5
    beside = played(shop, FunctionAgent(rule_agent.act), goals, at_once=3)
    assert sorted(beside, key=lambda one: one.number) == found


@pytest.mark.parametrize("mode", ["text", "text_rich"])
def test_an_agent_sees_what_the_text_environment_shows(shop, mode):
    env = WebShopTextEnv(shop, observation_mode=mode, max_steps=4)
    asin = shop.search("shoes")[0].lower()
    actions = ["search[shoes]", f"click[{asin}]", "click[no such label]", "click[buy now]"]
    agent = Scripted(actions)
    (episode,) = played(shop, agent, [3], observation_mode=mode, max_steps=4)
    observation, info = env.reset(options={"goal": 3})
    for turn, action in zip(agent.turns, actions, strict=True):
        assert (turn.observation, turn.available_actions) == (observation, info["available_actions"])
        assert turn.instruction == info["instruction_text"]
        assert [done for _, done in turn.history] == actions[: turn.step]
        observation, reward, terminated, _, info = env.step(action)
    assert terminated and episode.reward == reward and episode.parts == info["reward_parts"]
    assert episode.unchanged == 1 and episode.actions == actions and episode.bought


def test_an_episode_without_a_purchase_ends_with_nothing(shop):
    (episode,) = played(shop, Scripted(["search[shoes]", "click[search]", "jump"]), [0], max_steps=5)
    assert (episode.steps, episode.reward, episode.bought, episode.unchanged) == (5, 0.0, False, 3)


def test_an_error_of_one_of_several_ends_the_evaluation_with_what_is_played(shop):
    class Failing(Scripted):
        def act(self, turn):
            if turn.episode == 5:
                raise turn.error("no credit")
            return super().act(turn)

    planned = [Planned(number, number) for number in range(9)]
    found = []
    with pytest.raises(AgentError, match=r"episode 5 \(goal 5\), step 1: no credit"):
        for episode in text_episodes(shop, planned, Failing(["x"]), observation_mode="text", max_steps=1, at_once=2):
            found.append(episode.number)
    assert set(found) <= {0, 1, 2, 3, 4, 6} and len(found) >= 4


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.text(st.characters(codec=None), max_size=30),
        st.text(st.characters(codec=None), max_size=30).map(lambda words: f"search[{words}]"),
        st.just("search[" + "x" * LONGEST_ACTION + "]"),
    )
)
def test_any_text_is_an_action(shop, text):
    (episode,) = played(shop, Scripted([text]), [0], max_steps=1)
    assert episode.steps == 1 and not episode.bought and len(episode.actions[0]) <= LONGEST_ACTION
    episode.actions[0].encode()  # it can be written
