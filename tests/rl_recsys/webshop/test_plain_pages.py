"""Plain pages: what a policy is shown is on the page, all of what can be clicked, and nothing else."""

from __future__ import annotations

import random
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.common.offline import fitting_trajectories
from policies.base import load_policy
from policies.bert_choice.model import BertChoice
from policies.play import policy_trajectories
from rl_recsys.core.check import check_task
from rl_recsys.core.encoding import EncodingError, require_readable
from rl_recsys.core.play import scripted_episode
from rl_recsys.core.task import open_task
from rl_recsys.core.trajectory import TrajectoryError, TrajectoryWriter, read_trajectories
from rl_recsys.webshop.observe.plain_pages import PlainKind
from rl_recsys.webshop.play.page import PageKind
from tests.conftest import SMALL


@pytest.fixture(scope="module")
def plain(shop_folder):
    return open_task(f"webshop-plain:{shop_folder}")


def words(text):
    return re.findall(r"\w+", text.lower())


def test_it_keeps_the_contract_of_a_task(plain):
    check_task(plain)


@settings(max_examples=25)
@given(goal=st.integers(0, 400), seed=st.integers(0, 2**16))
def test_all_that_is_shown_is_on_the_page_and_all_of_it_can_be_done(plain, goal, seed):
    session, rng = plain.session(goal), random.Random(seed)
    while not session.done and not session.truncated:
        page, decision = session.session.page, session.decision
        there = words(page.text_rich)
        assert decision.state[0] == session.goal["instruction_text"]
        assert set(words(" ".join(decision.state[1:]))) <= set(there)
        if session.session.kind is not PageKind.SEARCH:
            assert [one.action for one in decision.choices] == [f"click[{label}]" for label in page.clickables]
            for choice, element in zip(decision.choices, page.clickables.values(), strict=True):
                marked = choice.kind in (PlainKind.VISITED_PRODUCT, PlainKind.CHOSEN_OPTION)
                assert marked == element.clicked and set(words(choice.text)) <= set(there)
        session.choose(rng.randrange(len(decision.choices)))


def test_a_page_is_shown_alike_whatever_came_before(plain, shop):
    """Guided pages remember what was read; these do not."""
    direct, after = plain.session(3), plain.session(3)
    query = f"search[{shop.goal(3).instruction_text}]"
    for session in (direct, after):
        session.act(query)
    (product, *_) = [one.action for one in direct.decision.choices if one.kind is PlainKind.PRODUCT]
    for session, actions in ((direct, [product]), (after, [product, "click[features]", "click[< prev]"])):
        for action in actions:
            session.act(action)
    assert direct.url == after.url and direct.decision == after.decision


def test_its_shopper_reads_no_features_and_earns_as_much_as_the_other(plain, task):
    goals = list(plain.split("train"))[:100]
    episodes = [scripted_episode(plain, goal, plain.demonstrator, author="scripted") for goal in goals]
    guided = [scripted_episode(task, goal, task.demonstrator, author="scripted") for goal in goals]
    assert sum(one.success for one in episodes) >= sum(one.success for one in guided) - 3  # not every goal can be won
    assert not any("features" in step.actions[step.chosen] for episode in episodes for step in episode.steps)


def test_policies_and_recordings_are_of_plain_or_of_guided_pages(plain, task, encoder_folder, policy_folder, tmp_path):
    torch.manual_seed(0)
    policy = BertChoice.fresh(plain, encoder=str(encoder_folder), **vars(SMALL), width=16)
    policy.save_pretrained(tmp_path / "policy", training={"fresh": True})
    loaded = load_policy(tmp_path / "policy")
    require_readable(plain, loaded.decision_encoder)
    with pytest.raises(EncodingError, match="'webshop-plain', not of 'webshop'"):
        require_readable(task, loaded.decision_encoder)
    with TrajectoryWriter(tmp_path / "played", plain.name) as writer:
        for episode in policy_trajectories(loaded, plain, [0, 1], author="policy", greedy=True):
            writer.append(episode)
    assert len(list(read_trajectories(tmp_path / "played"))) == 2
    assert len(fitting_trajectories(str(tmp_path / "played"), loaded.decision_encoder, minimum_reward=0)) == 2
    guided = load_policy(policy_folder).decision_encoder
    with pytest.raises(
        TrajectoryError, match="of the task 'webshop-plain', and the policy reads decisions of 'webshop'"
    ):
        fitting_trajectories(str(tmp_path / "played"), guided, minimum_reward=0)
