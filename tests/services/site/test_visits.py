"""What is recorded of a visit: the actions that a browser meant, whatever it went back to or sent twice."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.services.site.recording import Recording
from algorithms.services.site.visits import ActionError, Visit, can_click
from rl_recsys.core.trajectory import read_trajectories
from rl_recsys.webshop import Shop
from rl_recsys.webshop.imports.episodes import logged_trajectory
from rl_recsys.webshop.imports.site_logs import logged_actions
from rl_recsys.webshop.play.page import ElementKind, PageKind

SEARCHES = ("shirt", "a red lamp", "tea [green]", "nothing-has-this-word")


def places(visit: Visit, number: int) -> list[int]:
    """What can be clicked on a page."""
    session = visit.at(number)
    return [n for n, one in enumerate(session.page.elements) if can_click(session, one)]


def act_at_random(visit: Visit, rng: random.Random) -> None:
    """As a browser that may show an older page, and may send what it sends twice."""
    number = rng.choice([visit.number, visit.number, rng.randint(0, visit.number)])
    if visit.at(number).kind is PageKind.SEARCH:
        query = rng.choice(SEARCHES)
        send = lambda: visit.search(number, query)  # noqa: E731
    else:
        place = rng.choice(places(visit, number))
        send = lambda: visit.click(number, place)  # noqa: E731
    shows, taken = send(), list(visit.actions)
    if rng.random() < 0.3:
        assert send() == shows and visit.actions == taken


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_whatever_a_browser_sends_the_recordings_say_the_same(shop, tmp_path_factory, seed):
    rng, folder = random.Random(seed), tmp_path_factory.mktemp("record")
    told = []
    recording = Recording(folder, "http://site", told.append)
    visit = Visit(shop, rng.randrange(shop.goal_count), name="abc")
    while not visit.bought and visit.number < 25:
        before = visit.number
        act_at_random(visit, rng)
        recording.took(visit, visit.number - before)
    recording.end(visit)
    recording.end(visit)
    recording.close()
    (written,) = read_trajectories(folder)
    assert told == [visit] and written.to_row() == visit.trajectory.to_row()
    assert (written.source, written.author, written.goal_index) == ("human", "abc", visit.goal)
    assert written.done == visit.bought and written.reward == (visit.result.reward if visit.bought else 0.0)
    pages = [json.loads(line) for line in recording.log_of(visit).read_text().splitlines()]
    assert logged_actions(pages) == visit.actions
    again = logged_trajectory(shop, pages, source="human", author="abc")
    assert again.steps == written.steps and again.reward == written.reward
    assert [step.actions[step.chosen] for step in written.steps] == visit.actions


def found(shop: Shop, query: str = "shirt") -> Visit:
    visit = Visit(shop, 0, name="abc")
    visit.search(0, query)
    return visit


def product_places(visit: Visit, number: int) -> list[int]:
    elements = visit.at(number).page.elements
    return [n for n, one in enumerate(elements) if one.kind is ElementKind.PRODUCT]


def test_the_back_button_is_the_shops_own_way_back(shop):
    visit = found(shop)
    first, second, *_ = product_places(visit, 1)
    assert visit.click(1, first) == 2
    assert visit.click(1, second) == 4  # the browser had gone back to the results
    asins = [visit.at(1).page.elements[place].text.lower() for place in (first, second)]
    assert visit.actions == ["search[shirt]", f"click[{asins[0]}]", "click[< prev]", f"click[{asins[1]}]"]
    assert visit.search(0, "lamp") == 6  # and now to the search page
    assert visit.actions[-2:] == ["click[back to search]", "search[lamp]"] and visit.query == "lamp"


def test_an_option_that_was_taken_back_in_the_browser_is_not_chosen(shop):
    visit = found(shop)
    place = next(one for one in product_places(visit, 1) if shop.product(visit.at(1).page.elements[one].text).options)
    visit.click(1, place)
    (group, values), *_ = visit.session.product.options.items()
    elements = visit.session.page.elements
    option, other = (next(n for n, one in enumerate(elements) if one.text == value) for value in values[:2])
    visit.click(2, option)
    assert visit.session.options == {group: values[0]}
    visit.click(2, other)  # of the page on which nothing was chosen yet
    assert visit.session.options == {group: values[1]}
    assert visit.click(visit.number, other) == visit.number  # it is chosen already
    buy = next(n for n, one in enumerate(elements) if one.text == "Buy Now")
    visit.click(2, buy)
    assert visit.bought and visit.session.options == {}
    assert "click[< prev]" in visit.actions and visit.actions.count("click[buy now]") == 1
    assert visit.click(1, place) == 2  # what the browser had kept shows what it led to; nothing is done any more
    assert visit.trajectory is None and visit.to_trajectory().done


def test_what_is_no_action_is_refused(shop):
    visit = found(shop)
    for refused in (
        lambda: visit.search(0, "  [ ] "),
        lambda: visit.search(1, "shirt"),
        lambda: visit.click(1, 0),
        lambda: visit.click(1, 10**9),
        lambda: visit.click(1, -1),
    ):
        with pytest.raises(ActionError):
            refused()
    assert visit.actions == ["search[shirt]"]
    with pytest.raises(ActionError, match="200 actions"):
        while True:
            visit.click(visit.number, places(visit, visit.number)[0])
            visit.search(visit.number, "shirt")
    assert visit.number <= 200


def test_what_a_kill_left_in_the_logs_becomes_trajectories(shop, tmp_path):
    recording = Recording(tmp_path, "http://site", lambda visit: None)
    visits = [found(shop, query) for query in ("shirt", "lamp", "tea")]
    for visit, name in zip(visits, "abc", strict=True):
        visit.name = name
        recording.took(visit, 1)
    recording.end(visits[0])
    recording.forget(visits[1])
    with open(recording.log_of(visits[2]), "a") as log:
        log.write('{"page": "item_pa')  # cut short
    (tmp_path / "logs" / "d.jsonl").write_text(recording.log_of(visits[2]).read_text().splitlines()[0] + "\n{")
    later = Recording(tmp_path, "http://site", lambda visit: None)
    assert later.take_up(shop) == 1
    later.close()
    assert later.take_up(shop) == 0
    assert [one.author for one in read_trajectories(tmp_path)] == ["a", "c"]
