"""The engine: what it plays for many requests at once is what ``recommend`` plays for each."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
import torch

from algorithms.services.recommender.engine import Engine, Overloaded
from policies.base import load_policy
from policies.recommender import recommend
from rl_recsys.core.policy_folder import PolicyError
from rl_recsys.errors import UserError

EPISODES = 6


@pytest.fixture(scope="module")
def policy(policy_folder):
    return load_policy(policy_folder)


@pytest.fixture
def engine(policy, task):
    engine = Engine(task, {"a": policy, "b": policy}, at_once=16, waiting=12)
    yield engine
    engine.close()


async def answer(engine, task, policy, request, *, seed=0, name="a"):
    """What the service does: the choices of all episodes, in the order of their numbers."""
    desk = task.request_desk()
    understood = desk.read(request, policy.decision_encoder)
    found = {}
    async for played in engine.play(name, understood.goal, episodes=EPISODES, seed=seed):
        found[played.number] = played
    assert sorted(found) == list(range(EPISODES))
    return desk.answer(understood, [found[number].choice for number in range(EPISODES)], 8), found


def test_lists_are_those_of_recommend_whoever_else_is_played_for(engine, policy, shop, task):
    requests = [shop.goal(goal).instruction_text for goal in range(8)] + ["shirts under $40", "shirts size large"]

    async def together():
        asked = [answer(engine, task, policy, text, seed=7, name="ab"[n % 2]) for n, text in enumerate(requests)]
        return await asyncio.gather(*asked)

    expected = list(recommend(policy, task, requests, top=8, episodes=EPISODES, seed=7))
    found = asyncio.run(together())
    assert [one for one, _ in found] == expected
    assert any(product.share for one in expected for product in one.products)
    for (_, played), request in zip(found, requests, strict=True):
        goal = task.request_desk().read(request, policy.decision_encoder).goal
        for one in played.values():  # the choices that are kept are the episode
            session = task.session(goal, max_choices=policy.decision_encoder.choices)
            results = [session.choose(index) for index in one.taken]
            assert task.request_desk().choice(session, results[-1]) == one.choice
            assert session.done or session.truncated
    assert engine.load == (0, 0)


def test_more_requests_than_may_wait_are_refused_at_once_and_later_taken(policy, shop, task):
    engine = Engine(task, {"a": policy}, at_once=EPISODES, waiting=2)
    texts = [shop.goal(goal).instruction_text for goal in range(12)]

    async def ask():
        return await asyncio.gather(*(answer(engine, task, policy, text) for text in texts), return_exceptions=True)

    found = asyncio.run(ask())
    refused = [one for one in found if isinstance(one, Overloaded)]
    assert refused and all(one.retry_after_s >= 1 for one in refused)
    answered = [one for one in found if not isinstance(one, Exception)]
    assert len(answered) >= 2 and len(answered) + len(refused) == len(texts)
    assert asyncio.run(answer(engine, task, policy, texts[-1]))
    engine.close()


def test_who_leaves_is_played_for_no_further(engine, policy, shop, task):
    goal = task.request_desk().read(shop.goal(2).instruction_text, policy.decision_encoder).goal

    async def leave():
        async with aclosing(engine.play("a", goal, episodes=200)) as episodes:
            async for _ in episodes:
                break
        for _ in range(1000):
            if engine.load == (0, 0):
                return
            await asyncio.sleep(0.01)

    asyncio.run(leave())
    assert engine.load == (0, 0)
    assert asyncio.run(answer(engine, task, policy, shop.goal(3).instruction_text))


def test_a_policy_that_fails_fails_its_requests_and_no_others(policy, policy_folder, shop, task):
    broken = load_policy(policy_folder)
    with torch.no_grad():
        broken.scorer.sharpness.fill_(torch.nan)
    engine = Engine(task, {"whole": policy, "broken": broken})
    text = shop.goal(1).instruction_text

    async def ask():
        names = ["broken", "whole", "broken"]
        asked = (answer(engine, task, policy, text, name=name) for name in names)
        return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 120)

    for _ in range(2):
        one, whole, other = asyncio.run(ask())
        assert isinstance(one, PolicyError) and isinstance(other, PolicyError)
        assert whole[0] == next(recommend(policy, task, [text], top=8, episodes=EPISODES))
    assert engine.is_alive
    engine.close()


def test_a_closed_engine_refuses(policy, shop, task):
    engine = Engine(task, {"a": policy})
    engine.close()
    with pytest.raises(UserError, match="ending"):
        asyncio.run(answer(engine, task, policy, shop.goal(1).instruction_text))
    assert not engine.is_alive
