"""Recordings made trajectories: each importer on sessions whose steps are known, and on the real files."""

from __future__ import annotations

import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_recsys.core.trajectory import ImportedSessionError, Step
from rl_recsys.webshop import Shop
from rl_recsys.webshop.imports.episodes import follow, imitation_trajectory, logged_trajectory, recorded_trajectory
from rl_recsys.webshop.imports.site_logs import logged_actions, logged_page, logged_sessions
from rl_recsys.webshop.imports.text_pages import ObservationError, read_text_page
from rl_recsys.webshop.imports.text_session import TextSession
from rl_recsys.webshop.observe.decisions import ChoiceSession
from rl_recsys.webshop.play.page import ElementKind, PageKind
from rl_recsys.webshop.play.session import parse_action
from tests.conftest import RECORDED, SHARED

PRICE = re.compile(r"^([a-z ]+)?\$[\d.]+( to \$[\d.]+)? ")
WORDS = ("shirt", "a red lamp", "tea", "nothing-has-this-word")


def walk(shop: Shop, seed: int, actions: int = 30) -> list[Step]:
    """A random session's steps, with searches of its own, longer than an episode may be."""
    rng = random.Random(seed)
    choices = ChoiceSession(shop.session(rng.randrange(shop.goal_count)), queries=lambda text: [rng.choice(WORDS)])
    steps = []
    while not choices.session.done and len(steps) < actions:
        chosen = rng.randrange(len(choices.decision.choices))
        steps.append(Step.of(choices, chosen))
        choices.choose(chosen)
    return steps


def actions_of(steps: list[Step]) -> list[str]:
    return [step.actions[step.chosen] for step in steps]


def words_of(steps) -> list[tuple]:
    return [(step.state, step.choices, step.kinds, step.actions, step.chosen) for step in steps]


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_observations_alone_give_the_steps_of_the_session_itself(shop, seed):
    steps = walk(shop, seed)
    followed = follow(TextSession([step.observation for step in steps]), actions_of(steps))
    assert words_of(followed.steps) == words_of(steps)
    assert not followed.unlisted
    # Places are told apart as in the session: this is what pruning goes by.
    places = [step.url for step in steps]
    found = [step.url for step in followed.steps]
    assert [places.index(url) for url in places] == [found.index(url) for url in found]


def test_titles_and_options_are_read_from_a_page(shop):
    session = shop.session(0)
    session.step("search[shirt]")
    page = read_text_page(session.page.text_rich)
    shown = [element.text for element in session.page.of_kind(ElementKind.PRODUCT)]
    assert page.kind is PageKind.RESULTS
    assert page.titles == {asin: (shop.product(asin).title, shop.product(asin).price_text) for asin in shown}
    session.step(f"click[{shown[0].lower()}]")
    page, product = read_text_page(session.page.text_rich), shop.product(shown[0])
    assert (page.title, page.price_text) == (product.title, product.price_text)
    assert page.options == {name: list(values) for name, values in product.options.items()}


def test_a_product_is_found_by_a_title_with_brackets(shop):
    session = shop.session(0)
    session.step("search[shirt]")
    asin = next(session.page.of_kind(ElementKind.PRODUCT)).text
    results = session.page.text_rich.replace(shop.product(asin).title, "Shirt [Red, 2 Pack]")
    session.step(f"click[{asin.lower()}]")
    record = {
        "states": [shop.session(0).page.text_rich, results, session.page.text_rich],
        "actions": ["search[shirt]", "", ""],
        "available_actions": [[], ["click[item - shirt [red, 2 pack]]"], ["click[buy now]"]],
        "action_idxs": [-1, 0, 0],
    }
    found = imitation_trajectory(record, source="human", author="file", reward=1.0)
    assert actions_of(found.steps) == ["search[shirt]", f"click[{asin.lower()}]", "click[buy now]"]


def imitation_record(shop: Shop, steps: list[Step]) -> dict:
    """As the original writes it: products by their titles, searches with index -1."""

    def written(action: str) -> str:
        name, argument = parse_action(action)
        known = name == "click" and argument.upper() in {element.upper() for element in asins}
        return f"click[item - {shop.product(argument.upper()).title.lower()}]" if known else action

    asins = {shop.listing(row).asin for row in range(shop.product_count)}
    searching = [step.actions[step.chosen].startswith("search[") for step in steps]
    return {
        "states": [step.observation for step in steps],
        "actions": actions_of(steps),
        "available_actions": [[written(action) for action in step.actions] for step in steps],
        "action_idxs": [-1 if search else step.chosen for step, search in zip(steps, searching, strict=True)],
        "images": [0] * len(steps),
    }


def test_the_imitation_file_is_read_from_its_texts(shop):
    ends = set()
    for seed in range(60):
        steps = walk(shop, seed)
        titles = [[PRICE.sub("", text) for text in step.choices] for step in steps]
        if any(len(set(shown)) < len(shown) for shown in titles):
            continue  # equal titles name the last product that has one, as in the baseline
        record = json.loads(json.dumps(imitation_record(shop, steps)))
        found = imitation_trajectory(record, source="human", author="file", reward=1.0)
        assert words_of(found.steps) == words_of(steps)
        assert found.done == (steps[-1].actions[steps[-1].chosen] == "click[buy now]")
        assert (found.source, found.reward, found.goal_index) == ("human", float(found.done), -1)
        assert found.goal["instruction_text"] == steps[0].state[0]
        known = imitation_trajectory(record, source="human", author="file", reward=1.0, shop=shop)
        assert shop.goal(known.goal_index).instruction_text == steps[0].state[0]
        ends.add(found.done)
        if len(ends) == 2:
            break
    assert ends == {True, False}
    with pytest.raises(ImportedSessionError, match="not a line of the imitation file"):
        short = record | {"action_idxs": record["action_idxs"][:-1]}
        imitation_trajectory(short, source="human", author="file", reward=1.0)
    with pytest.raises(ImportedSessionError, match="no button of the page"):
        wrong = record | {"available_actions": [["click[no such button]"] * 99] * len(steps)}
        imitation_trajectory(wrong, source="human", author="file", reward=1.0)
    with pytest.raises(ImportedSessionError, match="not a line of the imitation file"):
        imitation_trajectory({"states": ["nonsense"]}, source="human", author="file", reward=1.0)
    with pytest.raises(ObservationError, match="does not begin with an instruction"):
        read_text_page("nonsense")


def site_log(shop: Shop, goal: int, actions: list[str]) -> list[dict]:
    """What a site writes of a session: pages, no actions."""
    session = shop.session(goal)
    pages = [logged_page(session, name=str(goal), site="http://site")]
    for action in actions:
        session.step(action)
        pages.append(logged_page(session, name=str(goal), site="http://site"))
    return json.loads(json.dumps(pages))


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_actions_are_inferred_from_a_sites_pages(shop, seed):
    goal = seed % shop.goal_count
    session, taken, choices = shop.session(goal), [], []
    rng = random.Random(seed)
    for _ in range(25):
        labels = [label for label in session.page.clickables if label != "search"]
        action = f"search[{rng.choice(WORDS)}]" if session.kind is PageKind.SEARCH else f"click[{rng.choice(labels)}]"
        before = session.page.url
        empty = action == "click[next >]" and session.page_number >= session.last_page
        session.step(action)
        if session.page.url != before:  # what changes nothing leaves no trace
            taken.append(action)
            choices += [] if empty else [action]  # a page without results is nothing to choose
        if session.done:
            break
    pages = site_log(shop, goal, taken)
    assert logged_actions(pages) == taken
    again = [page for page in pages for _ in range(2)]  # every page loaded twice
    assert logged_actions(again) == taken
    trajectory = logged_trajectory(shop, pages, source="human", author="log")
    assert actions_of(trajectory.steps) == choices
    assert trajectory.done == session.done
    assert trajectory.goal["instruction_text"] == shop.goal(goal).instruction_text


def buying(shop: Shop, goal: int, *, reading: bool = False) -> list[str]:
    """Actions that search for a goal's product, open what is found first, and buy it."""
    query = shop.goal(goal).query
    read = ["click[features]", "click[< prev]"] if reading else []
    return [f"search[{query}]", f"click[{shop.search(query)[0].lower()}]", *read, "click[buy now]"]


def test_a_log_of_several_sessions_is_one_episode_each(shop):
    """Every visitor of the original's start page is session "abc"."""
    first, second = site_log(shop, 5, buying(shop, 5, reading=True)), site_log(shop, 7, buying(shop, 7))
    for page in (*first, *second):
        page["url"] = page["url"].replace("site/5", "site/abc").replace("/5/", "/abc/").replace("/7/", "/abc/")
        page["url"] = page["url"].replace("site/7", "site/abc")
    abandoned = first[:2]
    for pages in (
        [*first, *second],
        [*first, first[-1], *second],  # the purchase's page was loaded again
        [*first, *first, *second],  # a second attempt at the same goal
        [*abandoned, *second, *first],
    ):
        sessions = logged_sessions(pages)
        assert [page for session in sessions for page in session] == pages
        for session in sessions:
            goals = {page["goal"]["instruction_text"] for page in session}
            trajectory = logged_trajectory(shop, session, source="human", author="log")
            assert goals == {trajectory.goal["instruction_text"]}
            assert trajectory.done == (session[-1]["page"] == "done")
        with pytest.raises(ImportedSessionError, match="several sessions"):
            logged_trajectory(shop, pages, source="human", author="log")
    assert [len(one) for one in logged_sessions([*abandoned, *second, *first, *first])] == [2, 4, 6, 6]


def test_sessions_that_are_no_whole_ones_are_named(shop):
    pages = site_log(shop, 5, buying(shop, 5))
    with pytest.raises(ImportedSessionError, match="begins with the page 'search_results': the start is missing"):
        logged_trajectory(shop, pages[1:], source="human", author="log")
    with pytest.raises(ImportedSessionError, match="nothing was done but to look at the start page"):
        logged_trajectory(shop, pages[:1] * 3, source="human", author="log")


def test_what_cannot_be_inferred_is_named(shop):
    steps = ["search[shirt]", f"click[{shop.search('shirt')[0].lower()}]"]
    pages = site_log(shop, 0, steps)
    with pytest.raises(ImportedSessionError, match="pages 1 and 2: no single action leads from index and item_page"):
        logged_actions([pages[0], pages[2]])
    with pytest.raises(ImportedSessionError, match="not a site's log: KeyError"):
        logged_trajectory(shop, [pages[0], pages[1], pages[2] | {"content": {}}], source="human", author="log")
    with pytest.raises(ImportedSessionError, match="no page with a goal"):
        logged_trajectory(shop, [{"page": "index"}], source="human", author="log")
    pages[1]["content"]["search_result_asins"].append("ELSEWHERE")
    pages[2]["content"]["asin"] = "ELSEWHERE"
    with pytest.raises(ImportedSessionError, match=r"click\[elsewhere\].*it has other products"):
        logged_trajectory(shop, pages, source="human", author="log")


def test_a_page_is_logged_as_the_original_logs_it(webshop):
    """The real logs' keys and addresses: what is written is what was recorded, in each page's order."""
    recorded = [json.loads(line) for line in (SHARED / "human_logs" / "20220427_1_18.jsonl").read_text().splitlines()]
    session = webshop.session(recorded[0]["goal"])
    for action, page in zip([None, "search[birthday candles for birthday cake]"], recorded, strict=False):
        if action:
            session.step(action)
        written = logged_page(session, name="20220427_1_18", site="http://3.83.245.205:3000")
        assert {"url": written["url"], "page": written["page"]} == {"url": page["url"], "page": page["page"]}
        assert written.keys() == page.keys() and written.get("content", {}).keys() == page.get("content", {}).keys()


def test_an_option_that_is_named_with_a_slash_does_not_hide_which_page_was_opened(shop):
    asin = shop.search("shirt")[0]
    session, pages = shop.session(0), []
    for action in ("search[shirt]", f"click[{asin.lower()}]", "click[features]"):
        session.step(action)
        session.options |= {"size / color": "9"}  # as of a catalogue that has such options
        pages.append(logged_page(session, name="abc", site="http://site"))
    assert logged_actions(pages[1:]) == ["click[features]"]


def test_the_real_logs_and_recordings_are_read(webshop):
    logs = sorted((SHARED / "human_logs").glob("*.jsonl"))
    assert len(logs) == 9
    for path in logs:
        pages = [json.loads(line) for line in path.read_text().splitlines()]
        assert len(logged_sessions(pages)) == 1
        actions = logged_actions(pages)
        assert actions[0].startswith("search[")
        assert actions[-1] == "click[buy now]"
        loaded_again = sum(before["url"] == after["url"] for before, after in zip(pages, pages[1:], strict=False))
        assert len(actions) == len(pages) - 1 - loaded_again
    recorded = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    trajectories = [recorded_trajectory(webshop, record, source="policy", author="agent") for record in recorded]
    assert [trajectory.reward for trajectory in trajectories] == [record["reward"] for record in recorded]
    broken = recorded[0] | {"steps": [recorded[0]["steps"][0] | {"observation": "WebShop\n"}]}
    with pytest.raises(ImportedSessionError, match="shows something else, step 0: line 2"):
        recorded_trajectory(webshop, broken, source="policy", author="agent")


def test_a_choice_beyond_those_of_a_long_page_is_taken_and_not_kept(shop):
    goal = next(index for index in range(shop.goal_count) if len(shop.product(shop.goal(index).asin).options) > 1)
    asin = shop.goal(goal).asin
    session = shop.session(goal)
    product = shop.product(asin)
    option = next(iter(product.options.values()))[-1]
    session.step(f"search[{product.title}]")
    followed = follow(session, [f"click[{asin.lower()}]", f"click[{option}]", "click[nowhere]", "click[buy now]"])
    assert followed.unlisted == ("click[nowhere]",) and not followed.beyond
    few = shop.session(goal)
    few.step(f"search[{product.title}]")
    followed = follow(few, [f"click[{asin.lower()}]", f"click[{option}]", "click[buy now]"], max_choices=6)
    assert f"click[{option}]" in followed.beyond and not followed.unlisted
    assert few.done and option in few.options.values()
