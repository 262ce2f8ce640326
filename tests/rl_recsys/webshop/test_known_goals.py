from __future__ import annotations

import random
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_recsys.core.play import goals_of, play
from rl_recsys.core.trajectory import Trajectory, TrajectoryError, TrajectoryWriter
from rl_recsys.webshop import Shop
from rl_recsys.webshop.goals.goal import without_price_clause
from rl_recsys.webshop.imports.known_goals import KnownGoals, known_goals
from rl_recsys.webshop.shoppers import scripted_shopper


def words_of(shop: Shop, goal: int) -> str:
    return without_price_clause(shop.goal(goal).instruction_text)


@settings(max_examples=30)
@given(number=st.integers(0, 10**6))
def test_a_goal_is_known_by_what_it_asks_for(shop, number):
    index = number % shop.goal_count
    goal, known = shop.goal(index), known_goals(shop)
    attributes = list(goal.attributes)
    random.Random(number).shuffle(attributes)
    turned = replace(goal, attributes=tuple(attributes), price_upper=1e6, instruction_text="in other words")
    assert index in known.alike(asdict(turned))
    assert all(shop.goal(other).wish == goal.wish for other in known.alike(asdict(turned)))
    assert known.alike(asdict(replace(goal, attributes=(*attributes, "made of nothing")))) == []
    priced = f"{words_of(shop, index)}, and price lower than 9999.00 dollars"
    assert index in known.alike({"instruction_text": priced})
    assert {words_of(shop, other) for other in known.alike({"instruction_text": priced})} == {words_of(shop, index)}


@pytest.mark.parametrize("protocol", ["1k", "product-disjoint"])
def test_words_that_are_in_several_splits_are_no_goals(shop_folder, protocol):
    shop = Shop.open(shop_folder, protocol=protocol)
    known, train = KnownGoals(shop), set(shop.split("train"))
    found = []
    for index in range(0, shop.goal_count, 7):
        goal = shop.goal(index)
        text = f"{words_of(shop, index)}, and price lower than 9999.00 dollars"
        same = [other for other in known.alike({"instruction_text": text})]
        sides = {other in train for other in same}
        unclear = known.index({"instruction_text": text})
        assert (unclear == -1) >= (len(sides) == 2)
        if unclear >= 0:
            assert unclear == same[0]
        named = known.index({"instruction_text": text, "asin": goal.asin})
        assert named == -1 or shop.goal(named).asin == goal.asin
        found.append(unclear)
    assert max(found) > -1
    assert known.index({"instruction_text": "what nobody sells"}) == -1


def test_the_goals_that_episodes_are_about(tmp_path, shop, task):
    one, other, third = shop.split("train")[:3]

    def episode(number: int, **changed) -> Trajectory:
        played = play(task, number, scripted_shopper, source="scripted", author="s", seed=0)
        return replace(played, **changed)

    said = {"instruction_text": f"{words_of(shop, other)}, and price lower than 9999.00 dollars"}
    made_up = asdict(replace(shop.goal(third), instruction_text="Find me what a variation asks for"))
    with TrajectoryWriter(tmp_path / "episodes") as writer:
        writer.append(episode(one))
        writer.append(episode(other, goal_index=-1, goal=said))
        writer.append(episode(third, goal_index=-1, goal=made_up))
        writer.append(episode(third, goal_index=-1, goal={"instruction_text": "Find me what nobody sells"}))
    found = goals_of(tmp_path / "episodes", task)
    assert {one, other, third} <= found
    wishes = {shop.goal(one).wish, shop.goal(third).wish}
    assert all(shop.goal(goal).wish in wishes or words_of(shop, goal) == words_of(shop, other) for goal in found)

    with TrajectoryWriter(tmp_path / "elsewhere") as writer:
        writer.append(episode(one, goal_index=other))
    with pytest.raises(TrajectoryError, match=f"goal {other} .* was recorded in another shop than .*record again"):
        goals_of(tmp_path / "elsewhere", task)
    with pytest.raises(TrajectoryError, match="another shop"):
        KnownGoals(shop).of(episode(one, goal_index=shop.goal_count))
