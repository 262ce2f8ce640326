from __future__ import annotations

import copy
import json
import pickle
import shutil

import cloudpickle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_recsys.webshop import Goal, Shop, ShopError
from rl_recsys.webshop.data.compile import Source, compile_shop
from rl_recsys.webshop.data.demo import write_demo_files
from rl_recsys.webshop.observe.decisions import ChoiceKind, ChoiceSession
from rl_recsys.webshop.play.page import BUTTONS, ElementKind, PageKind
from rl_recsys.webshop.play.session import parse_action
from tests.conftest import RECORDED


def query(shop: Shop, index: int) -> str:
    return shop.goal(index).query


def open_first(shop: Shop, goal: int = 0):
    session = shop.session(goal)
    session.step(f"search[{query(shop, goal)}]")
    product = next(session.page.of_kind(ElementKind.PRODUCT))
    session.step(f"click[{product.text.lower()}]")
    return session


@pytest.mark.skipif(not RECORDED.is_file(), reason="the recorded sessions are not here")
def test_the_recorded_sessions_of_the_original_are_reproduced(webshop):
    observations = rewards = 0
    for line in RECORDED.read_text().splitlines():
        recorded = json.loads(line)
        session = webshop.session(recorded["goal"])
        page, reward = session.page, 0.0
        for step in recorded["steps"]:
            assert page.text_rich == step["observation"]
            observations += 1
            if step["action"] is not None:
                result = session.step(step["action"])
                page, reward = result.page, result.reward
        assert (reward, session.done) == (recorded["reward"], recorded["done"])
        rewards += 1
    assert (observations, rewards) == (1653, 96)


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("click[Buy Now]", ("click", "buy now")),
        ("search[red shirt] and more", ("search", "red shirt")),
        ("click[a [b] c]", ("click[a ", "b] c")),
        ("think about it", ("think about it", None)),
        ("click[]", ("click[]", None)),
    ],
)
def test_the_action_grammar(action, expected):
    assert parse_action(action) == expected


def test_the_start_page(shop):
    page = shop.session(3).page
    text = shop.goal(3).instruction_text
    assert page.text == f"WebShop [SEP] Instruction: [SEP] {text} [SEP] Search"
    assert page.text_rich == f"WebShop\nInstruction: \n{text}\n[button] Search [button_]\n"
    assert page.available_actions == {"has_search_bar": True, "clickables": ["search"]}
    assert page.url == "http://127.0.0.1:3000/3"


def test_a_whole_purchase(shop):
    goal = shop.goal(0)
    session = shop.session(0)
    session.step(f"search[{goal.query}]")
    for _ in range(5):
        if goal.asin.lower() in session.page.clickables:
            break
        session.step("click[next >]")
    session.step(f"click[{goal.asin.lower()}]")
    for value in goal.goal_options.values():
        session.step(f"click[{value}]")
    assert session.options == goal.goal_options
    result = session.step("click[buy now]")
    assert result.done and session.done
    assert result.reward_parts["r_option"] == 1.0 if goal.goal_options else True
    assert result.page.kind is PageKind.DONE
    assert json.dumps(session.options, sort_keys=True).replace("'", "\\u0027") in result.page.text
    assert session.step("click[buy now]").reward == 0.0


def test_going_back_forgets_options_and_a_new_search_forgets_nothing_else(shop):
    session = open_first(shop)
    asin = session.product.asin
    for group, values in session.product.options.items():
        session.step(f"click[{values[-1]}]")
        assert session.options[group] == values[-1]
    session.step("click[features]")
    session.step("click[< prev]")
    assert session.options
    session.step("click[< prev]")
    assert session.kind is PageKind.RESULTS and not session.options
    assert f"[clicked button] {asin} [clicked button_]" in session.page.text_rich
    session.step("click[back to search]")
    assert session.kind is PageKind.SEARCH and not session.visited


def test_chosen_options_are_listed_latest_first(shop):
    goal = next(i for i in range(shop.goal_count) if len(shop.product(shop.goal(i).asin).options) > 1)
    session = shop.session(goal)
    session.step(f"search[{shop.goal(goal).instruction_text}]")
    while shop.goal(goal).asin.lower() not in session.page.clickables:
        session.step("click[next >]")
    session.step(f"click[{shop.goal(goal).asin.lower()}]")
    groups = list(session.product.options.values())
    session.step(f"click[{groups[0][0]}]")
    session.step(f"click[{groups[1][0]}]")
    order = [groups[1][0], groups[0][0]]
    assert session.page.text_rich.startswith("".join(f"You have clicked {value}.\n" for value in order))


def test_pages_past_the_end_are_empty_and_go_on(shop):
    session = shop.session(0)
    session.step(f"search[{query(shop, 0)}]")
    for _ in range(7):
        session.step("click[next >]")
    assert session.page_number == 8
    assert not list(session.page.of_kind(ElementKind.PRODUCT))
    assert "next >" in session.page.clickables


def test_html_and_url_views(shop):
    page = open_first(shop).page
    assert 'class="btn"' in page.html and 'type="radio"' in page.html
    assert page.observe("url") == page.url and "/item_page/0/" in page.url
    with pytest.raises(ValueError, match="observation mode 'pixels': choose one of text"):
        page.observe("pixels")


def test_a_goal_may_be_a_mapping_or_come_from_elsewhere(shop):
    record = {
        "asin": "ELSEWHERE", "category": "c", "query": "q", "name": "A wooden chair", "product_category": "p",
        "instruction_text": "find a chair", "attributes": ["solid wood"], "price_upper": 20.0, "goal_options": {},
    }  # fmt: skip
    session = shop.session(record)
    assert session.goal == Goal.from_mapping(record)
    assert shop.goal_nouns(session.goal) == ("chair",)


ACTIONS = st.one_of(
    st.text(max_size=30),
    st.text(max_size=20).map(lambda text: f"search[{text}]"),
    st.text(max_size=20).map(lambda text: f"click[{text}]"),
    st.sampled_from(["click[next >]", "click[< prev]", "click[buy now]", "click[back to search]", "click[features]"]),
    st.integers(0, 60),  # the n-th clickable
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ACTIONS, max_size=12), st.integers(0, 100))
def test_any_string_is_an_action_and_only_listed_ones_change_anything(shop, actions, goal):
    session = shop.session(goal)
    for action in actions:
        labels = list(session.page.clickables)
        if isinstance(action, int):
            if not labels:
                continue
            action = f"click[{labels[action % len(labels)]}]"
        name, argument = parse_action(action)
        before, page = session.page, session.page_number
        result = session.step(action)
        assert 0.0 <= result.reward <= 1.0
        acts = (name == "search" and bool(argument)) or (
            name == "click" and argument in labels and argument != "search"
        )
        if not acts:
            assert (session.page, session.page_number, result.reward, result.done) == (before, page, 0.0, False)


def copies(value) -> list:
    return [pickle.loads(pickle.dumps(value)), cloudpickle.loads(cloudpickle.dumps(value)), copy.deepcopy(value)]


def test_shops_and_sessions_are_copied_and_go_on_where_they_were(shop_folder):
    shop = Shop.open(shop_folder, reward="corrected", quirks=["catalog_filters"])
    for again in copies(shop):
        assert (again.fingerprint, again.rules, again.search("shirt")) == (
            shop.fingerprint, shop.rules, shop.search("shirt")
        )  # fmt: skip
    assert copy.deepcopy(shop) is copy.copy(shop) is shop
    choices = ChoiceSession(shop.session(3, session_id="seventeen"))
    walk = ["search[<r>]", "click[next >]", None, None, "click[features]", "click[< prev]", "click[buy now]"]
    for action in walk:
        for again in copies(choices):
            session, kept = again.session, choices.session
            assert session.page.text_rich == kept.page.text_rich and session.page.url == kept.page.url
            assert (session.product, session.options, session.visited) == (kept.product, kept.options, kept.visited)
            assert again.decision == choices.decision and again.steps == choices.steps
            if action is not None:  # the random pages go on alike
                assert session.step(action).page.text_rich == copy.deepcopy(kept).step(action).page.text_rich
        choices.act(action or choices.decision.choices[-1].action)


def test_a_pickled_shop_that_was_replaced_is_not_taken_for_it(tmp_path, shop_folder):
    folder = shutil.copytree(shop_folder, tmp_path / "shop")
    pickled = pickle.dumps(Shop.open(folder))
    Shop.open(folder).with_queries(folder, {"a": ["b"]}, {})
    with pytest.raises(ShopError, match="it is another shop than the one that was pickled"):
        pickle.loads(pickled)


LABELS = [*BUTTONS, "Buy Now", "Features", "NEXT >"]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> Shop:
    """A shop whose products are called as the buttons are."""
    root = tmp_path_factory.mktemp("labelled")
    items, attributes, _ = write_demo_files(root, products=20, seed=0)
    products = json.loads(items.read_text())
    for product, label in zip(products, LABELS, strict=False):
        product["asin"] = label
    items.write_text(json.dumps(products))
    compile_shop(Source(items, attributes), root / "shop")
    return Shop.open(root / "shop")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([*LABELS, "search[shirt]", "search[cream]"]) | st.integers(0, 30), max_size=15))
def test_products_called_as_buttons_never_end_a_session(labelled, actions):
    choices = ChoiceSession(labelled.session(0), max_steps=100)
    for action in actions:
        labels = list(choices.session.page.clickables)
        if isinstance(action, int):
            action = f"click[{labels[action % len(labels)]}]" if labels else "search[shoes]"
        elif not action.startswith("search["):
            action = f"click[{action}]"
        before = choices.session.kind
        result = choices.act(action)
        assert result.done == (before is PageKind.ITEM and choices.session.kind is PageKind.DONE)
        for choice in choices.decision.choices:  # what is offered does what it says
            if choice.kind in (ChoiceKind.PRODUCT, ChoiceKind.SEEN_PRODUCT, ChoiceKind.BEST_SEEN):
                opened = copy.deepcopy(choices.session)
                opened.step(choice.action)
                assert opened.kind is PageKind.ITEM and f"click[{opened.product.asin.lower()}]" == choice.action


@pytest.mark.parametrize("label", ["buy now", "features", "attributes"])
def test_a_product_called_as_a_button_of_other_pages_is_not_opened(labelled, label):
    session = labelled.session(0)
    shown = session.step(f"search[{labelled.product(label).title}]").page
    assert label in session.page.clickables
    result = session.step(f"click[{label}]")
    assert (result.page, result.reward, result.done) == (shown, 0.0, False)
