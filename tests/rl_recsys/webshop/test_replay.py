from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from rl_recsys.errors import UserError
from rl_recsys.webshop.replay import Arguments, main, replay
from tests.conftest import RECORDED


@pytest.fixture
def recorded(shop) -> dict:
    """A session of the demo shop, written as the original's recordings are."""
    session = shop.session(0)
    steps = []
    for action in (f"search[{shop.goal(0).query}]", "click[next >]", "click[< prev]", "FIRST", "click[buy now]", None):
        if action == "FIRST":
            action = f"click[{next(iter(session.page.blocks[3].products))}]"
        steps.append(
            {
                "observation": session.page.text_rich,
                "action": action,
                "available_actions": session.available_actions,
            }
        )
        if action:
            result = session.step(action)
            reward = result.reward
    return {"goal": asdict(shop.goal(0)), "steps": steps, "reward": reward, "done": True}


def test_a_session_agrees_with_its_own_record(shop, recorded):
    result = replay(shop, json.loads(json.dumps(recorded)))
    assert (result.observations, result.difference) == (6, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r["steps"][1].update(observation="Instruction:\nother"), "step 1: line 2: 'other' recorded"),
        (lambda r: r["steps"][2].update(available_actions={}), "step 2: actions {} recorded"),
        (lambda r: r.update(reward=7.0), "at the end: reward 7.0 recorded"),
        (lambda r: r.update(done=False), "at the end: done False recorded, True here"),
    ],
)
def test_the_first_difference_is_named(shop, recorded, change, message):
    recorded = json.loads(json.dumps(recorded))
    change(recorded)
    assert message in replay(shop, recorded).difference


def test_the_command_says_how_many_agree(shop_folder, recorded, tmp_path, capsys):
    path = tmp_path / "sessions.jsonl"
    path.write_text(json.dumps(recorded) + "\n")
    assert main(Arguments(path, shop_folder)) == 0
    assert "1 of 1 sessions agree, 6 observations equal" in capsys.readouterr().out
    path.write_text(json.dumps(recorded) + "\n" + json.dumps(recorded | {"reward": 2.0}) + "\n")
    assert main(Arguments(path, shop_folder)) == 1
    assert "session 2, at the end: reward 2.0 recorded" in capsys.readouterr().out
    for text, message in (
        ("", "no session in it"),
        ("{", "line 1: not valid JSON"),
        ("{}", "no goal and no steps"),
        ('{"goal": {}, "steps": []}', "line 1: it has no steps"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            main(Arguments(path, shop_folder))


@pytest.mark.skipif(not RECORDED.is_file(), reason="the recorded sessions are not here")
def test_the_originals_sessions_agree(webshop_folder, capsys):
    assert main(Arguments(RECORDED, webshop_folder)) == 0
    assert "96 of 96 sessions agree, 1653 observations equal" in capsys.readouterr().out
