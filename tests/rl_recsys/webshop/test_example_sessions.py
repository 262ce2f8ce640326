"""Episodes for people: what is said of one, and what is not where the catalogue's words may not be shown."""

import pytest

from rl_recsys.core.example_sessions import STATE_WIDTH, SessionStep
from rl_recsys.core.trajectory import Step, Trajectory
from rl_recsys.webshop.observe.decisions import ChoiceKind
from rl_recsys.webshop.observe.example_sessions import example_session

KINDS = (ChoiceKind.PRODUCT, ChoiceKind.BEST_SEEN, ChoiceKind.BUTTON, ChoiceKind.OTHER_OPTION, ChoiceKind.NAMED_OPTION)


def episode(*steps: Step, reward: float = 1.0, done: bool = True, **parts: float) -> Trajectory:
    goal = {
        "asin": "B01", "name": "secret shoe", "instruction_text": "a secret shoe", "goal_options": {"size": "secret 9"},
        "attributes": ["secret grip"],
    }  # fmt: skip
    return Trajectory(goal, 7, "policy", "test", 0, steps, reward, done, parts)


def step(chosen: int, *page: str) -> Step:
    actions = ("click[b01]", "click[b02]", "click[< prev]", "click[secret 8]", "click[secret 9]")
    words = ("secret shoe", "secret boot", "< prev", "size: secret 8", "size: secret 9")
    return Step("", "", ("a secret shoe", *page), actions, words, tuple(map(int, KINDS)), chosen)


def test_a_session_says_what_was_wanted_seen_and_done():
    shown = example_session(episode(step(1, "item", "secret " * STATE_WIDTH), step(4)), quote=True)
    assert shown.instruction == "a secret shoe" and shown.success
    assert shown.wanted == "Wanted: secret shoe; options size: secret 9; attributes secret grip"
    first, second = shown.steps
    assert first.action == "click[b02] secret boot" and first.choices == 5  # the product's asin says nothing to people
    assert len(first.page) == STATE_WIDTH and first.page.startswith("item / secret") and first.page.endswith("…")
    assert second == SessionStep("search", "click[secret 9]", 5)


def test_without_quotes_none_of_the_catalogues_words_is_left():
    steps = [step(chosen, "item, 1 seen, chosen size: secret 9") for chosen in range(5)]
    shown = example_session(episode(*steps, step(0, "results page 2, 1 seen")), quote=False)
    assert "secret" not in str(shown)
    assert (shown.instruction, shown.wanted) == ("goal 7", "Wanted: B01; 1 options; 1 attributes")
    assert [one.action for one in shown.steps[:5]] == [
        "click[b01], product 1 of 1", "click[b02], the best product seen", "click[< prev]",
        "option 1 of 1 instead of another", "option 1 of 1 that the instruction names",
    ]  # fmt: skip
    assert [one.page for one in shown.steps[4:]] == ["page of a product", "results page 2, 1 seen"]


@pytest.mark.parametrize(
    ("made", "outcome"),
    [
        (episode(), "reward 1, a success"),
        (episode(step(0, "item"), step(2)), "reward 1, a success"),
        (
            episode(step(1, "item"), step(2)),
            "reward 1, a success with another product, which has all that was asked for",
        ),
        (episode(reward=0.0, done=False), "nothing bought"),
        (episode(reward=0.5, r_type=1.0, r_att=0.25), "reward 0.50 (type 1.00, att 0.25)"),
    ],
)
def test_an_outcome_names_the_parts_of_what_is_no_success(made, outcome):
    assert example_session(made, quote=True).outcome == outcome
