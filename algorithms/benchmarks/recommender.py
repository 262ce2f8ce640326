"""What the recommender's service answers a second and how soon, beside the same lists made in a loop and the search."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import numpy as np

from algorithms.benchmarks.flags import RecommendBenchmarkFlags
from rl_recsys.runs.measurement import Figure, in_child

TOP = 5
TIMES_THE_LOOP, FIRST_LIST_MS = 5.0, 50.0  # what the service should reach
START_S = 300  # in which it must be ready
HERE = "algorithms.benchmarks.recommender"


def recommender_figures(flags: RecommendBenchmarkFlags, work: Path) -> Iterator[Figure]:
    """For each shop: the loop, the search alone, and the service with so many clients at a time.

    A measurement's requests are all different, so that no encoding of a state serves two; as many others come before,
    for what every service has met. All of a shop's measurements have the same requests.
    """
    policy, requests, clients = flags.policy, flags.requests, flags.clients
    for shop in flags.shops:
        name = shop.name
        alone = in_child(HERE, "in_a_loop", str(policy), str(shop), requests)
        yield Figure(f"{name}: search alone", alone["search_a_second"], "requests/s", note="one after the other")
        yield Figure(f"{name}: search alone, 99 %", alone["search_p99_ms"], "ms")
        yield Figure(f"{name}: recommend() in a loop", alone["loop_a_second"], "requests/s")
        for count in clients:
            with _service(policy, shop, work / f"{name}-{count}") as port:
                found = _measure(port, alone["warm"], alone["requests"], count)
            equal = sum(one == other for one, other in zip(found["lists"], alone["lists"], strict=True))
            times = found["a_second"] / alone["loop_a_second"]
            of = f"{name}, {count} clients"
            yield Figure(f"{of}: service", found["a_second"], "requests/s")
            target = TIMES_THE_LOOP if count == max(clients) else None
            yield Figure(f"{of}: beside the loop", times, "times", target, at_least=True)
            yield Figure(f"{of}: lists equal to the loop's", 100 * equal / len(found["lists"]), "%", 100, at_least=True)
            for point in (50, 99):
                yield Figure(f"{of}: whole list, {point} %", found[f"p{point}_ms"], "ms")
            for point in (50, 99):
                yield Figure(f"{of}: first list, {point} %", found[f"first_p{point}_ms"], "ms", FIRST_LIST_MS)
            yield Figure(f"{of}: asked again", found["again_a_second"], "requests/s", note="their episodes are kept")


def in_a_loop(policy: str, shop: str, requests: int) -> dict:
    """One request after the other in one process, as ``recommend`` answers them, and by the search alone."""
    from policies.base import load_policy
    from policies.recommender import recommend
    from rl_recsys.core.task import open_task, task_of_shop

    task, model = open_task(task_of_shop(shop)), load_policy(policy)
    fitting = filter(model.decision_encoder.fits, map(task.instruction, task.split("test")))
    texts = list(dict.fromkeys(fitting))[: 2 * requests]
    warm, asked = texts[: len(texts) // 2], texts[len(texts) // 2 :]
    for text in warm:
        list(recommend(model, task, [text], top=TOP))
    begun = time.perf_counter()
    lists = []
    for text in asked:
        (answer,) = recommend(model, task, [text], top=TOP)
        lists.append(_named(answer.to_mapping()["products"]))
    loop = len(asked) / (time.perf_counter() - begun)
    desk, taken = task.request_desk(), []
    for text in asked:
        begun = time.perf_counter()
        desk.answer(desk.read(text, model.decision_encoder), [], TOP)
        taken.append(time.perf_counter() - begun)
    return {
        "warm": warm, "requests": asked, "lists": lists, "loop_a_second": loop,
        "search_a_second": len(taken) / sum(taken), "search_p99_ms": 1000 * float(np.percentile(taken, 99)),
    }  # fmt: skip


def _named(products: Sequence[Mapping]) -> list:
    return [[one["title"], one["options"], one["share"]] for one in products]


def _measure(port: int, warm: Sequence[str], requests: Sequence[str], clients: int) -> dict:
    _ask(port, warm, clients)
    begun = time.perf_counter()
    found = _ask(port, requests, clients)
    taken = time.perf_counter() - begun
    begun = time.perf_counter()
    _ask(port, requests, clients)
    again = time.perf_counter() - begun
    lists, first, whole = zip(*found, strict=True)
    figures = {"lists": lists, "a_second": len(lists) / taken, "again_a_second": len(lists) / again}
    for point in (50, 99):
        figures[f"p{point}_ms"] = 1000 * float(np.percentile(whole, point))
        figures[f"first_p{point}_ms"] = 1000 * float(np.percentile(first, point))
    return figures


def _ask(port: int, requests: Sequence[str], clients: int) -> list[tuple[list, float, float]]:
    """(list, seconds to the first list, to the last) of each request, by clients that ask as soon as they are told."""
    waiting, found = iter(list(enumerate(requests))), [None] * len(requests)

    def one() -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=600)
        for number, text in waiting:
            begun, first, last = time.perf_counter(), 0.0, b""
            body = json.dumps({"text": text, "k": TOP})
            connection.request("POST", "/recommend/stream", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            if answer.status != 200:
                raise RuntimeError(f"{answer.status}: {answer.read()!r}")
            for last in answer:  # noqa: B007  (the lines before it are timed, no more)
                first = first or time.perf_counter() - begun
            found[number] = _named(json.loads(last)["products"]), first, time.perf_counter() - begun
        connection.close()

    with ThreadPoolExecutor(clients) as threads:
        for client in [threads.submit(one) for _ in range(clients)]:
            client.result()
    return found


@contextmanager
def _service(policy: Path, shop: Path, out: Path) -> Iterator[int]:
    """The port of the job's service, which is ended after the block."""
    from algorithms.services.recommender.deployment import free_port

    port = free_port()
    job = Path(__file__).parents[2] / "jobs" / "serve_recommender.py"
    flags = {"--shop": shop, "--policy": policy, "--out": out, "--port": port}
    command = [sys.executable, str(job), *(str(word) for flag in flags.items() for word in flag)]
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{out}.log", "w") as log, subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ)) as job:
        try:
            _wait_until_ready(port, job, Path(log.name))
            yield port
        finally:
            job.terminate()


def _wait_until_ready(port: int, job: subprocess.Popen, log: Path) -> None:
    for _ in range(START_S):
        if job.poll() is not None:
            break
        with suppress(OSError, HTTPException):
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        time.sleep(1)
    raise RuntimeError(f"the service did not start:\n{log.read_text()[-2000:]}")
