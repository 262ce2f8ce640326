"""Recorded episodes as one page: of every folder of trajectories, in a browser, with whatever their texts hold."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from policies.base import load_policy
from policies.play import choice_probabilities, policy_trajectories
from rl_recsys.core.play import scripted_episode
from rl_recsys.core.trajectory import TrajectoryWriter, read_trajectories
from rl_recsys.errors import UserError
from rl_recsys.evaluation.episodes_page import MADE_HERE, Episode, episodes_page
from tests.jobs.test_jobs import main_of
from tests.services.site.conftest import page_of, require_accessible


@pytest.fixture(scope="module")
def folders(tmp_path_factory, task, scripted, policy_folder):
    """Three scripted episodes, and what a policy and a baseline did with the same goals."""
    first, second = scripted(3), tmp_path_factory.mktemp("played")
    goals = [one.goal_index for one in read_trajectories(first)]
    with TrajectoryWriter(second) as writer:
        for one in policy_trajectories(load_policy(policy_folder), task, goals, author="ppo", greedy=True):
            writer.append(one)
        for goal in goals:
            writer.append(scripted_episode(task, goal, task.baselines["rule"], author="rule"))
    return first, second


def test_one_file_shows_everything(browser, folders, policy_folder, tmp_path, capsys):
    out = tmp_path / "pages" / "episodes.html"
    said = main_of("watch", capsys)(*folders, "--policy", policy_folder, "--out", out)
    assert f"{out}: 9 episodes" in said
    (first, *_), policy = read_trajectories(folders[0]), load_policy(policy_folder)
    likely = choice_probabilities(policy, [step.decision for step in first.steps])
    with page_of(browser) as page:
        page.goto(out.as_uri())
        require_accessible(page)
        listed = page.get_by_role("navigation", name="Episodes").get_by_role("button")
        assert listed.count() == 9 and "9 of 9" in page.get_by_role("status").inner_text()
        # A step: what could be done, how likely (where there is a choice), and what was done.
        assert page.locator(".choices li").count() == len(first.steps[0].choices) == 1
        assert page.get_by_role("meter").count() == 0 and "how likely" not in page.get_by_role("article").inner_text()
        page.keyboard.press("ArrowRight")
        step, shares = first.steps[1], likely[1]
        assert f"click[{step.actions[step.chosen][6:-1]}]" in page.get_by_role("article").inner_text()
        bars = page.get_by_role("meter").evaluate_all("all => all.map(one => one.value)")
        assert bars == sorted(bars, reverse=True) == pytest.approx(sorted(shares, reverse=True), abs=1e-4)
        assert page.locator(".choices li").count() == len(step.choices)
        for label in re.findall(r"button\] (.*) \[", step.observation)[:3]:
            assert page.locator(".page .button", has_text=label).count()
        # To the end: what it was paid, and why.
        for _ in first.steps:
            page.keyboard.press("ArrowRight")
        end = page.get_by_role("article").inner_text()
        assert "Paid: success, reward 1" in end and "options" in end and "price" in end
        assert page.get_by_role("button", name="Step on").is_disabled()
        # Another arm beside it, on the same goal, step by step.
        page.get_by_label("Beside it").select_option(label=re.search(r"rule: .*", page.inner_text("#beside"))[0])
        assert page.get_by_role("article").count() == 2
        require_accessible(page)
        page.get_by_role("button", name="Step on").click()
        assert all("Step 2 of" in text for text in page.get_by_role("article").all_inner_texts())
        # The list, by arm, reward, goal and words.
        page.get_by_label("Arm").select_option("rule")
        assert listed.count() == 3
        page.get_by_label("Arm").select_option("")
        page.get_by_label("Reward").select_option("success")
        successes = sum(one.success for folder in folders for one in read_trajectories(folder))
        assert listed.count() == successes
        page.get_by_label("Reward").select_option("")
        page.get_by_label("Goal or words").fill(str(first.goal_index))
        assert listed.count() == 3
        page.get_by_label("Goal or words").fill(first.goal["instruction_text"][:30].upper())
        assert listed.count() >= 3
        page.locator("h1").click()
        page.keyboard.press("j")
        assert listed.nth(1).get_attribute("aria-current") == "true"
        page.goto(f"{out.as_uri()}#goal={first.goal_index}&arm=rule")
        page.reload()
        assert page.get_by_role("article").first.get_by_role("heading", level=2).inner_text() == "rule"
    with page_of(browser, java_script_enabled=False) as page:
        page.goto(out.as_uri())
        assert page.get_by_role("group").count() == 9
        page.locator("summary").first.click()
        assert first.steps[0].choices[0] in page.locator("ol").first.inner_text()


def test_no_text_of_an_episode_ends_the_script_or_is_markup(browser, folders, tmp_path):
    evil = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><!--"
    one = next(read_trajectories(folders[1]))
    steps = [
        replace(step, observation=evil, choices=(evil,) * len(step.choices), state=(evil, evil)) for step in one.steps
    ]
    goal = dict.fromkeys(one.goal, evil)
    written = episodes_page([Episode(evil, replace(one, goal=goal, steps=tuple(steps), author=evil))], evil)
    (tmp_path / "page.html").write_text(written)
    for scripts in (True, False):
        with page_of(browser, java_script_enabled=scripts) as page:
            page.goto((tmp_path / "page.html").as_uri())
            page.keyboard.press("ArrowRight")
            assert page.title() == evil and page.locator("img").count() == 0
            assert page.locator("script").count() == 2 and evil in page.inner_text("main")


def test_what_is_no_page_of_this_job_is_left(folders, tmp_path, capsys):
    watch = main_of("watch", capsys)
    (tmp_path / "thesis.html").write_text("years")
    for out, said in ((tmp_path / "thesis.html", "it is no page of jobs/watch.py"), (tmp_path, "is a folder")):
        with pytest.raises(UserError, match=said):
            watch(folders[0], "--out", out)
    assert (tmp_path / "thesis.html").read_text() == "years"
    for episodes, said in ((1, "1 episodes to watch in a browser; --episodes shows more: 2 are left out"), (9, "3 ep")):
        assert said in watch(folders[0], "--episodes", episodes, "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert MADE_HERE in page
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert [len(one["steps"]) for one in data["details"]] == [len(one.steps) for one in read_trajectories(folders[0])]
    with pytest.raises(UserError, match="no trajectories here"):
        watch(tmp_path, "--out", tmp_path / "page.html")


def test_another_worlds_episodes_are_watched_as_well(tmp_path, capsys):
    main_of("demonstrate", capsys)("--task", "menu:60", "--trajectories", 3, "--out", tmp_path / "menu")
    assert "3 episodes" in main_of("watch", capsys)(tmp_path / "menu", "--out", tmp_path / "menu.html")
    assert "liking" in (tmp_path / "menu.html").read_text()
