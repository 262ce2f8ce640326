"""jobs/site.py as a process: sessions are kept however it ends, and what it prints is what learns from them."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest

from algorithms.common.offline import decisions_to_learn, fitting_trajectories
from algorithms.imitation.demonstrations import Demonstrations
from algorithms.services.server import SessionFlags
from algorithms.services.site.opening import opened_site
from algorithms.services.site.recording import Recording
from algorithms.services.site.visits import Visit
from policies.base import load_policy
from rl_recsys.console.command import read_flags
from rl_recsys.core.recording import require_recorded_in
from rl_recsys.core.trajectory import read_trajectories
from rl_recsys.runs.settings import SettingsError
from rl_recsys.webshop import Shop
from rl_recsys.webshop.data.compile import Source, compile_shop
from rl_recsys.webshop.data.demo import write_demo_files
from tests.jobs.test_jobs import ROOT, job_module, main_of


@contextmanager
def running(*flags: object):
    """The job, and the address that it serves at."""
    command = [sys.executable, ROOT / "jobs" / "site.py", *flags, "--port", 0]
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"serving at (\S+)", line):
                break
        assert process.poll() is None, said
        yield process, found[1]
    finally:
        process.kill()
        process.wait()


def place_of_button(page: str, label: str) -> str:
    return re.search(rf'name="click" value="(\d+)"[^>]*>\s*{label}', page)[1]


def shop_until(client: httpx.Client, goal: int, wanted: str, *labels: str) -> str:
    """Begin a session, search, open what is found first, and click; the session's name."""
    where = client.post("/begin", data={"goal": goal}).url
    for sent in ({"query": wanted}, '<button class="card product" name="click" value="'):
        if isinstance(sent, str):
            sent = {"click": re.search(rf"{sent}(\d+)", client.get(where).text)[1]}
        where = client.post(where, data=sent).url
    for label in labels:
        where = client.post(where, data={"click": place_of_button(client.get(where).text, label)}).url
    return where.path.split("/")[-2]


def test_sessions_are_kept_at_sigterm_and_after_a_kill_and_can_be_learnt_from(
    shop_folder, policy_folder, shop, task, tmp_path, capsys
):
    record, goals = tmp_path / "people", task.split("train")[:3]
    flags = ("--shop", shop_folder, "--record", record)
    options = {"follow_redirects": True, "timeout": 60}
    with running(*flags) as (process, address), httpx.Client(base_url=address, **options) as client:
        names = [
            shop_until(client, goals[0], shop.goal(goals[0]).name, "Buy now"),
            shop_until(client, goals[1], shop.goal(goals[1]).name),
        ]
        process.kill()
        said = process.communicate()[0]
    with running(*flags) as (process, address), httpx.Client(base_url=address, **options) as client:
        assert len(list(read_trajectories(record))) == 2  # it took up what the kill had left
        names.append(shop_until(client, goals[2], shop.goal(goals[2]).name))
        process.send_signal(signal.SIGTERM)
        last = process.communicate()[0]
    assert process.returncode == 128 + signal.SIGTERM
    assert f"recorded session {names[2]}: goal {goals[2]}, 2 steps, nothing bought" in last
    written = list(read_trajectories(record, sources=["human"]))
    assert [one.author for one in written] == names and [one.done for one in written] == [True, False, False]
    assert [one.goal_index for one in written] == list(goals)
    # The logs are the same to the importer.
    logs = [record / "logs" / f"{name}.jsonl" for name in names]
    main_of("import_trajectories", capsys)(*logs, "--shop", shop_folder, "--out", tmp_path / "imported")
    assert [one.steps for one in read_trajectories(tmp_path / "imported")] == [one.steps for one in written]
    # The command that was printed can be given, and what it reads is learnt from.
    (command,) = set(re.findall(r"python jobs/imitate\.py (.*)", said))
    given = read_flags(job_module("imitate").Arguments, "", shlex.split(command))
    assert str(given.trajectories) == str(record)
    require_recorded_in(task, record)
    encoder = load_policy(policy_folder).decision_encoder
    found = fitting_trajectories(str(record), encoder, minimum_reward=given.minimum_reward)
    assert [one.author for one in found] == names[:1]
    batch = Demonstrations(decisions_to_learn(found), encoder, batch_size=8).next_batch()
    assert len(batch["actions"]) == sum(len(step.choices) > 1 for step in written[0].steps)


def test_another_shop_is_not_recorded_beside_the_first(tmp_path, shop_folder):
    items, attributes, human = write_demo_files(tmp_path, products=120, seed=5)
    compile_shop(Source(items, attributes, human), tmp_path / "other")
    record = tmp_path / "people"
    opened_site(SessionFlags(), shop_folder, record, (), "train", ())
    visit = Visit(Shop.open(shop_folder), 0, name="abc")
    visit.search(0, "shirt")
    Recording(record, "http://site", lambda one: None).took(visit, 1)
    with pytest.raises(SettingsError, match="people was begun with other settings"):
        opened_site(SessionFlags(), tmp_path / "other", record, (), "train", ())
