"""The contract of a world, and that each broken rule is named."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from toy import menu
from toy.menu import Menu, Result, Table

from rl_recsys.core.check import check_task
from rl_recsys.core.task import TaskError, open_task


def test_the_worlds_that_are_here_keep_it(task):
    assert check_task("menu:60") > 50
    assert check_task(task) > 50


def test_it_is_a_command():
    words = [sys.executable, "-m", "rl_recsys.core.check", "menu:20", "menu:2"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "menu:20: " in ended.stdout and "episodes keep the contract" in ended.stdout
    assert ended.returncode == 1 and ended.stderr == "error: menu:2: write menu:N with N guests, 10 or more\n"


@pytest.mark.parametrize(
    "broken, name, value, message",
    [
        (Menu, "kinds", ("padding", "leave"), r"a choice has kind \[\d\], the task has kinds 1 to 1"),
        (Menu, "fingerprint", property(id), "has another fingerprint"),
        (Menu, "spec", "elsewhere", "its spec, must open it again"),
        (Menu, "name", "dinner", "its entry point must have the name of the class"),
        (Menu, "goal", lambda self, index: {"likes": []}, 'must have "instruction_text"'),
        (Menu, "goal", lambda self, index: {"instruction_text": "x", "likes": {1}}, "must be what JSON can hold"),
        (Menu, "split", lambda self, name: {"train": [1], "test": [2]}[name], "must raise TaskError, not KeyError"),
        (Menu, "split", lambda self, name: range(3), "must raise TaskError; it gave something"),
        (Menu, "split", lambda self, name: [], r"split\('train'\) must have goals"),
        (Table, "choose", lambda self, index: Result(), "must count as a step"),
        (Table, "truncated", False, "must be truncated"),
        (Table, "url", None, "url must be a text"),
    ],
)  # fmt: skip
def test_a_rule_that_is_broken_is_named(broken, name, value, message, monkeypatch):
    task = Menu(60)
    monkeypatch.setattr(broken, name, value)
    with pytest.raises(TaskError, match=message):
        check_task(task)


def test_decisions_keep_the_rules(monkeypatch):
    decision = Table.decision.fget
    for change, message in (
        (lambda made: replace(made, state=("other", *made.state[1:])), "must begin with the whole instruction"),
        (lambda made: replace(made, choices=made.choices[:1] * 2), "two choices of a decision have the same action"),
    ):
        monkeypatch.setattr(Table, "decision", property(lambda table, change=change: change(decision(table))))
        with pytest.raises(TaskError, match=message):
            check_task(Menu(60))


def test_more_than_the_whole_reward_is_refused_where_it_is_paid(monkeypatch):
    monkeypatch.setattr(Table, "liking", lambda table, dish: 2.0)
    with pytest.raises(TaskError, match="the reward is 2.0; rewards are in"):
        check_task(Menu(60))
    from rl_recsys.core.play import demonstration

    with pytest.raises(TaskError, match="the world paid a reward of 2.0"):
        demonstration(Menu(60), 3)


def test_a_task_without_what_it_needs_is_not_opened(monkeypatch):
    monkeypatch.setattr(menu.Menu, "kinds", ())
    with pytest.raises(TaskError, match="the task 'menu' lacks kinds: its class, Menu, must have them"):
        open_task("menu:60")
