"""RecoGym's users as a task: one recommendation an episode."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_recsys.core.check import check_task
from rl_recsys.core.decision import Decision
from rl_recsys.core.encoding import EncodingError
from rl_recsys.core.play import baseline_episodes, demonstration, play
from rl_recsys.core.task import TaskError, open_task
from rl_recsys.recogym import ClusterSettings, LatentSettings, open_world
from rl_recsys.recogym.timelines import Timelines
from rl_recsys.recogym.view_encoding import FADING, ViewEncoder

PLACE = "recogym:v1,num_products=20,number_of_flips=10,sigma_mu_organic=0.1,random_seed=3,users=40,test_users=20"
WORLDS = (LatentSettings(num_products=20, number_of_flips=10, random_seed=3), ClusterSettings(random_seed=5))


@pytest.fixture(scope="module")
def task():
    return open_task(PLACE)


@pytest.mark.parametrize("place", [PLACE, "recogym:v0,users=30,test_users=10"])
def test_it_keeps_the_contract(place):
    assert check_task(place) >= 80


@pytest.mark.parametrize("world_settings", WORLDS)
def test_timelines_are_those_of_the_world_where_nothing_is_clicked(world_settings):
    timelines, world = Timelines.play(world_settings, 30), open_world(world_settings)
    recommendation = 0
    for user in range(30):
        world.begin(user)
        viewed = []
        while not world.left:
            viewed += world.views
            run = timelines.run_of(recommendation)
            rates = world.click_probabilities()
            assert (timelines.users[run], timelines.viewed(run).tolist()) == (user, viewed)
            assert timelines.click_probabilities(run) == pytest.approx(rates)
            clicked = [
                product for product in range(world_settings.num_products) if timelines.show(recommendation, product)[0]
            ]
            if clicked:
                assert min(rates[clicked]) > max(
                    (rate for p, rate in enumerate(rates) if p not in clicked), default=0.0
                )
            unlikely = int(rates.argmin())
            if world.recommend(unlikely):
                assert unlikely in clicked
                break  # from here on the world goes another way
            assert unlikely not in clicked
            recommendation += 1
        recommendation = int(timelines.starts[np.searchsorted(timelines.users, user + 1)])
    assert recommendation == timelines.recommendations


def test_the_share_of_clicks_is_the_probability(task):
    """Over all recommendations of all users, of one product and of the best: a sum of what is drawn for each."""
    timelines = task.timelines
    for choose in (lambda rates: 4, lambda rates: int(rates.argmax())):
        expected, clicks = [], 0
        for number in range(timelines.recommendations):
            rates = timelines.click_probabilities(timelines.run_of(number))
            expected.append(rates[choose(rates)])
            clicks += timelines.show(number, choose(rates))[0]
        deviation = np.sqrt(np.sum(np.array(expected) * (1 - np.array(expected))))
        assert abs(clicks - sum(expected)) < 4 * deviation


def test_splits_have_users_of_their_own(task):
    train, test = ({task.cluster(goal) for goal in task.split(name)} for name in ("train", "test"))
    assert not train & test and len(train) <= 40 and len(test) <= 20
    assert max(int(user.split()[1]) for user in train) < 40 <= min(int(user.split()[1]) for user in test)


def test_the_truth_is_the_most_and_demonstrations_foretell_views(task):
    rates = {}
    for name in task.baselines:
        outcomes = list(baseline_episodes(task, task.split("train"), name))
        assert all(outcome.bought and outcome.steps == 1 for outcome in outcomes)
        rates[name] = np.mean([outcome.parts["click_probability"] for outcome in outcomes])
    assert rates["truth"] > rates["most-seen"] > rates["random"]
    timelines, foretold = task.timelines, 0
    for goal in list(task.split("train"))[::25]:
        run = timelines.run_of(goal)
        if run + 1 < len(timelines.users) and timelines.users[run + 1] == timelines.users[run]:
            [step] = demonstration(task, goal).steps
            assert timelines.viewed(run + 1)[len(timelines.viewed(run))] == step.chosen
            foretold += 1
    assert foretold > 5


def test_recommendations_of_one_run_have_one_place_and_one_wish(task):
    """So that what was clicked can be preferred to what was not, of the same moment."""
    timelines = task.timelines
    run = int(np.argmax(np.diff(timelines.starts)))
    inside = [
        play(task, goal, lambda _: 0, source="scripted", author="first")
        for goal in range(*timelines.starts[run : run + 2])
    ]
    assert len(inside) > 2
    assert len({episode.steps[0].url for episode in inside}) == len({e.goal["instruction_text"] for e in inside}) == 1
    assert len({episode.goal["recommendation"] for episode in inside}) == len(inside)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("v2", "write recogym:v1 or recogym:v0"),
        ("v1,products=5", "no argument 'products'; write NAME=VALUE with one of num_products"),
        ("v1,num_products", "no argument 'num_products'"),
        ("v1,num_products=many", "num_products=many"),
        ("v1,num_products=0", "num_products is 0"),
        ("v1,stream=original", "no argument 'stream'"),
        ("v0,num_clusters=3", "must be a multiple"),
        ("v1,change_omega_for_bandits=true", "leave it out"),
        ("v1,users=1,test_users=1,prob_leave_organic=0.75,prob_organic_to_bandit=0", "before any recommendation"),
    ],
)
def test_a_wrong_place_is_named(place, message):
    with pytest.raises(Exception, match=message) as raised:
        open_task(f"recogym:{place}")
    assert "\n" not in str(raised.value)


def test_a_goal_of_another_world_is_refused(task):
    with pytest.raises(TaskError, match="no recommendation 3 of user 900000"):
        task.session({"instruction_text": "user 900000 after 1 views", "user": 900000, "recommendation": 3})
    with pytest.raises(TaskError, match="no goal 1000000000"):
        task.goal(10**9)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_views_are_counted_and_fade(task, viewed):
    decision = task.decision(0, 7)
    shown = " ".join(map(str, viewed))
    arrays = ViewEncoder(7).encode(
        Decision((decision.state[0], f"viewed, the oldest first: {shown}"), decision.choices)
    )
    assert arrays["views"].tolist() == [viewed.count(product) for product in range(7)]
    faded = [sum(FADING**age for age, seen in enumerate(reversed(viewed)) if seen == product) for product in range(7)]
    assert arrays["recent"] == pytest.approx(faded, rel=1e-5)


def test_another_worlds_decisions_and_more_products_are_refused(task):
    with pytest.raises(EncodingError, match="viewed, the oldest first"):
        ViewEncoder(20).encode(Decision(("buy shoes", "a page"), ()))
    with pytest.raises(EncodingError, match="knows 7 products, not 20"):
        ViewEncoder(7).encode(task.decision(0, 20))
