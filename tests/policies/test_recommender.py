"""Recommendations: what a policy buys most often, then what the search finds."""

from __future__ import annotations

from collections import Counter

import pytest

from policies.choice_model import ChoiceModel, decision_encoder
from policies.episodes import play_together
from policies.recommender import recommend, search_only
from rl_recsys.shop import Goal

EPISODES = 12


@pytest.fixture(scope="module")
def policy(policy_folder):
    return ChoiceModel.from_pretrained(policy_folder), decision_encoder(policy_folder)


def test_what_is_bought_most_often_stands_first_and_the_search_fills_the_list(policy, shop):
    requests = [shop.goal(goal).instruction_text for goal in range(18)]  # more than are played at once
    lists = list(recommend(*policy, shop, requests, top=8, episodes=EPISODES, seed=3))
    assert len(lists) == len(requests)
    bought = 0
    for request, found in zip(requests, lists, strict=True):
        wish = Goal.from_words(request)
        played = [*play_together(*policy, shop, [wish], [0], greedy=True)]
        played += play_together(
            *policy, shop, [wish] * (EPISODES - 1), range(1, EPISODES), greedy=False, seed=3, at_once=1
        )
        counts = Counter(
            (one.choices.session.product.asin, tuple(one.choices.session.options.items()))
            for one, result in played
            if result.done
        )
        shares = [one.share for one in found]
        assert shares == sorted(shares, reverse=True) and len({one.asin for one in found}) == 8
        for one in found:
            assert one.share == counts[one.asin, tuple(one.options.items())] / EPISODES
        chosen = {asin for asin, _ in counts}
        assert {one.asin for one in found if one.share} == chosen or len(chosen) > 8
        rest = [one for one in found if not one.share]
        assert rest == [one for one in search_only(shop, request) if one.asin not in chosen][: len(rest)]
        bought += len(chosen)
    assert bought > 18


def test_the_search_alone_chooses_the_named_options(shop):
    goal = next(shop.goal(one) for one in range(shop.goal_count) if len(shop.goal(one).goal_options) > 1)
    found = {one.asin: one.options for one in search_only(shop, goal.instruction_text)}
    assert found[goal.asin] == goal.goal_options


def test_words_alone_are_shopped_for(policy, shop):
    (found,) = recommend(*policy, shop, [f"a {shop.goal(0).query} for my brother"], top=3, episodes=2)
    assert len(found) == 3
    assert list(recommend(*policy, shop, ["xyzzy plugh", "xyzzy plover"], episodes=2)) == [[], []]  # nothing is found
    assert list(recommend(*policy, shop, [])) == []
