"""The ledger: what it acknowledged is there after any kill, and what becomes of feedback is what DPO learns from."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter

import pytest

from algorithms.dpo.preferences import RecordedGroups
from algorithms.services.recommender.feedback import FeedbackError, Listed, Report, trajectories
from algorithms.services.recommender.ledger import TRAJECTORIES, Ledger, ReportedError, UnknownListError, world_of
from algorithms.services.recommender.messages import Feedback, Filters, Request
from algorithms.services.recommender.service import Recommender, RefusedError, in_threads
from policies.base import load_policy
from policies.recommender import recommend
from rl_recsys.core.preferences import better_and_worse, diverging_decisions
from rl_recsys.core.trajectory import read_trajectories
from rl_recsys.runs.settings import SettingsError

EPISODES = 8


@pytest.fixture(scope="module")
def policy(policy_folder):
    return load_policy(policy_folder)


@pytest.fixture
def make(tmp_path, policy, policy_folder, task):
    """Makes a recommender with a ledger in a folder; one at a time."""
    made = []

    def one(arms=("policy",), **options):
        ledger = Ledger(tmp_path, task=task.name, world=world_of(task), arms=dict.fromkeys(arms, "w"), **options)
        recommender = Recommender(
            task, dict.fromkeys(arms, policy), in_threads(ledger), episodes=EPISODES,
            authors=dict.fromkeys(arms, str(policy_folder)),
        )  # fmt: skip
        made.append((recommender, ledger))
        return recommender, ledger

    yield one
    for recommender, ledger in made:
        recommender.close()
        ledger.close()


def bought_in(answer):
    return [one.item for one in answer.products if one.share]


def test_lists_streamed_and_whole_are_those_of_recommend(make, policy, shop, task):
    recommender, _ = make()
    texts = [shop.goal(goal).instruction_text for goal in range(6)] + ["shirts under $40"]
    expected = list(recommend(policy, task, texts, top=4, episodes=EPISODES, seed=5))

    async def ask(text):
        request = Request(text=text, k=4, seed=5)
        whole, streamed = await asyncio.gather(recommender.recommend(request), collect(recommender.stream(request)))
        return whole, streamed

    async def collect(answers):
        return [one async for one in answers]

    async def every():
        return await asyncio.gather(*map(ask, texts))

    for (whole, streamed), one in zip(asyncio.run(every()), expected, strict=True):
        stages = [part.stage for part in streamed]
        assert stages[0] == "search" and stages[-1] == "done" and set(stages[1:-1]) <= {"agent"}
        assert not any(product.share for product in streamed[0].products) and streamed[0].id is None
        for answer in (whole, streamed[-1]):
            assert [product.item for product in answer.products] == [product.asin for product in one.products]
            said = [product.model_dump(exclude={"item", "interval"}) for product in answer.products]
            assert [{**product, "meets": tuple(product["meets"])} for product in said] == [
                {**product, "meets": tuple(product["meets"])} for product in one.to_mapping()["products"]
            ]
            for product in answer.products:
                assert product.interval[0] <= product.share <= product.interval[1]
    assert recommender.engine.load == (0, 0)


def test_options_and_filters_narrow_what_the_words_say(make, shop):
    recommender, _ = make()
    request = Request(
        text="shirts under $80", k=50, options={"Size": "Large"}, filters=Filters(price_min=20, price_max=60)
    )
    answer = asyncio.run(recommender.recommend(request))
    assert answer.understood["options"] == {"size": "large"}
    assert (answer.understood["floor"], answer.understood["limit"]) == (20, 60)
    assert answer.products
    for one in answer.products:
        assert one.within_limit is not False and one.reaches_floor is not False
        if "large" in shop.product(one.item).options.get("size", ()):
            assert one.options["size"] == "large"
    for text in ("  ", "under $5", "long " * 190):
        with pytest.raises(RefusedError, match="names nothing to search for|too long: 19"):
            asyncio.run(recommender.recommend(Request(text=text)))


def test_a_report_becomes_episodes_that_dpo_pairs(make, tmp_path, shop, task):
    recommender, _ = make()

    async def shopped():
        for goal in range(40):
            answer = await recommender.recommend(Request(text=shop.goal(goal).instruction_text, k=10))
            if len(bought_in(answer)) > 2 and len(bought_in(answer)) < len(answer.products):
                return answer

    answer = asyncio.run(shopped())
    bought, clicked, *others = bought_in(answer)
    searched = next(one.item for one in answer.products if not one.share)
    given = Feedback(id=answer.id, clicked=[clicked, searched], bought=[bought])
    _, recorded = asyncio.run(recommender.feedback(given))
    assert recorded.reward == 1.0
    found = list(read_trajectories(tmp_path / TRAJECTORIES))  # while its writer has it open
    assert len(found) == recorded.episodes
    rewards = Counter()
    for one in found:
        session = task.session(one.goal, max_choices=max(len(step.choices) for step in one.steps))
        for step in one.steps:
            session.session.step(step.actions[step.chosen])
        rewards[session.session.product.asin, one.reward, one.source] += 1
        assert session.session.done and one.done
    assert {(item, reward) for item, reward, source in rewards if source == "policy"} == {
        (bought, 1.0), (clicked, 0.5), *((item, 0.0) for item in others if item in bought_in(answer))
    }  # fmt: skip
    # What the search alone found has an episode of its own, where it can be reached.
    assert {item for item, _, source in rewards if source == "human"} <= {searched}
    group = next(RecordedGroups(found))
    assert len(group) == len(found)
    pairs = [pair for both in better_and_worse(group) for pair in diverging_decisions(both[0].steps, both[1].steps)]
    assert pairs


def test_what_only_the_search_found_gets_an_episode(task, shop):
    """Straight to it, with its options: what the agent should have done."""
    desk = task.request_desk()
    reached = 0
    for number in range(20):
        goal = shop.goal(number)
        for place, asin in enumerate(shop.search(shop.search_candidates(goal.instruction_text)[0])[:25]):
            if place % 6:
                continue
            product = shop.product(asin)
            wanted = {group: values[-1] for group, values in product.options.items()}
            session = task.session(goal)
            taken = desk.take(session, (asin, wanted))
            if taken is not None:
                reached += 1
                assert session.done and session.session.product.asin == asin
                assert session.session.options == wanted and len(taken) == session.steps
    assert reached > 20
    assert desk.take(task.session(shop.goal(0)), ("no such product", {})) is None


def test_a_list_is_judged_once_and_only_by_its_items(make, shop):
    recommender, _ = make()
    answer = asyncio.run(recommender.recommend(Request(text=shop.goal(3).instruction_text)))
    item = answer.products[0].item
    first = asyncio.run(recommender.feedback(Feedback(id=answer.id, clicked=[item])))
    assert asyncio.run(recommender.feedback(Feedback(id=answer.id, clicked=[item]))) == first
    with pytest.raises(ReportedError, match="judged once"):
        asyncio.run(recommender.feedback(Feedback(id=answer.id, bought=[item])))
    with pytest.raises(UnknownListError, match="no list 'x'"):
        asyncio.run(recommender.feedback(Feedback(id="x")))
    with pytest.raises(FeedbackError, match="has no 'B0'"):
        asyncio.run(recommender.feedback(Feedback(id=answer.id, shown=["B0"])))


def test_turns_go_to_the_better_policy_and_are_remembered(make, tmp_path, task):
    listed = Listed("0", "b", "b", 0, 24, {"instruction_text": "x"}, {"i": None}, [])
    _, ledger = make(("a", "b"))
    for number in range(120):
        name = ledger.draw()
        ledger.keep({**listed.to_mapping(), "id": str(number), "policy": name})
        report = Report.of(listed, None, ["i"], ["i"] if number % 10 < {"a": 2, "b": 8}[name] else [])
        ledger.record(str(number), report, [])
    turns = Counter(ledger.draw() for _ in range(200))
    assert turns["b"] > 150
    standings, after = ledger.standings(), [ledger.draw() for _ in range(20)]
    ledger.close()
    again = Ledger(tmp_path, task=task.name, world=world_of(task), arms={"a": "w", "b": "w"})
    assert again.standings() == standings
    assert Counter(again.draw() for _ in range(200))["b"] > 150 and after
    again.close()
    replaced = Ledger(tmp_path, task=task.name, world=world_of(task), arms={"a": "w", "b": "other weights"})
    assert replaced.standings()["b"]["reports"] == 0 and replaced.standings()["a"] == standings["a"]
    replaced.close()


REPORT_UNTIL_KILLED = """
import json, sys
from pathlib import Path
from algorithms.services.recommender.feedback import Listed, Report
from algorithms.services.recommender.ledger import Ledger
folder, name, world = json.loads(sys.argv[1])
ledger = Ledger(Path(folder), task=name, world=world, arms={"policy": "w"})
listed = Listed("0", "policy", "p", 0, 24, {"instruction_text": "x"}, {"i": None}, [])
for number in range(10_000):
    ledger.keep({**listed.to_mapping(), "id": str(number)})
    ledger.record(str(number), Report.of(listed, None, [], ["i"]), [])
    print(number, flush=True)
"""


def test_what_was_acknowledged_outlives_a_kill(tmp_path, task):
    told = json.dumps([str(tmp_path), task.name, world_of(task)])
    with subprocess.Popen([sys.executable, "-c", REPORT_UNTIL_KILLED, told], stdout=subprocess.PIPE) as process:
        last = next(int(line) for line in process.stdout if int(line) >= 20)
        process.kill()
        last = max([last, *(int(line) for line in process.stdout if line.endswith(b"\n"))])
    ledger = Ledger(tmp_path, task=task.name, world=world_of(task), arms={"policy": "w"})
    assert last + 1 <= ledger.standings()["policy"]["reports"] <= last + 2
    ledger.close()
    with pytest.raises(SettingsError, match="begun with other settings"):
        Ledger(tmp_path, task=task.name, world={"shop": "another", "task": "x"}, arms={"policy": "w"})


def test_episodes_of_a_report_are_the_listed_ones(task, policy, shop):
    """What is not shown is judged by nobody."""
    session = task.session(shop.goal(1))
    asin = shop.search(shop.search_candidates(shop.goal(1).instruction_text)[0])[0]
    taken = task.request_desk().take(session, (asin, {}))
    listed = Listed(
        "0", "policy", "p", 0, 64, dict(session.goal), {asin: (asin, {}), "other": ("other", {})},
        [(taken, asin), (taken, asin)],
    )  # fmt: skip
    (one,) = trajectories(task, listed, Report.of(listed, None, [asin], []))
    assert (one.reward, one.source, one.author, len(one.steps)) == (0.5, "policy", "p", len(taken))
    assert list(trajectories(task, listed, Report.of(listed, ["other"], [], []))) == []
