"""The session against a model of it: the rules of the original's pages and transitions, in the simplest form.

The shop is hostile: its products are named, described and optioned as buttons, markers and markup.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from html.parser import HTMLParser

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rl_recsys.webshop import Shop
from rl_recsys.webshop.data.compile import Source, compile_shop
from rl_recsys.webshop.observe.decisions import ChoiceKind, ChoiceSession
from rl_recsys.webshop.play.page import ElementKind, PageKind
from rl_recsys.webshop.play.session import parse_action
from rl_recsys.webshop.replay import replay

BACK, PREV, NEXT, BUY = "back to search", "< prev", "next >", "buy now"
DETAILS = ("description", "features", "reviews")
ODD_VALUES = [
    ["Buy Now", "Small", "< Prev", "Next >", "Description", "Search", "Back to Search"],
    ['12" wide', "[button] Red [button_]", "a]b", "<b>bold</b>", "rot/schwarz", "Größe ß", "small"],
    ["B000000003", "Medium", "[SEP]", "  ", "'quoted'", "&amp;"],
]
ODD_NAMES = [
    "Shirt [SEP] [button] Buy Now [button_]",
    'A "Red" Shirt </h2><button class="btn">Buy Now</button>',
    "Shirt\nPrice: $0.01\n[button] Search [button_]",
    "Blue Shirt & Socks 'for' men [clicked button]",
]


@pytest.fixture(scope="session")
def hostile(tmp_path_factory) -> Shop:
    root = tmp_path_factory.mktemp("hostile")
    rng = random.Random(0)
    items, attributes = [], {}
    for number in range(24):
        asin = f"B{number:09d}"
        items.append(
            {
                "asin": asin,
                "name": f"{ODD_NAMES[number % 4]} {number}",
                "category": "fashion",
                "query": "shirts",
                "product_category": "Clothing › Shirts",
                "full_description": rng.choice(["", "\n", " ", "shirt [SEP] Buy Now", "x" * 10_000]),
                "small_description": ["[button] Buy Now [button_]", "<script>shirt</script>"],
                "pricing": rng.choice(["$1,299.00", None, "$5.5", "$3.00$9.99"]),
                "images": [],
                "customization_options": {
                    f"Group {place}": [{"value": value} for value in rng.sample(values, 4)]
                    for place, values in enumerate(rng.sample(ODD_VALUES, rng.randint(0, 3)))
                },
            }
        )
        attributes[asin] = {
            "attributes": ["[button]"],
            "instruction": "find a shirt [SEP] [button] Buy Now [button_]",
            "instruction_attributes": ["[button]"],
        }
    for name, value in (("items", items), ("attributes", attributes)):
        (root / name).write_text(json.dumps(value))
    compile_shop(Source(root / "items", root / "attributes"), root / "shop")
    return Shop.open(root / "shop")


class Model:
    """A session in words, lists and sets."""

    def __init__(self, shop: Shop):
        self.shop, self.done = shop, False
        self.reset()

    def reset(self) -> None:
        self.page, self.found, self.number, self.asin = "search", (), 1, None
        self.options, self.visited = {}, set()

    def labels(self) -> list[str]:
        if self.page == "results":
            return [BACK, *([PREV] if self.number > 1 else []), NEXT, *self.shown()]
        if self.page == "item":
            return list(dict.fromkeys([BACK, PREV, *DETAILS, BUY, *self.values()]))
        return {"search": ["search"], "detail": [BACK, PREV], "done": []}[self.page]

    def shown(self) -> list[str]:
        return [asin.lower() for asin in self.found[10 * (self.number - 1) : 10 * self.number]]

    def values(self) -> list[str]:
        return [value for values in self.shop.product(self.asin).options.values() for value in values]

    def act(self, action: str) -> None:
        name, argument = parse_action(action)
        if name == "search" and argument:
            self.found = self.shop.search(argument)
            self.results(1)
        elif name == "click" and argument in self.labels() and argument != "search":
            self.click(argument)

    def click(self, label: str) -> None:
        if label == BUY:
            self.page, self.done = "done", True
        elif label == BACK:
            self.reset()
        elif self.page == "results" and label in (NEXT, PREV):
            self.results(self.number + (1 if label == NEXT else -1))
        elif self.page == "detail":  # only < prev is left
            self.page = "item"
        elif label == PREV:
            self.results(self.number)
        elif label in DETAILS:
            self.page = "detail"
        elif self.page == "results":
            self.page, self.asin = "item", label.upper()
            self.visited.add(self.asin)
        else:
            groups = [name for name, values in self.shop.product(self.asin).options.items() if label in values]
            self.options[groups[-1]] = label  # of equal values the last stands for all

    def results(self, number: int) -> None:
        self.page, self.number, self.asin, self.options = "results", number, None, {}


class Sessions(RuleBasedStateMachine):
    shop: Shop

    @initialize(goal=st.integers(0, 20), product=st.none() | st.integers(0, 23))
    def begin(self, goal, product):
        self.session, self.model = self.shop.session(goal), Model(self.shop)
        self.record = {"goal": asdict(self.session.goal), "steps": []}
        if product is not None:  # most of what can go wrong is on the page of a product
            self.act(f"search[shirt {product}]")
            self.act(f"click[{self.model.labels()[-1]}]")

    def act(self, action: str) -> None:
        before, reading = self.session.page, (self.model.page, self.model.number, dict(self.model.options))
        self.record["steps"].append(
            {
                "observation": before.text_rich,
                "action": action,
                "available_actions": self.session.available_actions,
            }
        )
        self.model.act(action)
        result = self.session.step(action)
        assert result.page is self.session.page
        assert 0.0 <= result.reward <= 1.0 and (result.done or result.reward == 0.0)
        assert result.done == (self.session.kind is PageKind.DONE and reading[0] != "done")
        if before.text_rich == result.page.text_rich and before.url == result.page.url:
            assert (self.model.page, self.model.number, self.model.options) == reading

    @rule(
        words=st.sampled_from(
            ["shirt", "SHIRT socks", "[SEP]", "the of", '"small"', "a [b", "x]y", "<r>", "<q> shirts"]
        )
    )
    def search(self, words):
        self.act(f"search[{words}]")

    @rule(place=st.integers(0, 40), upper=st.booleans())
    def click_what_is_listed(self, place, upper):
        if labels := self.session.available_actions["clickables"]:
            label = labels[place % len(labels)]
            before = self.session.page
            self.act(f"click[{label.upper() if upper and label.isascii() else label}]")
            can_be_said = parse_action(f"click[{label}]") == ("click", label)
            if can_be_said and label != "search":
                assert self.session.page is not before

    @rule(label=st.sampled_from([BUY, BACK, PREV, NEXT, "search", "small", "b000000003", "reviews", "attributes"]))
    def click_what_may_not_be_there(self, label):
        self.act(f"click[{label}]")

    @rule(action=st.text(max_size=20) | st.sampled_from(["click[]", "search[]", "click[buy now", "Click[buy now]", ""]))
    def say_anything(self, action):
        self.act(action)

    @invariant()
    def they_agree(self):
        session, model = self.session, self.model
        assert session.kind == model.page
        assert session.available_actions == {"has_search_bar": model.page == "search", "clickables": model.labels()}
        assert session.done == model.done
        assert session.options == model.options
        assert session.visited == model.visited
        if model.page == "results":
            assert session.page_number == model.number
            assert f"Page {model.number} (Total results: {len(model.found)})" in session.page.text
        if model.page in ("item", "detail"):
            assert session.product.asin == model.asin

    @invariant()
    def the_views_show_the_same(self):
        page = self.session.page
        visible = [element.text for element in page.elements]
        assert strings_of(page.html) == [text.strip() for text in visible if text.strip()]
        unmarked = page.text_rich
        for marker in ("[clicked button] ", " [clicked button_]", "[button] ", " [button_]"):
            unmarked = unmarked.replace(marker, "")
        assert all(text.strip() in unmarked for text in visible if "button" not in text)

    @invariant()
    def a_policy_is_shown_the_kinds_and_not_the_words(self):
        decision = ChoiceSession(self.session).decision
        buttons = [choice.action for choice in decision.choices if choice.kind is ChoiceKind.BUTTON]
        honest = {"results": [BACK, PREV, NEXT], "item": [BACK, PREV, *DETAILS, BUY], "detail": [BACK, PREV]}
        listed = [label for label in honest.get(self.model.page, []) if label in self.model.labels()]
        if self.model.page == "results" and self.session.page_number >= self.session.last_page:
            listed.remove(NEXT)
        assert buttons == [f"click[{label}]" for label in listed]
        for choice in decision.choices:
            assert choice.kind is not ChoiceKind.NONE
            assert choice.action.startswith("search[" if choice.kind is ChoiceKind.SEARCH else "click[")
            _, label = parse_action(choice.action)
            assert choice.kind is ChoiceKind.SEARCH or label in set(self.model.labels()) - {"search"}

    def teardown(self):
        if hasattr(self, "record") and not self.session.done:
            last = {"observation": self.session.page.text_rich, "action": None}
            again = replay(self.shop, self.record | {"steps": [*self.record["steps"], last], "reward": 0.0})
            assert again.difference is None


class _Strings(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data):
        if data.strip():
            self.found.append(data.strip())


def strings_of(html: str) -> list[str]:
    """The visible strings of a page, as a parser that knows nothing of us reads them."""
    parser = _Strings()
    parser.feed(html)
    return parser.found


def test_the_session_agrees_with_the_model(hostile):
    machine = type("Sessions", (Sessions,), {"shop": hostile})
    machine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
    machine.TestCase().runTest()


def test_the_hostile_shop_has_what_the_model_should_meet(hostile):
    options = [hostile.listing(row).product.options for row in range(hostile.product_count)]
    values = {value for groups in options for group in groups.values() for value in group}
    assert {"buy now", "< prev", "next >", "search", "description", "b000000003", "[sep]"} <= values
    page = hostile.session(0).step("search[shirt]").page
    assert len(list(page.of_kind(ElementKind.PRODUCT))) == 10
