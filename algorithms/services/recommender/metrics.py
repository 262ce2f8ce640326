"""The service's figures as Ray metrics (algorithms/runs/service_metrics.py says what each is)."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from ray.util.metrics import Counter, Gauge, Histogram

from algorithms.runs.service_metrics import PREFIX, SECONDS, SERVICE_METRICS
from algorithms.services.recommender.engine import Engine

AGAIN_S = 5.0  # Ray drops a gauge that is not set for a while


class Metrics:
    """Counts and times what the service does, in a process that Ray started."""

    def __init__(self) -> None:
        self._made = {}
        for metric in SERVICE_METRICS:
            name, labels = PREFIX + metric.name, metric.labels
            if metric.kind == "histogram":
                self._made[metric.name] = Histogram(name, metric.description, boundaries=SECONDS, tag_keys=labels)
            else:
                kind = Counter if metric.kind == "counter" else Gauge
                self._made[metric.name] = kind(name, metric.description, tag_keys=labels)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered, or refused."""
        self._made["requests"].inc(1, {"route": route, "status": str(status)})
        self._made["seconds"].observe(seconds, {"route": route})

    def first_list(self, seconds: float) -> None:
        """Count a stream's first list."""
        self._made["first_seconds"].observe(seconds)

    def feedback(self, policy: str, outcome: str) -> None:
        """Count a report."""
        self._made["feedback"].inc(1, {"policy": policy, "outcome": outcome})

    async def show_load(self, engine: Engine) -> None:
        """Show what an engine has to do, for as long as it runs."""
        with suppress(asyncio.CancelledError):
            while True:
                for name, count in zip(("waiting", "playing"), engine.load, strict=True):
                    self._made[name].set(count)
                await asyncio.sleep(AGAIN_S)
