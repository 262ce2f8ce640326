"""Recommendations: what a policy buys most often, then what the search finds, within what a request says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter

import pytest

from policies.base import load_policy
from policies.play import play_together
from policies.recommender import recommend
from rl_recsys.webshop import Goal
from rl_recsys.webshop.goals.wish import choices, understand
from rl_recsys.webshop.observe.instruction_features import stem, words
from rl_recsys.webshop.recommending import ABOVE_LIMIT, BELOW_FLOOR, NO_WORD, search_only

EPISODES = 12


@pytest.fixture(scope="module")
def policy(policy_folder):
    return load_policy(policy_folder)


def test_what_is_bought_most_often_stands_first_and_the_search_fills_the_list(policy, shop, task):
    requests = [shop.goal(goal).instruction_text for goal in range(18)]  # more than are played at once
    answers = list(recommend(policy, task, requests, top=8, episodes=EPISODES, seed=3))
    assert [answer.request for answer in answers] == requests
    bought = 0
    for request, answer in zip(requests, answers, strict=True):
        wish, goal = understand(request), Goal.from_words(request)
        played = [*play_together(policy, task, [goal], [0], greedy=True)]
        played += play_together(
            policy, task, [goal] * (EPISODES - 1), range(1, EPISODES), greedy=False, seed=3, at_once=1
        )
        products = {}
        counts = Counter()
        for one, result in played:
            if result.done:
                product = one.session.session.product
                products[product.asin] = product
                counts[product.asin, tuple(sorted((one.session.session.options | choices(wish, product)).items()))] += 1
        shares = [one.share for one in answer.products]
        assert shares == sorted(shares, reverse=True) and len({one.asin for one in answer.products}) == len(shares)
        for one in answer.products:
            assert one.share == counts[one.asin, tuple(sorted(one.options.items()))] / EPISODES
            assert one.source == ("bought" if one.share else "search") and one.within_limit is not False
            product = shop.product(one.asin)
            assert (one.title, one.price) == (product.title, product.price_text)
        searched = {one.asin: one for one in search_only(shop, wish)}
        chosen = {asin for asin, _ in counts}
        above = {asin for asin in chosen if float(products[asin].price_text.split("$")[1].split()[0]) > wish.limit}
        assert {one.asin for one in answer.products if one.share} == chosen - above or len(chosen - above) > 8
        rest = [one for one in answer.products if not one.share]
        places = [list(searched).index(one.asin) for one in rest]
        assert places == sorted(places) and not chosen.intersection(one.asin for one in rest)
        bought += len(chosen)
    assert bought > 18


def test_nothing_above_a_limit_fills_a_list_nor_what_shares_no_word(policy, shop, task):
    plain, limited, odd = recommend(
        policy, task, ["shirts", "shirts under $15.", "zzz shirts, over-the-moon: $15 or less"], top=50, episodes=4
    )
    assert any(one.within_limit is None for one in plain.products) and plain.wish.limit is None
    for answer in (limited, odd):
        assert answer.wish.limit == 15
        for one in answer.products:
            assert one.within_limit is not False and float(one.price.split("$")[1].split()[0]) <= 15
        assert answer.left_out[ABOVE_LIMIT] > 0
    for one in plain.products:
        product = shop.product(one.asin)
        named = {
            stem(word) for text in (product.title, product.query, product.product_category) for word in words(text)
        }
        assert one.share or "shirt" in named
    # Of a shop without earbuds the search finds what is black.
    (answer,) = recommend(policy, task, ["black earbuds"], top=50, episodes=1)
    assert answer.left_out[NO_WORD] > 0
    assert not [one for one in answer.products if not one.share and "black" not in one.title.lower()]


def test_nothing_below_a_floor_is_recommended(policy, shop, task):
    requests = ["shirts over $50", "shirts from 50 to 90 dollars", "shirts with size: large, at least $50"]
    for answer in recommend(policy, task, requests, top=50, episodes=8):
        assert answer.wish.floor == 50 and "50" not in answer.wish.words and answer.products
        assert answer.to_mapping()["understood"]["floor"] == 50
        for one in answer.products:
            prices = [float(price) for price in re.findall(r"[\d.]+", one.price)]
            assert max(prices) >= 50 and one.reaches_floor is (True if min(prices) >= 50 else None)
            assert answer.wish.limit is None or min(prices) <= answer.wish.limit == 90
        assert answer.left_out[BELOW_FLOOR] > 0
    (answer,) = recommend(policy, task, ["shirts over $900"], episodes=2)
    assert answer.status == "nothing found" and answer.left_out[BELOW_FLOOR] > 0


def test_a_named_option_is_always_chosen_where_the_product_has_it(policy, shop, task):
    """What the policy bought without one, or with another."""
    for request in ("shirts with size: large, and price lower than 90.00 dollars", "shirts size large in black"):
        (answer,) = recommend(policy, task, [request], top=50, episodes=8)
        assert ("size", "large") in answer.wish.options
        offering = [one for one in answer.products if "large" in shop.product(one.asin).options.get("size", ())]
        assert offering and all(one.options["size"] == "large" for one in offering)
        assert all("size: large" in one.meets and "size: large" not in one.lacks for one in offering)
        lacking = [one for one in answer.products if one not in offering]
        assert lacking and all("size: large" in one.lacks and "size: large" not in one.meets for one in lacking)


def test_the_search_alone_chooses_the_named_options(shop):
    goal = next(shop.goal(one) for one in range(shop.goal_count) if len(shop.goal(one).goal_options) > 1)
    found = {one.asin: one.options for one in search_only(shop, understand(goal.instruction_text))}
    assert found[goal.asin] == goal.goal_options


def test_each_request_has_its_answer_at_its_place(policy, shop, task):
    encoder = policy.decision_encoder
    long = "red shirts " * 200
    requests = [
        "",
        "shirts",
        long,
        "\u200b",
        "under $50",
        "xyzzy plugh",
        f"a {shop.goal(0).query} for my brother",
        "???",
    ]
    answers = list(recommend(policy, task, requests, top=3, episodes=2))
    assert [answer.request for answer in answers] == requests
    assert [answer.status for answer in answers] == [
        "empty", "ok", "too long", "empty", "empty", "nothing found", "ok", "empty"
    ]  # fmt: skip
    too_long = answers[2].to_mapping()
    assert too_long["tokens"] == encoder.tokens(long) > too_long["most_tokens"] == 128
    assert len(answers[1].products) == 3 and not answers[5].products
    json.dumps([answer.to_mapping() for answer in answers])
    assert list(recommend(policy, task, [])) == []


def test_a_request_loads_no_tagger(shop_folder, policy_folder):
    """spaCy takes seconds and 377 MB, for the reward of a goal that has none."""
    code = (
        "import sys\nfrom policies.base import load_policy\nfrom policies.recommender import recommend\n"
        "from rl_recsys.core.task import open_task\n"
        f"policy, task = load_policy({str(policy_folder)!r}), open_task('webshop:{shop_folder}')\n"
        "(answer,) = recommend(policy, task, ['shirts'], episodes=2)\n"
        "print(answer.status, 'spacy' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert ended.stdout.strip() == "ok False"
