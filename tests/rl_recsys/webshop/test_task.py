"""WebShop as a task."""

from __future__ import annotations

import pickle

import pytest

from rl_recsys.core.task import TaskError, open_task, task_of_shop
from rl_recsys.webshop import Shop
from rl_recsys.webshop.goals.goal import Goal
from rl_recsys.webshop.task import WebShop


def test_a_shop_is_opened_again_by_its_spec(task, shop_folder):
    again = open_task(task.spec)
    assert task.spec == task_of_shop(shop_folder) and again.fingerprint == task.fingerprint
    assert open_task(again) is again
    assert pickle.loads(pickle.dumps(task)).fingerprint == task.fingerprint


def test_a_shop_with_other_rules_has_no_spec(shop_folder):
    """Workers would play by the rules that it was prepared with, and nobody would notice."""
    changed = WebShop(Shop.open(shop_folder, reward="corrected"))
    with pytest.raises(TaskError, match="another process would open it with these"):
        print(changed.spec)


def test_a_goal_is_the_same_by_its_index_and_as_a_mapping(task, shop):
    for index in (0, 5, 17):
        goal = task.goal(index)
        assert Goal.from_mapping(goal) == shop.goal(index)
        assert task.session(goal).decision == task.session(index).decision
        assert task.instruction(goal) == task.instruction(index) == goal["instruction_text"]
        assert task.cluster(index) == shop.goal(index).asin
    variation = task.variation(3, seed=1)
    assert variation == task.variation(3, seed=1) != task.variation(4, seed=1)
    assert task.session(variation).goal == variation
