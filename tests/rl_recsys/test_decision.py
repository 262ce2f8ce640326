from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_recsys.decision import Choice, ChoiceKind, ChoiceSession, excerpt, shorten
from rl_recsys.encoding import DecisionEncoder, EncodingError, EncodingShape
from rl_recsys.shop.goals import without_price_clause
from rl_recsys.shop.page import PageKind
from rl_recsys.trajectories.shoppers import ScriptedShopper, play, rule_shopper

SHAPE = EncodingShape(64, 24, 16)


def test_the_search_candidate_is_the_instruction_without_its_price():
    text = "Find me shirts with size: [xl], and price lower than 30.00 dollars"
    assert without_price_clause(text) == "find me shirts with size:  xl"


def choose(choices: ChoiceSession, action: str):
    index = [choice.action for choice in choices.decision.choices].index(action)
    return choices.choose(index)


def test_a_decision_shows_what_was_chosen_and_read(shop):
    goal = next(i for i in range(shop.goal_count) if len(shop.product(shop.goal(i).asin).options) > 1)
    target = shop.product(shop.goal(goal).asin)
    choices = ChoiceSession(shop.session(goal))
    instruction = shop.goal(goal).instruction_text
    assert choices.decision.state == (instruction, "search")
    assert [choice.action for choice in choices.decision.choices] == [f"search[{without_price_clause(instruction)}]"]
    choices.choose(0)
    while f"click[{target.asin.lower()}]" not in [choice.action for choice in choices.decision.choices]:
        choose(choices, "click[next >]")
    assert f"{target.price_text} {target.title}" in [choice.text for choice in choices.decision.choices]
    choose(choices, f"click[{target.asin.lower()}]")
    first, second = list(target.options)[:2]
    assert choices.decision.state[2].startswith("chosen nothing, open " + first)
    choose(choices, f"click[{target.options[first][0]}]")
    assert choices.decision.state[2].startswith(f"chosen {first}: {target.options[first][0]}, open {second}")
    kinds = {choice.text: choice.kind for choice in choices.decision.choices}
    assert kinds[f"{first}: {target.options[first][0]}"] is ChoiceKind.CHOSEN_OPTION
    assert kinds[f"{first}: {target.options[first][1]}"] is ChoiceKind.OTHER_OPTION
    assert kinds[f"{second}: {target.options[second][0]}"] is ChoiceKind.OPTION
    assert kinds["buy now"] is ChoiceKind.BUTTON
    choose(choices, "click[features]")
    assert choices.session.kind is PageKind.DETAIL
    choose(choices, "click[< prev]")
    assert choices.decision.state[3].startswith("features: ")
    choose(choices, "click[< prev]")
    kinds = {choice.text: choice.kind for choice in choices.decision.choices}
    assert kinds.pop(f"{target.price_text} {target.title}") is ChoiceKind.SEEN_PRODUCT
    assert ChoiceKind.SEEN_PRODUCT not in kinds.values() and ChoiceKind.PRODUCT in kinds.values()
    assert choices.decision.state[1].endswith("1 seen")


def test_an_episode_is_truncated_and_an_index_past_the_end_is_a_step(shop):
    choices = ChoiceSession(shop.session(0), max_steps=3)
    for _ in range(3):
        assert not choices.truncated
        before = choices.decision
        choices.choose(999)
        assert choices.decision == before
    assert choices.truncated


def test_a_long_list_keeps_buttons_and_the_wanted_words_in_page_order():
    choices = [Choice("", f"color: {word}", ChoiceKind.OPTION) for word in ("red", "blue", "dark blue", "green")]
    choices.append(Choice("", "buy now", ChoiceKind.BUTTON))
    kept = shorten(choices, frozenset({"blue"}), 3)
    assert [choice.text for choice in kept] == ["color: blue", "color: dark blue", "buy now"]
    assert shorten(choices, frozenset(), 5) == tuple(choices)


def test_an_excerpt_is_what_shares_the_most_words():
    text = " ".join(["nothing here"] * 16) + " made of solid wood " + "more " * 40
    assert "solid wood" in excerpt(text, frozenset({"solid", "wood"}))
    assert excerpt(text, frozenset({"steel"})) == "nothing"
    assert excerpt("", frozenset({"steel"})) == "nothing"


@pytest.fixture(scope="module")
def encoder(encoder_folder) -> DecisionEncoder:
    return DecisionEncoder(encoder_folder, SHAPE)


def test_the_instruction_is_always_whole(encoder):
    instruction = "shirts for the beach"
    row = encoder.encode_state((instruction, "item " * 200))
    start = encoder.encode_state((instruction,))
    size = int((start != 0).sum())
    assert row[:size].tolist() == start[:size].tolist()
    assert (row != 0).all()
    with pytest.raises(EncodingError, match="it is never cut: raise state_tokens"):
        encoder.encode_state(("word " * 100,))


def test_text_cannot_forge_a_marker(encoder):
    honest = encoder.encode_state(("find a shirt", "item shirt"))
    forged = encoder.encode_state(("find a shirt", "item [SEP] [CLS] shirt [PAD]"))
    for marker in (encoder.begin, encoder.end):
        assert (forged == marker).sum() == (honest == marker).sum()
    assert int((forged != 0).argmin()) > int((honest != 0).argmin())


def test_a_folder_without_a_tokenizer_is_named(tmp_path):
    with pytest.raises(EncodingError, match=r"tokenizer\.json: no tokenizer here"):
        DecisionEncoder(tmp_path)


def test_too_many_choices_are_refused(encoder):
    with pytest.raises(EncodingError, match="25 choices, the arrays hold 24"):
        encoder.encode_choices(["x"] * 25, [2] * 25)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=60), st.lists(st.text(max_size=200), min_size=1, max_size=24))
def test_any_text_is_encoded_within_the_arrays(encoder, segment, texts):
    state = encoder.encode_state(("a shirt", segment))
    encoded = encoder.encode_choices(texts, [ChoiceKind.OPTION] * len(texts))
    actions, mask = encoded["actions"], encoded["mask"]
    assert (encoded["kinds"] == mask * ChoiceKind.OPTION).all()
    assert state.shape == (64,) and actions.shape == (24, 16)
    assert mask.tolist() == [1] * len(texts) + [0] * (24 - len(texts))
    assert min(state.min(), actions.min()) >= 0 and max(state.max(), actions.max()) < encoder.vocabulary_size
    last = (actions[: len(texts)] != 0).sum(1) - 1
    assert (actions[np.arange(len(texts)), last] == encoder.end).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 200), st.randoms(use_true_random=False))
def test_every_listed_choice_can_be_taken(shop, goal, rng):
    choices = ChoiceSession(shop.session(goal), max_choices=12)
    while not (choices.session.done or choices.truncated):
        decision = choices.decision
        assert 1 <= len(decision.choices) <= 12
        index = rng.randrange(len(decision.choices))
        page = choices.session.page
        result = choices.choose(index)
        assert result.done or result.page is not page  # every listed action leads somewhere


def test_the_shoppers(shop):
    import random

    rule = [play(shop, goal, rule_shopper, source="scripted", author="rule", seed=0) for goal in range(30)]
    assert {len(episode.steps) for episode in rule} == {3}
    scripted = [
        play(shop, goal, ScriptedShopper(random.Random(goal)), source="scripted", author="s", seed=0)
        for goal in range(100)
    ]
    success = [sum(episode.success for episode in episodes) / len(episodes) for episodes in (rule, scripted)]
    assert success[0] < 0.2 and success[1] > 0.8
    actions = [step.actions[step.chosen] for episode in scripted for step in episode.steps]
    for behaviour in ("click[features]", "click[description]", "click[< prev]", "click[buy now]"):
        assert behaviour in actions
