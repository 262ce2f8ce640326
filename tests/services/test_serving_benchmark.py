"""The benchmark of the served shop, on a few steps."""

from __future__ import annotations

import os

from algorithms.benchmarks import serve, serve_clients
from algorithms.benchmarks.flags import ServeBenchmarkFlags
from algorithms.services.environment.app import environment_app
from tests.services.running import serving


def test_speed(shop_folder, monkeypatch):
    monkeypatch.setattr(serve, "IN_PROCESS_STEPS", 500)
    flags = ServeBenchmarkFlags(shop=shop_folder, parts=("speed",), sessions=(2,), seconds=0.3)
    figures = {figure.name: figure for figure in serve.serve_figures(flags)}
    inside, echo = figures["step in process"].value, figures["an echo of a page, 2 sessions: a step"].value
    served = figures["the shop, 2 sessions: a step"]
    assert min(inside, echo, served.value) > 0
    assert served.target == inside + 100


def test_sessions_that_no_client_closes_all_end(shop_folder):
    with serving(environment_app(sessions=16, idle_s=2.0, place=shop_folder)) as url:
        found = serve_clients.soak(url, 480, 24, 3, os.getpid())
    assert (found["steps"], found["sessions"], found["left"], len(found["megabytes"])) == (492, 24, 0, 3)
