"""The recommender on Ray Serve: it answers, and what it acknowledged outlives a killed replica and a killed ledger."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from algorithms.services.recommender.deployment import (
    APPLICATION,
    PATIENCE,
    Settings,
    application,
    end_ledger,
    free_port,
    start_ledger,
)
from algorithms.services.recommender.ledger import TRAJECTORIES
from rl_recsys.core.trajectory import read_trajectories
from tests.jobs.test_jobs import main_of

CLIENTS, LISTS = 8, 30


@pytest.fixture(scope="module")
def served(tmp_path_factory, ray_session, task, policy_folder):
    """(address, folder of the feedback, ledger) of an application on the tests' Ray."""
    from ray import serve

    folder, port = tmp_path_factory.mktemp("served"), free_port()
    settings = Settings(task=task.spec, policies={"tiny": str(policy_folder)}, episodes=4, at_once=32, waiting=64)
    ledger = start_ledger(folder, settings)
    where = {"host": "127.0.0.1", "port": port}
    patient = {"runtime_env": {"env_vars": PATIENCE}}
    serve.start(proxy_location="HeadOnly", http_options=where, controller_options=patient)
    serve.run(application(settings), name=APPLICATION, route_prefix="/")
    yield f"http://127.0.0.1:{port}", folder, ledger
    serve.shutdown()
    end_ledger(ledger)


def processes(title: str) -> list[psutil.Process]:
    """Those of this Ray with a title."""
    mine = psutil.Process().children(recursive=True)
    return [one for one in mine if one.is_running() and one.cmdline() and title in one.cmdline()[0]]


def test_a_replica_and_the_ledger_are_killed_under_load_and_no_accepted_feedback_is_lost(served, ray_session, shop):
    address, folder, ledger = served
    accepted, lost, ended = {}, [], threading.Event()

    def shop_and_report(number: int) -> None:
        with httpx.Client(base_url=address, timeout=60) as client:
            while not ended.is_set() and len(accepted) < LISTS:
                try:
                    answer = client.post("/recommend", json={"text": shop.goal(number).instruction_text}).json()
                    item = answer["products"][number % len(answer["products"])]["item"]
                    told = client.post("/feedback", json={"id": answer["id"], "bought": [item]})
                    if told.status_code == 200:
                        accepted[answer["id"]] = told.json()["episodes"]
                except (httpx.HTTPError, ValueError, KeyError) as error:  # in flight when its replica was killed
                    lost.append(error)
                    time.sleep(0.2)
                number += CLIENTS

    with ThreadPoolExecutor(CLIENTS) as clients:
        running = [clients.submit(shop_and_report, number) for number in range(CLIENTS)]
        try:
            for title, after in (("ServeReplica:recommender", LISTS // 3), ("Ledger", 2 * LISTS // 3)):
                wait_for(lambda after=after: len(accepted) >= after)
                (process,) = processes(title)
                os.kill(process.pid, signal.SIGKILL)
            wait_for(lambda: len(accepted) >= LISTS)
        finally:
            ended.set()
        for client in running:
            client.result()
    standings = ray_session.get(ledger.standings.remote())
    # What was accepted is there, and what was written when its acknowledgement was lost may be.
    assert len(accepted) <= standings["tiny"]["reports"] <= len(accepted) + 2 * CLIENTS
    assert len(list(read_trajectories(folder / TRAJECTORIES))) >= sum(accepted.values()) > 0
    for one in accepted:
        repeated = httpx.post(f"{address}/feedback", json={"id": one, "clicked": ["nothing of it"]})
        assert repeated.status_code == 422  # the list is known


def wait_for(there) -> None:
    """Wait, and give up in the end."""
    for _ in range(1200):
        if there():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come")


def test_dpo_learns_from_what_was_reported(served, shop_folder, policy_folder, tmp_path, capsys):
    _, folder, _ = served
    flags = ["--shop", shop_folder, "--policy", policy_folder, "--trajectories", folder / TRAJECTORIES]
    flags += ["--pairing", "trajectory", "--frozen-layers", 1, "--batch", 2, "--iterations", 1, "--updates", 1]
    flags += ["--out", tmp_path / "dpo"]
    assert "policy:" in main_of("dpo", capsys)(*flags)
    assert (tmp_path / "dpo" / "policy").is_dir()
