"""The benchmark of the served shop, on a few steps."""

from __future__ import annotations

from algorithms.benchmarks import serve
from algorithms.benchmarks.flags import ServeBenchmarkFlags


def test_figures(shop_folder, monkeypatch):
    monkeypatch.setattr(serve, "IN_PROCESS_STEPS", 500)
    monkeypatch.setattr(serve, "SOAK_IDLE_S", 0.5)
    flags = ServeBenchmarkFlags(shop=shop_folder, sessions=(2,), seconds=0.3, soak_steps=2_000, soak_sessions=200)
    figures = {figure.name: figure for figure in serve.serve_figures(flags)}
    inside, echo = figures["step in process"].value, figures["an echo of a page, 2 sessions: a step"].value
    served = figures["the shop, 2 sessions: a step"]
    assert min(inside, echo, served.value) > 0
    assert served.target == inside + 100
    (soak,) = (figure for name, figure in figures.items() if name.startswith("memory growth over 2,"))
    assert "and 200 sessions that no client closed" in soak.name and "0 sessions left" in soak.note
